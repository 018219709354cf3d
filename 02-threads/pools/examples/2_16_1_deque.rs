//! 2.16.1 · 双端队列 · A work-stealing deque: the owner takes the newest task, thieves take the oldest.
//!
//! Python: none in the library.
//! Rust: each thread of a pool like rayon's has a deque of `crossbeam`. The owner works at one end:
//! what it pushed last is still in its cache. An idle thread steals at the other end: there stand
//! the oldest tasks, which in fork and join are the largest, and the two do not disturb each other.
//!
//! Run: `cargo run --example 2_16_1_deque`
//! Notes: `notes/en/02-threads.md#work-stealing` · `notes/zh-CN/02-threads.md#work-stealing`
//!
//! ```output
//! pushed: 1 2 3 4
//! the owner pops 4, a thief steals 1
//! 2 thieves and the owner took 1000 tasks, each once
//! ```

use crossbeam::deque::{Steal, Stealer, Worker};
use std::{iter, thread};

fn main() {
    util::case!();
    // ANCHOR: ends
    let tasks = Worker::new_lifo();
    (1..=4).for_each(|task| tasks.push(task));
    println!("pushed: 1 2 3 4");
    let thief = tasks.stealer(); // a handle that other threads may have
    let (popped, stolen) = (tasks.pop().unwrap(), thief.steal().success().unwrap());
    println!("the owner pops {popped}, a thief steals {stolen}");
    // ANCHOR_END: ends
    assert_eq!((popped, stolen), (4, 1));

    // ANCHOR: thieves
    let tasks = Worker::new_lifo();
    (0..1000).for_each(|task| tasks.push(task));
    let thieves = [tasks.stealer(), tasks.stealer()];
    let mut taken = thread::scope(|s| {
        let stolen = thieves.map(|thief| s.spawn(move || steal_all(&thief)));
        let mut taken: Vec<u32> = iter::from_fn(|| tasks.pop()).collect();
        stolen.into_iter().for_each(|thief| taken.extend(thief.join().unwrap()));
        taken
    });
    // ANCHOR_END: thieves
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..1000));
    println!("2 thieves and the owner took 1000 tasks, each once");
}

fn steal_all(thief: &Stealer<u32>) -> Vec<u32> {
    let mut taken = Vec::new();
    loop {
        match thief.steal() {
            Steal::Success(task) => taken.push(task),
            Steal::Retry => {} // another thread took it at that moment
            Steal::Empty => return taken,
        }
    }
}
