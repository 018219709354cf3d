//! 28.11.1 · 细粒度锁 · The lock inside the loop: still one thread at a time, and every round pays for the lock.
//!
//! Python: `acquire` and `release` in each round.
//! Rust: the same, and what it costs: locking 100,000 times costs more than locking once, and if
//! all the work is under the lock, nothing is gained. The two need not alternate: std's mutex is
//! unfair. A fine-grained lock pays off when each round also has work outside the lock, as the slow
//! rounds at the end show in the picture. For one number an atomic is the right tool. Not sharing
//! costs least: one sum per thread, added up at the end.
//!
//! Run: `cargo run --example 28_11_1_fine_grained_mutex` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#fine-grained` · `notes/zh-CN/02-threads.md#fine-grained`
//!
//! ```output
//! 100000 times +1 and -1 [..] time  against 28_11
//! lock around the loop (28_11)[..]  1.00
//! lock inside the loop [..]
//! atomic [..]
//! one sum a thread [..]
//! all four sums are 0
//! ```
//! ```output unordered
//! add: 4 slow rounds
//! subtract: 4 slow rounds
//! ```
//! ```output
//! at most 1 at a time held the lock
//! ```

use std::{
    sync::{
        Mutex,
        atomic::{AtomicI64, AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};
use util::{measure::Table, tick, timeline};

const ROUNDS: u32 = 100_000;

fn main() {
    util::case!();
    let _timeline = timeline::start();
    compare();
    slow_rounds();
}

fn compare() {
    let _span = timeline::span("compares");
    let (coarse, fine) = (Mutex::new(0), Mutex::new(0));
    let (atomic, total) = (AtomicI64::new(0), AtomicI64::new(0));
    let times = [
        // ANCHOR: ways
        (
            "lock around the loop (28_11)",
            by_two_threads(|step| {
                let mut sum = coarse.lock().unwrap();
                (0..ROUNDS).for_each(|_| *sum += step);
            }),
        ),
        (
            "lock inside the loop",
            by_two_threads(|step| {
                // The guard lives until the end of the statement: locked and unlocked each time.
                (0..ROUNDS).for_each(|_| *fine.lock().unwrap() += step);
            }),
        ),
        (
            "atomic",
            by_two_threads(|step| {
                (0..ROUNDS).for_each(|_| _ = atomic.fetch_add(step, SeqCst));
            }),
        ),
        (
            "one sum a thread",
            by_two_threads(|step| {
                let mut sum = 0;
                (0..ROUNDS).for_each(|_| sum += step);
                total.fetch_add(sum, SeqCst);
            }),
        ),
        // ANCHOR_END: ways
    ];
    let mut table = Table::new(["100000 times +1 and -1", "time", "against 28_11"]);
    for (name, time) in times {
        let ratio = time.as_secs_f64() / times[0].1.as_secs_f64();
        table.row([name.into(), format!("{time:.1?}"), format!("{ratio:.2}")]);
    }
    println!("{table}");
    let sums = [coarse.into_inner().unwrap(), fine.into_inner().unwrap()];
    assert_eq!((sums, atomic.into_inner(), total.into_inner()), ([0, 0], 0, 0));
    println!("all four sums are 0");
}

fn by_two_threads(change: impl Fn(i64) + Sync) -> Duration {
    let started = Instant::now();
    thread::scope(|s| {
        s.spawn(|| change(1));
        s.spawn(|| change(-1));
    });
    started.elapsed()
}

/// What each round prepares, it prepares without the lock: there the two overlap.
fn slow_rounds() {
    let (sum, holders, most) = (Mutex::new(0_i64), AtomicU32::new(0), AtomicU32::new(0));
    let change = |name: &str, step| {
        for _ in 0..4 {
            let preparing = timeline::span("prepare");
            tick::sleep(0.6);
            drop(preparing);

            let waiting = timeline::wait(name);
            let mut sum = sum.lock().unwrap();
            drop(waiting);
            let _holding = timeline::hold(name);
            most.fetch_max(holders.fetch_add(1, SeqCst) + 1, SeqCst);
            tick::sleep(0.6);
            *sum += step;
            holders.fetch_sub(1, SeqCst);
        }
        println!("{name}: 4 slow rounds");
    };
    thread::scope(|s| {
        s.spawn(|| change("add", 1));
        s.spawn(|| change("subtract", -1));
    });
    let most = most.into_inner();
    println!("at most {most} at a time held the lock");
    assert_eq!((most, sum.into_inner().unwrap()), (1, 0));
}
