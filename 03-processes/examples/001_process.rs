//! 001 · 进程 · Two processes: sing and dance at once, each with a process id of its own.
//!
//! Python: `Process(target=sing)`, then `start`; `os.getpid()` and `os.getppid()`.
//! Rust: `spawn` starts this program again, which gets as far as `init` and runs the function
//! there. Its result comes back by `join`.
//!
//! Run: `cargo run --example 001_process` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#process` · `notes/zh-CN/03-processes.md#process`
//!
//! ```output unordered
//! singing 1
//! singing 2
//! singing 3
//! dancing 1
//! dancing 2
//! dancing 3
//! ```
//! ```output
//! main: MainProcess, id [..]
//! singing: Process-1, id [..], parent [..]
//! dancing: Process-2, id [..], parent [..]
//! ```

use util::{tick, timeline};

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init(); // in a child this runs its function, and does not return
    let _timeline = timeline::start();

    // ANCHOR: spawn
    let singer = multiproc::spawn(perform, "singing".to_owned())?;
    let dancer = multiproc::spawn(perform, "dancing".to_owned())?;
    let (singing, dancing) = (singer.join()?, dancer.join()?);
    // ANCHOR_END: spawn

    let me = multiproc::current();
    println!("main: {}, id {}", me.name, me.id);
    for (what, (name, id, parent)) in [("singing", &singing), ("dancing", &dancing)] {
        println!("{what}: {name}, id {id}, parent {parent}");
        assert_eq!(*parent, me.id);
        assert_ne!(*id, me.id);
    }
    assert_ne!(singing.1, dancing.1);
    Ok(())
}

/// Returns who did it: name, id, parent's id.
fn perform(what: String) -> (String, u32, u32) {
    for number in 1..=3 {
        let _span = timeline::span(format_args!("{what} {number}"));
        println!("{what} {number}");
        tick::sleep(1);
    }
    let me = multiproc::current();
    (me.name, me.id, me.parent_id.expect("it was started by main"))
}
