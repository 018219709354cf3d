//! 013.2 · 超时放弃 · Lock time-out: who waits too long gives up what it holds, and tries again.
//!
//! Python: `lock.acquire(timeout=…)`.
//! Rust: `std`'s mutex has no time-out, `parking_lot`'s has. Both threads must not try again
//! in the same rhythm, or they meet forever (a livelock): here each waits a time of its own.
//!
//! Run: `cargo run --example 013_2_lock_timeout` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#deadlock` · `notes/zh-CN/02-threads.md#deadlock`
//!
//! ```output unordered
//! sing: 20 rounds, gave up [..] times
//! dance: 20 rounds, gave up [..] times
//! ```
//! ```output
//! both done: 40 rounds
//! ```

use parking_lot::Mutex;
use std::{sync::Barrier, thread};
use util::{tick, timeline};

const ROUNDS: u32 = 20;

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let (a, b) = (Mutex::new(0), Mutex::new(0));
    let both_hold_one = Barrier::new(2);
    let gave_up = thread::scope(|s| {
        let sing = s.spawn(|| perform("sing", [&a, &b], 0.1, &both_hold_one));
        let dance = s.spawn(|| perform("dance", [&b, &a], 0.25, &both_hold_one));
        sing.join().unwrap() + dance.join().unwrap()
    });
    let (a, b) = (a.into_inner(), b.into_inner());
    println!("both done: {a} rounds");
    assert_eq!((a, b), (2 * ROUNDS, 2 * ROUNDS));
    assert!(gave_up >= 1, "in the first round each held what the other one wanted");
}

/// Returns how often it had to give up.
fn perform(name: &str, [first, second]: [&Mutex<u32>; 2], patience: f64, both: &Barrier) -> u32 {
    let mut gave_up = 0;
    for round in 0..ROUNDS {
        // ANCHOR: retry
        loop {
            let mut one = first.lock();
            if round == 0 && gave_up == 0 {
                both.wait(); // the deadlock of 013, for certain
            }
            let waiting = timeline::wait(name);
            if let Some(mut other) = second.try_lock_for(tick::ticks(patience)) {
                drop(waiting);
                let _holding = timeline::hold(name);
                *one += 1;
                *other += 1;
                break;
            }
            drop(one); // lets the other one go on: that is the point
            drop(waiting);
            gave_up += 1;
            tick::sleep(patience);
        }
        // ANCHOR_END: retry
    }
    println!("{name}: {ROUNDS} rounds, gave up {gave_up} times");
    gave_up
}
