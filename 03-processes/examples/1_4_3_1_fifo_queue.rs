//! 1.4.3.1 · 先进先出队列 · FIFO: first in, first out, for one thread and for many.
//!
//! Python: `queue.Queue`, with a lock inside, whether or not threads share it.
//! Rust: `VecDeque` for one owner, without a lock; `SegQueue` to be shared by threads. Between
//! processes: 004.
//!
//! Run: `cargo run --example 1_4_3_1_fifo_queue`
//! Notes: `notes/en/03-processes.md#fifo-lifo` · `notes/zh-CN/03-processes.md#fifo-lifo`
//!
//! ```output
//! VecDeque: 0 1 2 3 4
//! SegQueue, one thread puts, one takes: in order, 1000 of 1000
//! ```

use crossbeam_queue::SegQueue;
use std::{collections::VecDeque, thread};

fn main() {
    util::case!();
    // ANCHOR: deque
    let mut queue = VecDeque::new();
    (0..5).for_each(|number| queue.push_back(number));
    let taken: Vec<i32> = std::iter::from_fn(|| queue.pop_front()).collect();
    // ANCHOR_END: deque
    let words: Vec<String> = taken.iter().map(i32::to_string).collect();
    println!("VecDeque: {}", words.join(" "));
    assert_eq!(taken, [0, 1, 2, 3, 4]);

    let queue = SegQueue::new();
    let taken = thread::scope(|s| {
        s.spawn(|| (0..1000).for_each(|number| queue.push(number)));
        let taker = s.spawn(|| {
            let mut taken = Vec::new();
            while taken.len() < 1000 {
                match queue.pop() {
                    Some(number) => taken.push(number),
                    None => thread::yield_now(), // it never waits: to wait, take a channel (28_12)
                }
            }
            taken
        });
        taker.join().unwrap()
    });
    assert!(taken.is_sorted());
    println!("SegQueue, one thread puts, one takes: in order, {} of 1000", taken.len());
}
