//! 010 · 线程封装 · A struct that runs in a thread: it owns its state and has `run(self)`.
//!
//! Python: a subclass of `threading.Thread` that overrides `run`; state and handle are one object.
//! Rust: no inheritance, and no need: the state is a struct, the handle is what `spawn` returns,
//! and `self` moves into the thread, so nobody touches the state while it runs. (28_9 looks alike
//! and is about many kinds of worker behind one trait.)
//!
//! Run: `cargo run --example 010_thread_struct` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#struct` · `notes/zh-CN/02-threads.md#struct`
//!
//! ```output
//! I am worker, at 0
//! I am worker, at 1
//! I am worker, at 2
//! worker was at 3 places
//! ```

use std::thread;
use util::{tick, timeline};

// ANCHOR: struct
struct Worker {
    name: String,
    visited: Vec<u32>,
}

impl Worker {
    /// Takes the worker itself: whoever starts it has it no more, until `join` gives it back.
    fn run(mut self) -> Self {
        for place in 0..3 {
            let _span = timeline::span(format_args!("at {place}"));
            println!("I am {}, at {place}", self.name);
            self.visited.push(place);
            tick::sleep(1);
        }
        self
    }
}
// ANCHOR_END: struct

fn main() {
    util::case!();
    let _timeline = timeline::start();
    // ANCHOR: run
    let worker = Worker { name: "worker".into(), visited: Vec::new() };
    let thread = thread::spawn(|| worker.run());
    let worker = thread.join().unwrap();
    // ANCHOR_END: run
    println!("{} was at {} places", worker.name, worker.visited.len());
    assert_eq!(worker.visited, [0, 1, 2]);
}
