//! 28.11.1 · 细粒度锁 · The lock inside the loop: still one thread at a time, and each round pays for the lock.
//!
//! Python: `acquire` and `release` in each round.
//! Rust: the same. Locking 100,000 times costs more than locking once, and if all the work is under
//! the lock, nothing is gained. The two threads need not alternate: std's mutex is unfair. For one
//! number an atomic is the right tool. Not sharing costs least: one sum per thread, added up at the
//! end. (28_11_2 shows when a fine-grained lock pays off.)
//! Mistake: a lock so fine that the read and the write are two critical sections;
//! `cargo test -p checks --test models -- --nocapture too_fine` shows the lost update.
//!
//! Run: `cargo run --example 28_11_1_fine_grained_mutex`
//! Notes: `notes/en/02-threads.md#fine-grained` · `notes/zh-CN/02-threads.md#fine-grained`
//!
//! ```output
//! 100000 times +1 and -1 [..] time  relative
//! lock around the loop (28_11)[..]  1.00
//! lock inside the loop [..]
//! atomic [..]
//! one sum per thread [..]
//! all four sums are 0
//! ```

use std::{
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};
use util::measure;

const ROUNDS: u32 = 100_000;

fn main() {
    util::case!();
    // ANCHOR: ways
    let around = || {
        let sum = Mutex::new(0);
        two_threads(|step| {
            let mut sum = sum.lock().unwrap();
            (0..ROUNDS).for_each(|_| *sum += step);
        });
        sum.into_inner().unwrap()
    };
    let inside = || {
        let sum = Mutex::new(0);
        // The guard lives until the end of the statement: each round locks and unlocks.
        two_threads(|step| (0..ROUNDS).for_each(|_| *sum.lock().unwrap() += step));
        sum.into_inner().unwrap()
    };
    let atomic = || {
        let sum = AtomicI64::new(0);
        two_threads(|step| (0..ROUNDS).for_each(|_| _ = sum.fetch_add(step, SeqCst)));
        sum.into_inner()
    };
    let own = || {
        let total = AtomicI64::new(0);
        two_threads(|step| {
            let mut sum = 0;
            (0..ROUNDS).for_each(|_| sum += step);
            total.fetch_add(sum, SeqCst); // shared once
        });
        total.into_inner()
    };
    // ANCHOR_END: ways
    let names =
        ["lock around the loop (28_11)", "lock inside the loop", "atomic", "one sum per thread"];
    let (sum, costs) = measure::in_turns(Duration::ZERO, [&around, &inside, &atomic, &own]);
    println!("{}", measure::relative("100000 times +1 and -1", names, costs));
    println!("all four sums are {sum}");
    assert_eq!(sum, 0);
}

fn two_threads(change: impl Fn(i64) + Sync) {
    thread::scope(|s| {
        s.spawn(|| change(1));
        s.spawn(|| change(-1));
    });
}
