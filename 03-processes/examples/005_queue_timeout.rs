//! 005 · 队列超时 · An empty queue: waiting for a while, or not at all.
//!
//! Python: `get(True, 5)` raises `queue.Empty` after five seconds, `get(False)` at once.
//! Rust: two methods, and what went wrong is a value: the compiler asks what you do about it.
//!
//! Run: `cargo run --example 005_queue_timeout` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#queue` · `notes/zh-CN/03-processes.md#queue`
//!
//! ```output
//! try_get: Empty, at once
//! get_timeout: TimedOut, after [..] ticks
//! get_timeout: 42, from a child that took its time
//! ```

use multiproc::queue::{GetError, Queue};
use std::time::Duration;
use util::{tick, timeline};

fn put_later(queue: Queue<u32>) {
    let _span = timeline::span("takes its time");
    tick::sleep(1);
    queue.put(&42).unwrap();
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    let queue = Queue::bounded(3)?;

    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    println!("try_get: Empty, at once");

    let started = tick::elapsed();
    // ANCHOR: timeout
    match queue.get_timeout(tick::ticks(5)) {
        Ok(number) => unreachable!("nobody has put {number}"),
        Err(GetError::TimedOut) => {
            println!("get_timeout: TimedOut, after {:.1} ticks", tick::elapsed() - started);
        }
        Err(error) => return Err(error.into()),
    }
    // ANCHOR_END: timeout
    assert!(tick::elapsed() - started >= 5.0);

    let child = multiproc::spawn(put_later, queue.clone())?;
    let waiting = timeline::wait("for a number");
    let number = queue.get_timeout(Duration::from_secs(60))?;
    drop(waiting);
    println!("get_timeout: {number}, from a child that took its time");
    assert_eq!(number, 42);
    child.join()?;
    Ok(())
}
