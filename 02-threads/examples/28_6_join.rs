//! 28.6 · 等待两个线程 · Join both: main waits exactly as long as the longer one takes.
//!
//! Python: `threading.Thread`, `start` and `join`, instead of sleeping and hoping.
//! Rust: the same, and each `join` hands over a result.
//!
//! Run: `cargo run --example 28_6_join` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#join` · `notes/zh-CN/02-threads.md#join`
//!
//! ```output unordered
//! loop 1 begins
//! loop 2 begins
//! loop 1 ends
//! loop 2 ends
//! ```
//! ```output
//! results 2 and 3; instead of 2 + 3 ticks: [..] ticks
//! ```

use std::thread;
use util::{tick, timeline};

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let started = tick::elapsed();
    let first = thread::spawn(|| run_loop(1, 2));
    let second = thread::spawn(|| run_loop(2, 3));
    let results = (first.join().unwrap(), second.join().unwrap());
    let took = tick::elapsed() - started;
    println!("results {} and {}; instead of 2 + 3 ticks: {took:.1} ticks", results.0, results.1);
    assert_eq!(results, (2, 3));
    assert!(took >= 3.0, "not before the longer one has ended");
}

fn run_loop(number: u32, ticks: u32) -> u32 {
    let _span = timeline::span(format_args!("loop {number}"));
    println!("loop {number} begins");
    tick::sleep(ticks);
    println!("loop {number} ends");
    ticks
}
