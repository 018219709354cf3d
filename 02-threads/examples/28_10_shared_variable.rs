//! 28.10 · 共享变量 · A shared variable, one thread after the other: nothing can go wrong.
//!
//! Python: both threads change one global; joined in turn, the sum is 0.
//! Rust: each thread borrows the number exclusively, and the scope gives it back before the next
//! one begins. The compiler sees that they take turns, so no lock is needed.
//!
//! Run: `cargo run --example 28_10_shared_variable` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#shared` · `notes/zh-CN/02-threads.md#shared`
//!
//! ```output
//! after 100000 times +1: 100000
//! after 100000 times -1: 0
//! ```

use std::thread;
use util::timeline;

const ROUNDS: u32 = 100_000;

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let mut sum = 0;
    // ANCHOR: turns
    for step in [1, -1] {
        thread::scope(|s| {
            s.spawn(|| change(&mut sum, step));
        }); // the thread is over, and `sum` is ours again
        println!("after {ROUNDS} times {step:+}: {sum}");
    }
    // ANCHOR_END: turns
    assert_eq!(sum, 0);
}

fn change(sum: &mut i64, step: i64) {
    let _span = timeline::span(format_args!("{step:+}"));
    for _ in 0..ROUNDS {
        *sum += step;
    }
}
