//! 3.7.1 · 共享的数 · Shared numbers: atomics in memory that several processes map.
//!
//! Python: `Value('Q', 0)` and `Array('Q', 4)`. Each has a lock, but `total.value += 1` reads under
//! it and writes under it, and is unlocked in between: increments are lost unless the program
//! writes `with total.get_lock():`. `RawValue` and `RawArray` have no lock.
//! Rust: `Value` and `Array` dereference to the standard library's atomics. `fetch_add` is one
//! step, so there is no lock to forget, and none that a killed process could keep. Two numbers that
//! have to change together go behind a `Mutex`.
//! Mistake: `load`, then `store`. The barrier makes both processes load before either stores.
//!
//! Run: `cargo run --example 3_7_1_value_array` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#value-array` · `notes/zh-CN/03-processes.md#value-array`
//!
//! ```output
//! load, then store: 2 processes add 1 each, and the value is 1
//! fetch_add: 4 processes add 1 a thousand times each, and the value is 4000
//! each process counted in its own element: [1000, 1000, 1000, 1000]
//! a mutex around two numbers: after 4000 transfers they are [6000, 4000], and their sum was never wrong
//! ```

use multiproc::shared::{Array, Value};
use multiproc::sync::{Barrier, Mutex};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use util::timeline;

const TIMES: u64 = 1000;
const PROCESSES: usize = 4;

/// The mistake: another process stores between this one's `load` and its `store`.
fn add_in_two_steps((total, both_have_loaded): (Value<AtomicU64>, Barrier)) {
    let _span = timeline::span("load, store");
    let seen = total.load(Relaxed);
    both_have_loaded.wait().unwrap();
    total.store(seen + 1, Relaxed);
}

// ANCHOR: count
fn count((total, each, number): (Value<AtomicU64>, Array<AtomicU64>, usize)) {
    let _span = timeline::span("fetch_add");
    for _ in 0..TIMES {
        total.fetch_add(1, Relaxed);
        each[number].fetch_add(1, Relaxed);
    }
}
// ANCHOR_END: count

// ANCHOR: transfer
fn transfer(accounts: Mutex<[u64; 2]>) {
    let _span = timeline::span("transfer");
    for _ in 0..TIMES {
        let mut accounts = accounts.lock().unwrap();
        assert_eq!(accounts.iter().sum::<u64>(), 10_000);
        accounts[0] -= 1;
        accounts[1] += 1; // nobody has seen that one unit was missing
    }
}
// ANCHOR_END: transfer

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();

    let (total, barrier) = (Value::<AtomicU64>::new(0)?, Barrier::new(2)?);
    let add = || multiproc::spawn(add_in_two_steps, (total.clone(), barrier.clone()));
    let children = [add()?, add()?];
    children.iter().try_for_each(|child| child.join())?;
    let lost = total.load(Relaxed);
    println!("load, then store: 2 processes add 1 each, and the value is {lost}");
    assert_eq!(lost, 1);

    // ANCHOR: shared
    let total = Value::<AtomicU64>::new(0)?;
    let each = Array::<AtomicU64>::new(PROCESSES)?;
    let start = |number| multiproc::spawn(count, (total.clone(), each.clone(), number));
    let children: Vec<_> = (0..PROCESSES).map(start).collect::<Result<_, _>>()?;
    children.iter().try_for_each(|child| child.join())?; // `join` makes all of it visible here
    // ANCHOR_END: shared
    let sum = total.load(Relaxed);
    println!(
        "fetch_add: {PROCESSES} processes add 1 a thousand times each, and the value is {sum}"
    );
    println!("each process counted in its own element: {each:?}");
    assert_eq!(sum, PROCESSES as u64 * TIMES);
    assert!(each.iter().all(|count| count.load(Relaxed) == TIMES));

    let accounts = Mutex::new([10_000, 0])?;
    let start = |_| multiproc::spawn(transfer, accounts.clone());
    let children: Vec<_> = (0..PROCESSES).map(start).collect::<Result<_, _>>()?;
    children.iter().try_for_each(|child| child.join())?; // fails if a child's assertion has
    let accounts = *accounts.lock().unwrap();
    println!(
        "a mutex around two numbers: after {sum} transfers they are {accounts:?}, and their sum \
         was never wrong"
    );
    assert_eq!(accounts, [6000, 4000]);
    Ok(())
}
