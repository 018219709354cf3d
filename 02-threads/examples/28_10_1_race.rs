//! 28.10.1 · 资源竞争 · A race: load, then store, and what happened in between is lost.
//!
//! Python: `sum += 1` in two threads: three steps, and a switch between them loses an update, now and then.
//! Rust: the naive version does not compile, and here is what the compiler says to it. No *data* race is
//! possible in safe Rust; a race condition is: an atomic that is read, and written later. It
//! loses updates every time, on one core too: both threads meet in the gap, again and again.
//!
//! Run: `cargo run --example 28_10_1_race` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#race` · `notes/zh-CN/02-threads.md#race`
//!
//! ```output
//! error[E0499]: cannot borrow `sum` as mutable more than once at a time
//! ...
//! load, then store: sum = [..], [..] of 20000 updates lost
//! fetch_add: sum = 0
//! ```

use std::{
    io,
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
const MEETINGS: u32 = 10;

fn main() -> io::Result<()> {
    let _timeline = timeline::start();
    let naive = concat!(env!("CARGO_MANIFEST_DIR"), "/compile_fail/naive_shared_counter.rs");
    let answer = compiler::check(Path::new(naive))?;
    print!("{}", answer.message);
    assert!(!answer.accepted);

    let (sum, gap) = (AtomicI64::new(0), Barrier::new(2));
    let lost = thread::scope(|s| {
        let add = s.spawn(|| change(&sum, 1, &gap));
        let subtract = s.spawn(|| change(&sum, -1, &gap));
        add.join().unwrap() + subtract.join().unwrap()
    });
    let sum = sum.into_inner();
    println!("load, then store: sum = {sum}, {lost} of {} updates lost", 2 * ROUNDS);
    // The sum itself can be 0 by luck, if as many were lost on either side.
    assert!(lost >= MEETINGS);

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

// ANCHOR: race
/// Returns how many updates of the other thread it has overwritten.
fn change(sum: &AtomicI64, step: i64, gap: &Barrier) -> u32 {
    let _span = timeline::span(format_args!("{step:+}"));
    let mut lost = 0;
    for round in 0..ROUNDS {
        let seen = sum.load(SeqCst);
        if round % (ROUNDS / MEETINGS) == 0 {
            gap.wait(); // both have loaded the same number now: one update will be lost
        } else {
            thread::yield_now(); // on one core: lets the other one in
        }
        let overwritten = sum.swap(seen + step, SeqCst); // a store that tells what was there
        lost += u32::from(overwritten != seen);
    }
    lost
}
// ANCHOR_END: race
