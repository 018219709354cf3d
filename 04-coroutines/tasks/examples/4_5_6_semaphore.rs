//! 4.5.6 · 异步信号量 · A semaphore: at most N at a time, and a cancelled task returns its permit.
//!
//! Python: `async with semaphore:`; the permit returns when the block is left, also by an
//! exception.
//! Rust: `acquire` gives a permit, a value that returns itself when it is dropped: at the end of
//! its scope, on an early return, on a panic, and when the task that holds it is cancelled.
//!
//! Run: `cargo run --example 4_5_6_semaphore`
//! Notes: `notes/en/04-coroutines.md#semaphore` · `notes/zh-CN/04-coroutines.md#semaphore`
//!
//! ```output
//! 6 tasks of 1 s, 2 at a time: over after 3 s, never more than 2 at once
//! a task holds a permit for an hour: 1 of 2 left
//! the task was cancelled: 2 of 2 left
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::{self, JoinSet},
    time::{Instant, sleep},
};

static NOW: AtomicU32 = AtomicU32::new(0);
static MOST: AtomicU32 = AtomicU32::new(0);

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    util::case!();
    // ANCHOR: limit
    let began = Instant::now();
    let permits = Arc::new(Semaphore::new(2));
    let mut tasks = JoinSet::new();
    for _ in 0..6 {
        let permits = Arc::clone(&permits);
        tasks.spawn(async move {
            let _permit = permits.acquire().await.unwrap(); // an error only after `permits.close()`
            work().await;
        }); // `_permit` is dropped here
    }
    tasks.join_all().await;
    // ANCHOR_END: limit
    let (seconds, most) = (began.elapsed().as_secs(), MOST.load(Relaxed));
    println!("6 tasks of 1 s, 2 at a time: over after {seconds} s, never more than {most} at once");
    assert_eq!((seconds, most), (3, 2));

    // ANCHOR: cancel
    let permit = Arc::clone(&permits).acquire_owned().await.unwrap(); // may move into a task
    let task = tokio::spawn(async move {
        let _permit = permit;
        sleep(Duration::from_secs(3600)).await;
    });
    task::yield_now().await; // the task begins
    println!("a task holds a permit for an hour: {} of 2 left", permits.available_permits());
    assert_eq!(permits.available_permits(), 1);
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    println!("the task was cancelled: {} of 2 left", permits.available_permits());
    assert_eq!(permits.available_permits(), 2);
    // ANCHOR_END: cancel
}

/// A second of waiting, counted: how many are in here at once.
async fn work() {
    MOST.fetch_max(NOW.fetch_add(1, Relaxed) + 1, Relaxed);
    sleep(Duration::from_secs(1)).await;
    NOW.fetch_sub(1, Relaxed);
}
