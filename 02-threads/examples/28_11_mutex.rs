//! 28.11 · 互斥锁 · Mutex: the lock owns the number, so no update is lost.
//!
//! Python: a `threading.Lock` beside a global; only discipline ties the two together.
//! Rust: the number is inside the lock. While threads share it, the guard is the only way to the
//! number.
//!
//! Run: `cargo run --example 28_11_mutex` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#mutex` · `notes/zh-CN/02-threads.md#mutex`
//!
//! ```output unordered
//! add: waited [..] for the lock, held it [..]
//! subtract: waited [..] for the lock, held it [..]
//! ```
//! ```output
//! sum = 0
//! ```

use std::{sync::Mutex, thread, time::Instant};
use util::timeline;

/// So many that, without the lock, the two would overlap for most of their time.
const ROUNDS: u32 = 1_000_000;

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let sum = Mutex::new(0_i64);

    // ANCHOR: threads
    thread::scope(|s| {
        s.spawn(|| change("add", &sum, 1));
        s.spawn(|| change("subtract", &sum, -1));
    }); // both threads have ended here
    // ANCHOR_END: threads

    let sum = sum.into_inner().unwrap(); // nobody else can hold it now: no lock needed
    println!("sum = {sum}");
    assert_eq!(sum, 0);
}

// ANCHOR: lock
/// Takes the lock once, around the whole loop. Right, and no faster than one
/// thread: the other one waits until this one is done (28_11_1 lets them alternate).
fn change(name: &str, sum: &Mutex<i64>, step: i64) {
    let asked = Instant::now();
    let waiting = timeline::wait(name);
    let mut sum = sum.lock().unwrap();
    drop(waiting);

    let got = Instant::now();
    let _holding = timeline::hold(name);
    for _ in 0..ROUNDS {
        *sum += step;
    }
    let (waited, held) = (got - asked, got.elapsed());
    println!("{name}: waited {waited:?} for the lock, held it {held:?}");
} // the guard is dropped here, which unlocks
// ANCHOR_END: lock
