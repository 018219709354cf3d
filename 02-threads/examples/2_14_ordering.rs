//! 2.14 · 内存序 · Memory ordering: a flag publishes data, if it is stored with Release and loaded with Acquire.
//!
//! Python: no choice; every operation on an object takes its lock or the GIL.
//! Rust: each atomic operation names its ordering. A load with `Acquire` that sees what a store
//! with `Release` wrote sees all that was written before that store as well.
//! Mistake: `Relaxed` on the flag. It orders nothing but the flag itself, so the reader may see the
//! flag and the old data. x86 processors do not reorder these two stores or these two loads, so
//! this machine may never show it; the model checker loom does: `cargo test -p checks --test models
//! -- --nocapture relaxed`.
//!
//! Run: `cargo run --example 2_14_ordering`
//! Notes: `notes/en/02-threads.md#ordering` · `notes/zh-CN/02-threads.md#ordering`
//!
//! ```output
//! Release and Acquire: 42 was read in 500 of 500 rounds
//! Relaxed: 42 was read in [..] of 500 rounds on this [..] processor, which proves nothing
//! ```

use std::{
    env::consts::ARCH,
    sync::atomic::{
        AtomicBool, AtomicU32,
        Ordering::{self, Acquire, Relaxed, Release},
    },
    thread,
};

const ROUNDS: usize = 500;

// ANCHOR: publish
#[derive(Default)]
struct Shared {
    data: AtomicU32,
    ready: AtomicBool,
}

fn publish(shared: &Shared, store: Ordering) {
    shared.data.store(42, Relaxed);
    shared.ready.store(true, store); // Release: what stands above is written before
}

fn read(shared: &Shared, load: Ordering) -> u32 {
    while !shared.ready.load(load) {
        // Acquire: what stands below is read after
        thread::yield_now();
    }
    shared.data.load(Relaxed)
}
// ANCHOR_END: publish

fn rounds_with_42(store: Ordering, load: Ordering) -> usize {
    let round = |_: &usize| {
        let shared = Shared::default();
        thread::scope(|s| {
            s.spawn(|| publish(&shared, store));
            read(&shared, load) == 42
        })
    };
    (0..ROUNDS).filter(round).count()
}

fn main() {
    util::case!();
    let right = rounds_with_42(Release, Acquire);
    println!("Release and Acquire: 42 was read in {right} of {ROUNDS} rounds");
    let relaxed = rounds_with_42(Relaxed, Relaxed);
    println!(
        "Relaxed: 42 was read in {relaxed} of {ROUNDS} rounds on this {ARCH} processor, which proves nothing"
    );
    assert_eq!(right, ROUNDS);
}
