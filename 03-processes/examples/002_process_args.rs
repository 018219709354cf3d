//! 002 · 进程传参 · Arguments and an end from outside: typed ones, and `terminate` after three ticks.
//!
//! Python: a tuple for `args` and a dict for `kwargs`, checked when the child runs; `terminate()`.
//! Rust: one argument of any type that `serde` knows, checked by the compiler; named ones are a
//! struct. A process that was ended says by which signal, and leaves no zombie.
//!
//! Run: `cargo run --example 002_process_args` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#process` · `notes/zh-CN/03-processes.md#process`
//!
//! ```output
//! ...
//! terminated by signal 15, SIGTERM
//! no zombie is left, and no child
//! ```

use multiproc::JoinError;
use serde::{Deserialize, Serialize};
use std::{os::unix::process::ExitStatusExt, path::Path};
use util::{tick, timeline};

// ANCHOR: arguments
#[derive(Serialize, Deserialize)]
struct Person {
    name: String,
    age: u32,
}

fn grow_older((mut person, years): (Person, u32)) {
    loop {
        let _span = timeline::span(format_args!("{} is {}", person.name, person.age));
        println!("{} is {}", person.name, person.age);
        tick::sleep(1);
        person.age += years;
    }
}
// ANCHOR_END: arguments

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    let ann = Person { name: "Ann".into(), age: 18 };
    let child = multiproc::spawn(grow_older, (ann, 1))?;
    tick::sleep(3);
    assert!(child.is_alive(), "it never ends by itself");

    // ANCHOR: terminate
    child.terminate()?;
    let ended = child.join();
    assert_eq!(ended, Err(JoinError::Killed { signal: 15 }));
    // ANCHOR_END: terminate
    let signal = child.exit_status().and_then(|status| status.signal());
    println!("terminated by signal {}, SIGTERM", signal.unwrap());
    assert!(!Path::new(&format!("/proc/{}", child.id())).exists());
    assert!(multiproc::active_children().is_empty());
    println!("no zombie is left, and no child");
    Ok(())
}
