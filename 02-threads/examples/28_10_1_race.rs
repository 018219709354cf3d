//! 28.10.1 · 资源竞争 · A race: load, then store, and what happened in between is lost.
//!
//! Python: `sum += 1` in two threads is three steps. CPython with its GIL, since 3.10, switches
//! threads only at calls and at the end of a loop's round, so this alone loses nothing; with a call
//! between read and write, in older versions and in free-threaded builds it loses updates. The
//! language guarantees neither.
//! Rust: the naive version does not compile; the first lines below are the compiler's error. Safe
//! Rust has no *data* races. It can have race conditions: here an atomic is read, and written
//! later. That loses updates on every run, on one core as well: in 100 of the rounds both threads
//! load before either one stores. `cargo test -p checks --test models -- --nocapture race` draws
//! it.
//!
//! Run: `cargo run --example 28_10_1_race` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#race` · `notes/zh-CN/02-threads.md#race`
//!
//! ```output
//! the compiler refuses the naive version:
//! error[E0499]: cannot borrow `sum` as mutable more than once at a time
//! ...
//! load, then store: sum = [..], so [..] of 20000 updates are lost
//! fetch_add: sum = 20000
//! ```

use std::{
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
};
use util::{compiler, timeline};

/// Each of the two threads adds 1 so often.
const ROUNDS: u32 = 10_000;

fn main() -> util::Result<()> {
    util::case!();
    let _timeline = timeline::start();
    let naive = concat!(env!("CARGO_MANIFEST_DIR"), "/compile_fail/naive_shared_counter.rs");
    let message = compiler::refusal(Path::new(naive), "E0499")?;
    print!("the compiler refuses the naive version:\n{message}");

    let (sum, both) = (AtomicU32::new(0), Barrier::new(2));
    thread::scope(|s| {
        s.spawn(|| load_then_store(&sum, &both));
        s.spawn(|| load_then_store(&sum, &both));
    });
    let sum = sum.into_inner();
    let lost = 2 * ROUNDS - sum;
    println!("load, then store: sum = {sum}, so {lost} of {} updates are lost", 2 * ROUNDS);
    assert!(lost >= 100, "one in each round in which both load first");

    let sum = AtomicU32::new(0);
    thread::scope(|s| {
        s.spawn(|| fetch_add(&sum));
        s.spawn(|| fetch_add(&sum));
    });
    println!("fetch_add: sum = {sum:?}");
    assert_eq!(sum.into_inner(), 2 * ROUNDS);
    Ok(())
}

// ANCHOR: race
fn load_then_store(sum: &AtomicU32, both: &Barrier) {
    let _span = timeline::span("load, store");
    for round in 0..ROUNDS {
        // In every hundredth round the two wait for each other, so that chance is not needed.
        let together = round % 100 == 0;
        if together {
            both.wait();
        }
        let seen = sum.load(SeqCst);
        if together {
            both.wait(); // both have loaded the same number
        }
        sum.store(seen + 1, SeqCst); // what was stored since the load is gone
    }
}

fn fetch_add(sum: &AtomicU32) {
    for _ in 0..ROUNDS {
        sum.fetch_add(1, SeqCst); // one step: nothing can happen in between
    }
}
// ANCHOR_END: race
