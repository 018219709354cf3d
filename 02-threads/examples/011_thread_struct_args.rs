//! 011 · 线程封装传参 · Arguments: by the constructor; and where `join` stands decides what runs at once.
//!
//! Python: a loop that starts and joins each thread in turn, so one runs after the other.
//! Rust: the same, and it is as easy to get wrong. Start all, then join all.
//!
//! Run: `cargo run --example 011_thread_struct_args` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#struct` · `notes/zh-CN/02-threads.md#struct`
//!
//! ```output
//! start, join, start, join: at most 1 at once, [..] ticks
//! start all, join all: at most [..] at once, [..] ticks
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};
use util::{tick, timeline};

/// How many are at work, and the most there ever were.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

struct Worker {
    number: u32,
    gauge: Arc<Gauge>,
}

impl Worker {
    fn new(number: u32, gauge: &Arc<Gauge>) -> Worker {
        Worker { number, gauge: Arc::clone(gauge) }
    }

    fn run(self) {
        let _span = timeline::span(format_args!("worker {}", self.number));
        let now = self.gauge.now.fetch_add(1, SeqCst) + 1;
        self.gauge.most.fetch_max(now, SeqCst);
        tick::sleep(1);
        self.gauge.now.fetch_sub(1, SeqCst);
    }
}

fn main() {
    util::case!();
    let _timeline = timeline::start();

    let (gauge, started) = (Arc::default(), tick::elapsed());
    // ANCHOR: in_turn
    for number in 1..=5 {
        let worker = Worker::new(number, &gauge);
        thread::spawn(|| worker.run()).join().unwrap();
    }
    // ANCHOR_END: in_turn
    let (most, took) = (gauge.most.load(SeqCst), tick::elapsed() - started);
    println!("start, join, start, join: at most {most} at once, {took:.1} ticks");
    assert!(most == 1 && took >= 5.0);

    let (gauge, started) = (Arc::default(), tick::elapsed());
    // ANCHOR: at_once
    let workers = (1..=5).map(|number| Worker::new(number, &gauge));
    // `collect` is what starts them all: a lazy iterator would start and join one at a time.
    let threads: Vec<_> = workers.map(|worker| thread::spawn(|| worker.run())).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    // ANCHOR_END: at_once
    let (most, took) = (gauge.most.load(SeqCst), tick::elapsed() - started);
    println!("start all, join all: at most {most} at once, {took:.1} ticks");
    assert_eq!(gauge.now.load(SeqCst), 0);
}
