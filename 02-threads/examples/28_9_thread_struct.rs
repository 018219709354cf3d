//! 28.9 · 线程类 · One trait for many kinds of worker: whatever has `run` can `start`.
//!
//! Python: each class inherits `start` and `join` from `Thread` and overrides `run`.
//! Rust: a trait says what a worker must have, and a blanket `start` gives every one of them a
//! thread. A list can hold different kinds. (010 looks alike and is about one struct and who owns
//! its state.)
//!
//! Run: `cargo run --example 28_9_thread_struct` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#struct` · `notes/zh-CN/02-threads.md#struct`
//!
//! ```output
//! loop 1: slept 1
//! loop 2: slept 2
//! primes: counted 1229
//! ```

use std::thread::{self, JoinHandle};
use util::{tick, timeline, work};

// ANCHOR: trait
trait Run: Send + 'static {
    fn name(&self) -> String;
    fn run(&mut self) -> String;
}

/// Nobody writes `start` again: all that can run have it.
trait Start: Run + Sized {
    fn start(mut self) -> JoinHandle<String> {
        thread::spawn(move || {
            let _span = timeline::span(self.name());
            format!("{}: {}", self.name(), self.run())
        })
    }
}
impl<T: Run> Start for T {}

impl Run for Box<dyn Run> {
    fn name(&self) -> String {
        (**self).name()
    }

    fn run(&mut self) -> String {
        (**self).run()
    }
}
// ANCHOR_END: trait

struct Loop {
    number: u32,
    ticks: u32,
}

impl Run for Loop {
    fn name(&self) -> String {
        format!("loop {}", self.number)
    }

    fn run(&mut self) -> String {
        tick::sleep(self.ticks);
        format!("slept {}", self.ticks)
    }
}

struct Primes {
    below: u32,
}

impl Run for Primes {
    fn name(&self) -> String {
        "primes".into()
    }

    fn run(&mut self) -> String {
        format!("counted {}", work::count_primes(0..self.below))
    }
}

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let workers: [Box<dyn Run>; 3] = [
        Box::new(Loop { number: 1, ticks: 1 }),
        Box::new(Loop { number: 2, ticks: 2 }),
        Box::new(Primes { below: 10_000 }),
    ];
    let threads = workers.map(Start::start); // an array is mapped at once: all are started
    let results = threads.map(|thread| thread.join().unwrap());
    results.iter().for_each(|result| println!("{result}"));
    assert_eq!(results, ["loop 1: slept 1", "loop 2: slept 2", "primes: counted 1229"]);
}
