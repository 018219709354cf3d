//! 001 · 单线程 · One thread: five apologies, and each has to wait for the one before it.
//!
//! Python: a function that sleeps, called five times.
//! Rust: the same. `main` is a thread too, the only one here, and it can sleep one sleep at a
//! time. (28_1 looks alike and is about something else: how long two different loops take.)
//!
//! Run: `cargo run --example 001_single_thread` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#one-thread` · `notes/zh-CN/02-threads.md#one-thread`
//!
//! ```output
//! thread main: sorry (1)
//! thread main: sorry (2)
//! thread main: sorry (3)
//! thread main: sorry (4)
//! thread main: sorry (5)
//! 5 apologies, [..] ticks
//! ```

use std::thread;
use util::{tick, timeline};

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let started = tick::elapsed();
    for number in 1..=5 {
        apologize(number);
    }
    let took = tick::elapsed() - started;
    println!("5 apologies, {took:.1} ticks");
    assert!(took >= 5.0, "each of the five sleeps a whole tick");
}

fn apologize(number: u32) {
    let _span = timeline::span(format_args!("sorry {number}"));
    println!("thread {}: sorry ({number})", thread::current().name().unwrap());
    tick::sleep(1);
}
