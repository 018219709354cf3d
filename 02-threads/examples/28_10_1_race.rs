//! 28.10.1 · 资源竞争 · A race: load, then store, and what happened in between is lost.
//!
//! Python: `sum += 1` in two threads is three steps. CPython with its GIL, since 3.10, switches
//! threads only at calls and at the end of a loop's round, so this alone loses nothing; with a call
//! between read and write, in older versions and in free-threaded builds it loses updates. The
//! language guarantees neither.
//! Rust: the naive version does not compile; the first lines below are the compiler's error. Safe
//! Rust has no *data* races. It can have race conditions: here an atomic is read, and written
//! later. That loses updates on every run, on one core as well: in 100 of the rounds both threads
//! load before either one stores.
//!
//! Run: `cargo run --example 28_10_1_race` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#race` · `notes/zh-CN/02-threads.md#race`
//!
//! ```output
//! the compiler refuses the naive version:
//! error[E0499]: cannot borrow `sum` as mutable more than once at a time
//! ...
//! load, then store: sum = [..], [..] of 20000 updates lost
//! fetch_add: sum = 0
//! ```

use std::{
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    thread,
};
use util::{compiler, timeline};

const ROUNDS: u32 = 10_000;
/// The rounds in which the two meet in the gap.
const MEETINGS: u32 = 100;

fn main() -> util::Result<()> {
    util::case!();
    let _timeline = timeline::start();
    let naive = concat!(env!("CARGO_MANIFEST_DIR"), "/compile_fail/naive_shared_counter.rs");
    let message = compiler::refusal(Path::new(naive), "E0499")?;
    print!("the compiler refuses the naive version:\n{message}");

    let (sum, gap) = (AtomicI64::new(0), Barrier::new(2));
    thread::scope(|s| {
        s.spawn(|| change(&sum, 1, &gap));
        s.spawn(|| change(&sum, -1, &gap));
    });
    let (sum, updates) = apart(sum.into_inner());
    let lost = i64::from(2 * ROUNDS) - updates;
    println!("load, then store: sum = {sum}, {lost} of {} updates lost", 2 * ROUNDS);
    // The sum itself can be 0 by luck, if as many were lost on either side.
    assert!(lost >= i64::from(MEETINGS));

    let sum = AtomicI64::new(0);
    thread::scope(|s| {
        for step in [1, -1] {
            let sum = &sum;
            // One step that nobody can come between.
            s.spawn(move || (0..ROUNDS).for_each(|_| _ = sum.fetch_add(step, SeqCst)));
        }
    });
    println!("fetch_add: sum = {}", sum.load(SeqCst));
    assert_eq!(sum.into_inner(), 0);
    Ok(())
}

/// One update, in the upper half of the number: so the number itself tells how many are in it.
const UPDATE: i64 = 1 << 32;

/// The sum, which may be negative, and the updates that are in it.
fn apart(number: i64) -> (i64, i64) {
    let updates = (number + UPDATE / 2) / UPDATE;
    (number - updates * UPDATE, updates)
}

// ANCHOR: race
fn change(sum: &AtomicI64, step: i64, gap: &Barrier) {
    let _span = timeline::span(format_args!("{step:+}"));
    for round in 0..ROUNDS {
        let meet = || {
            if round % (ROUNDS / MEETINGS) == 0 {
                _ = gap.wait()
            }
        };
        meet(); // nobody stores before both have loaded,
        let seen = sum.load(SeqCst);
        meet(); // and both have loaded the same number now, on one core as well: one store is lost
        sum.store(seen + step + UPDATE, SeqCst); // whatever was stored meanwhile is gone
    }
}
// ANCHOR_END: race
