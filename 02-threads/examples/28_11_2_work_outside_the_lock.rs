//! 28.11.2 · 锁外的工作 · Work outside the lock: it overlaps, and then a fine-grained lock pays off.
//!
//! Python: the same, with the GIL too, as long as the work outside the lock waits for something.
//! Rust: each round prepares without the lock and changes the sum with it. The threads overlap
//! wherever they do not hold the lock; with the lock around the whole loop they never would.
//!
//! Run: `cargo run --example 28_11_2_work_outside_the_lock` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#fine-grained` · `notes/zh-CN/02-threads.md#fine-grained`
//!
//! ```output unordered
//! add: 4 rounds
//! subtract: 4 rounds
//! ```
//! ```output
//! sum = 0, and at most 1 at a time held the lock
//! ```

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
};
use util::{tick, timeline};

static HOLDERS: AtomicU32 = AtomicU32::new(0);
static MOST: AtomicU32 = AtomicU32::new(0);

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let sum = Mutex::new(0);
    thread::scope(|s| {
        s.spawn(|| change("add", &sum, 1));
        s.spawn(|| change("subtract", &sum, -1));
    });
    let (sum, most) = (sum.into_inner().unwrap(), MOST.load(SeqCst));
    println!("sum = {sum}, and at most {most} at a time held the lock");
    assert_eq!((sum, most), (0, 1));
}

fn change(name: &str, sum: &Mutex<i64>, step: i64) {
    // ANCHOR: outside
    for _ in 0..4 {
        let preparing = timeline::span("prepare");
        tick::sleep(0.6); // without the lock
        drop(preparing);

        let waiting = timeline::wait(name);
        let mut sum = sum.lock().unwrap();
        drop(waiting);
        let _holding = timeline::hold(name);
        MOST.fetch_max(HOLDERS.fetch_add(1, SeqCst) + 1, SeqCst);
        tick::sleep(0.6); // with it
        *sum += step;
        HOLDERS.fetch_sub(1, SeqCst);
    } // unlocks
    // ANCHOR_END: outside
    println!("{name}: 4 rounds");
}
