//! 004 · 进程通信队列 · A queue of three between two processes: full, with a time-out, at once, and empty again.
//!
//! Python: `full()`, `put(…, timeout=…)`, `put_nowait`, `qsize`, `empty`, `get_nowait`; and after a
//! `put`, `empty()` can still say True for a moment, since a thread of the putter has yet to write
//! the item.
//! Rust: the same calls. What `put` has put *is* there when it returns, so the figures are exact,
//! for every process.
//!
//! Run: `cargo run --example 004_queue` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#queue` · `notes/zh-CN/03-processes.md#queue`
//!
//! ```output
//! child: put 3, the queue is full: true
//! main: len 3 of 3, full: true
//! main: put_timeout waited a tick in vain
//! main: try_put is refused at once
//! main: got message 1
//! main: got message 2
//! main: got message 3
//! main: len 0, empty: true
//! main: try_get finds nothing
//! child: got message 4
//! ```

use multiproc::queue::{GetError, PutError, Queue};
use util::{tick, timeline};

fn put_three(queue: Queue<String>) {
    let _span = timeline::span("put");
    for number in 1..=3 {
        queue.put(&format!("message {number}")).unwrap();
    }
    println!("child: put 3, the queue is full: {}", queue.is_full());
}

fn get_one(queue: Queue<String>) {
    let _span = timeline::wait("for a message");
    println!("child: got {}", queue.get().unwrap());
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    // ANCHOR: queue
    let queue: Queue<String> = Queue::bounded(3)?;
    multiproc::spawn(put_three, queue.clone())?.join()?;
    // ANCHOR_END: queue

    println!(
        "main: len {} of {}, full: {}",
        queue.len(),
        queue.capacity().unwrap(),
        queue.is_full()
    );
    assert!(queue.is_full());

    let started = tick::elapsed();
    let too_late = queue.put_timeout(&"message 4".into(), tick::length());
    assert!(matches!(too_late, Err(PutError::TimedOut)) && tick::elapsed() - started >= 1.0);
    println!("main: put_timeout waited a tick in vain");
    assert!(matches!(queue.try_put(&"message 4".into()), Err(PutError::Full)));
    println!("main: try_put is refused at once");

    while let Ok(message) = queue.try_get() {
        println!("main: got {message}");
    }
    println!("main: len {}, empty: {}", queue.len(), queue.is_empty());
    assert!(queue.is_empty());
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    println!("main: try_get finds nothing");

    let child = multiproc::spawn(get_one, queue.clone())?;
    queue.put(&"message 4".into())?;
    child.join()?;
    Ok(())
}
