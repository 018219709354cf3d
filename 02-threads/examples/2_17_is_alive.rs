//! 2.17 · 线程状态 · Is it alive: a thread's name, its id, whether it has ended, and what it panicked with.
//!
//! Python: `thread.is_alive()`, `.name` (`Thread-1` by default), `.ident`; `threading.excepthook`
//! is called with what a thread did not catch.
//! Rust: the handle answers `is_finished`. A thread has a name only if its `Builder` gave it one;
//! its `ThreadId` is never used again in this process. The panic hook runs in the panicking thread,
//! and there is one for all threads.
//!
//! Run: `cargo run --example 2_17_is_alive`
//! Notes: `notes/en/02-threads.md#is-alive` · `notes/zh-CN/02-threads.md#is-alive`
//!
//! ```output
//! main is called Some("main"), the thread Some("worker"), one without a name None
//! their ids: [..], [..], [..]
//! while it waits for main: finished = false
//! told to go on: finished = true
//! the hook was told: worker 2 panicked: on purpose
//! ```

use std::{
    panic,
    sync::mpsc,
    thread::{self, Builder},
};

fn main() -> util::Result<()> {
    util::case!();
    // ANCHOR: alive
    let (go, may_go) = mpsc::channel::<()>();
    let worker = Builder::new().name("worker".into()).spawn(move || may_go.recv())?;
    let unnamed = thread::spawn(|| thread::current().name().map(String::from));

    let (main, theirs, nameless) = (thread::current(), worker.thread(), unnamed.thread().id());
    let (main_name, name) = (main.name(), theirs.name());
    let ids = [main.id(), theirs.id(), nameless];
    let no_name = unnamed.join().unwrap();
    println!("main is called {main_name:?}, the thread {name:?}, one without a name {no_name:?}");
    println!("their ids: {:?}, {:?}, {:?}", ids[0], ids[1], ids[2]);

    println!("while it waits for main: finished = {}", worker.is_finished());
    go.send(())?;
    while !worker.is_finished() {
        thread::yield_now(); // only to show it: `join` would wait without asking
    }
    println!("told to go on: finished = {}", worker.is_finished());
    // ANCHOR_END: alive
    worker.join().unwrap()?;
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && no_name.is_none());

    // ANCHOR: hook
    let (told, hook_was_told) = mpsc::channel();
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let thread = thread::current();
        let what = info.payload_as_str().unwrap_or("no text");
        let _ = told.send(format!("{} panicked: {what}", thread.name().unwrap_or("a thread")));
        previous(info); // prints the message on standard error, as without a hook of our own
    }));
    // ANCHOR_END: hook
    let panicking = Builder::new().name("worker 2".into()).spawn(|| panic!("on purpose"))?;
    let panicked = panicking.join().is_err();
    let told = hook_was_told.recv()?;
    println!("the hook was told: {told}");
    assert!(panicked && told == "worker 2 panicked: on purpose");
    Ok(())
}
