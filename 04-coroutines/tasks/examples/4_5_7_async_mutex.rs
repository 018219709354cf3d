//! 4.5.7 · 异步互斥锁 · An async mutex: std's first, tokio's when a guard lives across an `await`.
//!
//! Python: `asyncio.Lock`, `Condition` and `Event`; between two `await`s no other task runs, so
//! most state needs no lock.
//! Rust: tasks may run on several threads. For a few lines without `await`, std's `Mutex` is right
//! and faster. Its guard cannot cross an `await` in a spawned task, which the compiler checks.
//! tokio's `Mutex` can: whoever waits for it leaves the thread to others. `Notify` wakes.
//!
//! Run: `cargo run --example 4_5_7_async_mutex`
//! Notes: `notes/en/04-coroutines.md#async-mutex` · `notes/zh-CN/04-coroutines.md#async-mutex`
//!
//! ```output
//! std: 4 tasks counted to 4000
//! tokio: two equal letters stand together: [..]
//! Notify: waited until the stock was 3
//! ```

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{self, Notify},
    task::JoinSet,
    time::sleep,
};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    util::case!();
    count().await;
    letters().await;
    condition().await;
}

// ANCHOR: std
/// The guard is dropped before the next `await`: std's mutex, for nobody waits long.
async fn count() {
    let sum = Arc::new(Mutex::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let sum = Arc::clone(&sum);
        tasks.spawn(async move {
            for _ in 0..1000 {
                *sum.lock().unwrap() += 1; // the guard ends with this statement
                tokio::task::yield_now().await;
            }
        });
    }
    tasks.join_all().await;
    let sum = *sum.lock().unwrap();
    println!("std: 4 tasks counted to {sum}");
    assert_eq!(sum, 4000);
}
// ANCHOR_END: std

// ANCHOR: tokio
/// The guard is held while the task waits: tokio's mutex, whose waiters do not block a thread.
async fn letters() {
    let text = Arc::new(sync::Mutex::new(String::new()));
    let mut tasks = JoinSet::new();
    for letter in ['a', 'b', 'c'] {
        let text = Arc::clone(&text);
        tasks.spawn(async move {
            let mut text = text.lock().await;
            text.push(letter);
            sleep(Duration::from_millis(1)).await; // nobody else gets in
            text.push(letter);
        });
    }
    tasks.join_all().await;
    let text = text.lock().await;
    println!("tokio: two equal letters stand together: {text}");
    assert!(text.as_bytes().chunks(2).all(|pair| pair[0] == pair[1]));
}
// ANCHOR_END: tokio

// ANCHOR: notify
/// A condition variable of tasks: state in a mutex, and a `Notify` that says that it changed.
async fn condition() {
    let shared = Arc::new((Mutex::new(0), Notify::new()));
    let consumer = Arc::clone(&shared);
    let consumer = tokio::spawn(async move {
        let (stock, changed) = &*consumer;
        while *stock.lock().unwrap() < 3 {
            changed.notified().await; // a wake-up that came before it is kept
        }
    });
    for _ in 0..3 {
        *shared.0.lock().unwrap() += 1;
        shared.1.notify_one();
        tokio::task::yield_now().await;
    }
    consumer.await.unwrap();
    let stock = *shared.0.lock().unwrap();
    println!("Notify: waited until the stock was {stock}");
    assert_eq!(stock, 3);
}
// ANCHOR_END: notify
