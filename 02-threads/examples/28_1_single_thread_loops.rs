//! 28.1 · 单线程循环 · Two loops in one thread: their times add up.
//!
//! Python: loop 1 of 2 s, then loop 2 of 3 s: 5 s.
//! Rust: the same. This is the figure to beat: 28_6 runs the same two loops in threads and takes as
//! long as the longer one. (001 looks alike and is about one task, repeated.)
//!
//! Run: `cargo run --example 28_1_single_thread_loops` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#one-thread` · `notes/zh-CN/02-threads.md#one-thread`
//!
//! ```output
//! loop 1 begins
//! loop 1 ends
//! loop 2 begins
//! loop 2 ends
//! 2 + 3 ticks: [..] ticks
//! ```

use util::{tick, timeline};

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let started = tick::elapsed();
    run_loop(1, 2);
    run_loop(2, 3);
    let took = tick::elapsed() - started;
    println!("2 + 3 ticks: {took:.1} ticks");
    assert!(took >= 5.0);
}

fn run_loop(number: u32, ticks: u32) {
    let _span = timeline::span(format_args!("loop {number}"));
    println!("loop {number} begins");
    tick::sleep(ticks);
    println!("loop {number} ends");
}
