//! 1.4.1 · 几个进程 · Five processes: join all of them, not only the last.
//!
//! Python: starts five in a loop and joins `p`, which is the last one: the others may still run. At
//! its end, the main process waits for them.
//! Rust: the same mistake can be made, and leaves four alive; when `main` ends, they are killed.
//! Keep all handles, join all.
//!
//! Run: `cargo run --example 1_4_1_few_processes` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#many` · `notes/zh-CN/03-processes.md#many`
//!
//! ```output
//! the last one joined: 4 still alive
//! all joined: 0 still alive, results [0, 1, 2, 3, 4]
//! ```

use multiproc::queue::Queue;
use util::timeline;

/// The last one is done at once; the others wait until they are let go.
fn work((number, go): (u32, Queue<()>)) -> u32 {
    if number < 4 {
        let _waiting = timeline::wait("not done yet");
        let _ = go.get();
    }
    number
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    let go = Queue::unbounded()?;
    let children: Vec<_> =
        (0..5).map(|n| multiproc::spawn(work, (n, go.clone()))).collect::<Result<_, _>>()?;

    children[4].join()?;
    let left = multiproc::active_children().len();
    println!("the last one joined: {left} still alive");
    assert_eq!(left, 4);

    go.close();
    // ANCHOR: join_all
    let results: Vec<u32> = children.iter().map(|child| child.join()).collect::<Result<_, _>>()?;
    // ANCHOR_END: join_all
    let left = multiproc::active_children().len();
    println!("all joined: {left} still alive, results {results:?}");
    assert_eq!((left, results), (0, vec![0, 1, 2, 3, 4]));
    Ok(())
}
