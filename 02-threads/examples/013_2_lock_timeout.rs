//! 013.2 · 超时放弃 · Lock time-out: a thread that times out releases its lock and retries.
//!
//! Python: `lock.acquire(timeout=…)`.
//! Rust: `std`'s mutex has no time-out, `parking_lot`'s has. A thread that gives up waits a moment,
//! the *back-off*, before it retries. If both back off equally long, they may collide each time:
//! both run and neither gets anywhere, which is called a *livelock*. So the two back off
//! differently.
//! Mistake: to keep the first lock while retrying;
//! `cargo test -p checks --test models -- --nocapture keeping` shows it.
//!
//! Run: `cargo run --example 013_2_lock_timeout` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#deadlock` · `notes/zh-CN/02-threads.md#deadlock`
//!
//! ```output unordered
//! sing: 20 rounds, timed out [..] times
//! dance: 20 rounds, timed out [..] times
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
    let timed_out = thread::scope(|s| {
        let sing = s.spawn(|| perform("sing", &a, &b, 0.1, &both_hold_one));
        let dance = s.spawn(|| perform("dance", &b, &a, 0.25, &both_hold_one));
        sing.join().unwrap() + dance.join().unwrap()
    });
    let (a, b) = (a.into_inner(), b.into_inner());
    println!("both done: {a} rounds");
    assert_eq!((a, b), (2 * ROUNDS, 2 * ROUNDS));
    assert!(timed_out >= 1, "at first each held what the other one wanted");
}

/// Returns how often it timed out.
fn perform(
    name: &str,
    first: &Mutex<u32>,
    second: &Mutex<u32>,
    back_off: f64,
    both: &Barrier,
) -> u32 {
    let mut done = 0;
    let mut timed_out = 0;
    // ANCHOR: retry
    while done < ROUNDS {
        let mut one = first.lock();
        if done == 0 && timed_out == 0 {
            both.wait(); // now each holds one: the deadlock of 013
        }
        let waiting = timeline::wait(name);
        let other = second.try_lock_for(tick::ticks(back_off));
        drop(waiting);
        if let Some(mut other) = other {
            *one += 1;
            *other += 1;
            done += 1;
        } else {
            timed_out += 1;
            drop(one); // so that the other thread can go on
            tick::sleep(back_off);
        }
    }
    // ANCHOR_END: retry
    println!("{name}: {ROUNDS} rounds, timed out {timed_out} times");
    timed_out
}
