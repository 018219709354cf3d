//! 4.5.10 · 两种运行时 · Runtimes: one thread or several, and what that asks of a task.
//!
//! Python: an event loop belongs to one thread, and a task never leaves it.
//! Rust: a `current_thread` runtime is the same, and `spawn_local` takes tasks with an `Rc`. In a
//! `multi_thread` runtime a task continues on whichever thread is free, so it must be `Send`.
//!
//! Run: `cargo run --example 4_5_10_runtimes`
//! Notes: `notes/en/04-coroutines.md#runtimes` · `notes/zh-CN/04-coroutines.md#runtimes`
//!
//! ```output
//! current_thread: 3 tasks on the thread of main, which share an Rc: 3
//! multi_thread: its thread was busy, so the task continued on another one
//! ```

use std::{
    cell::Cell,
    rc::Rc,
    sync::mpsc,
    thread::{self, ThreadId},
};
use tokio::{runtime, sync::oneshot, task::LocalSet};

fn main() {
    util::case!();
    // ANCHOR: current_thread
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    let sum = Rc::new(Cell::new(0));
    let tasks = LocalSet::new();
    for _ in 0..3 {
        let sum = Rc::clone(&sum);
        let main = thread::current().id();
        tasks.spawn_local(async move {
            assert_eq!(thread::current().id(), main);
            sum.set(sum.get() + 1); // neither a lock nor an atomic: there is one thread
        });
    }
    runtime.block_on(tasks);
    println!("current_thread: 3 tasks on the thread of main, which share an Rc: {}", sum.get());
    // ANCHOR_END: current_thread
    assert_eq!(sum.get(), 3);

    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (before, after) = runtime.block_on(moved());
    assert_ne!(before, after);
    println!("multi_thread: its thread was busy, so the task continued on another one");
}

// ANCHOR: moved
/// The threads of one task, before and after an `await`.
async fn moved() -> (ThreadId, ThreadId) {
    let (begun, before) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel();
    let task = tokio::spawn(async move {
        begun.send(thread::current().id()).unwrap();
        may_go_on.await.unwrap();
        thread::current().id()
    });
    let before = before.await.unwrap();

    // Two tasks that block (do not do this elsewhere) occupy the two threads.
    let mut busy = vec![occupy().await, occupy().await];
    go_on.send(()).unwrap(); // the task is ready now, and no thread is free
    busy.retain(|(thread, _)| *thread == before); // frees the thread on which it did not begin
    (before, task.await.unwrap())
}

/// A task that blocks the thread it runs on until the sender is dropped.
async fn occupy() -> (ThreadId, mpsc::Sender<()>) {
    let (begun, occupied) = oneshot::channel();
    let (free, freed) = mpsc::channel();
    tokio::spawn(async move {
        begun.send(thread::current().id()).unwrap();
        let _ = freed.recv();
    });
    (occupied.await.unwrap(), free)
}
// ANCHOR_END: moved
