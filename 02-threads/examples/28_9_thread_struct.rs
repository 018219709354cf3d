//! 28.9 · 线程类 · One trait for many kinds of worker: whatever has `run` can be started.
//!
//! Python: `class MyThread(Thread)` for each kind of worker, each with its own `run`.
//! Rust: a trait says what a worker can do; one function starts any of them in a thread. A list can
//! hold different kinds: each is boxed, since they have different sizes. (010 looks alike and is
//! about one struct and who owns its state.)
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
/// `Send`: a worker goes to another thread.
trait Worker: Send {
    fn name(&self) -> String;
    fn run(&mut self) -> String;
}

fn start(mut worker: Box<dyn Worker>) -> JoinHandle<String> {
    thread::spawn(move || {
        let _span = timeline::span(worker.name());
        format!("{}: {}", worker.name(), worker.run())
    })
}
// ANCHOR_END: trait

struct Loop {
    number: u32,
    ticks: u32,
}

impl Worker for Loop {
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

impl Worker for Primes {
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
    let workers: [Box<dyn Worker>; 3] = [
        Box::new(Loop { number: 1, ticks: 1 }),
        Box::new(Loop { number: 2, ticks: 2 }),
        Box::new(Primes { below: 10_000 }),
    ];
    let threads = workers.map(start); // all are started before the first is joined
    let results = threads.map(|thread| thread.join().unwrap());
    results.iter().for_each(|result| println!("{result}"));
    assert_eq!(results, ["loop 1: slept 1", "loop 2: slept 2", "primes: counted 1229"]);
}
