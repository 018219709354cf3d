//! 009 · 等待线程 · Join: wait for the end of a thread, and have what it made.
//!
//! Python: `join()` returns nothing; a result goes by way of a variable, and an exception is only
//! printed.
//! Rust: `join` returns the thread's value, or what it panicked with. It has no time-out: a
//! channel has, and a thread can say by it that it is done.
//!
//! Run: `cargo run --example 009_join` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#join` · `notes/zh-CN/02-threads.md#join`
//!
//! ```output
//! primes below 10000: Ok(1229)
//! a thread that panics: Err("no more")
//! after a tick: not done yet
//! told to go on: done, with 42
//! ```

use std::{sync::mpsc, thread};
use util::{tick, timeline, work};

fn main() {
    util::case!();
    let _timeline = timeline::start();

    // ANCHOR: value
    let counting = thread::spawn(|| work::count_primes(0..10_000));
    let primes = counting.join();
    // ANCHOR_END: value
    println!("primes below 10000: {primes:?}");
    assert_eq!(primes.unwrap(), 1229);

    // ANCHOR: panic
    // its message goes to standard error as well
    let panicking = thread::spawn(|| panic!("no more"));
    let error = panicking.join().unwrap_err();
    let message = error.downcast_ref::<&str>();
    // ANCHOR_END: panic
    println!("a thread that panics: Err({:?})", message.unwrap());
    assert_eq!(message, Some(&"no more"));

    // ANCHOR: timeout
    let (done, is_done) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _span = timeline::span("waits for main");
        may_go.recv().unwrap();
        done.send(()).unwrap();
        42
    });
    let too_early = is_done.recv_timeout(tick::length()); // join, for one tick at the most
    assert_eq!(too_early, Err(mpsc::RecvTimeoutError::Timeout));
    println!("after a tick: not done yet");
    go.send(()).unwrap();
    is_done.recv().unwrap();
    let value = thread.join().unwrap(); // no wait worth the name is left
    // ANCHOR_END: timeout
    println!("told to go on: done, with {value}");
    assert_eq!(value, 42);
}
