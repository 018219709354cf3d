//! 2.15 · 伪共享 · False sharing: two counters that share nothing but a cache line.
//!
//! Python: below what the language shows; each number is an object of its own.
//! Rust: processors exchange memory in cache lines of 64 bytes or more. Two atomics in one line
//! slow each other down although each thread uses only its own; `CachePadded` of `crossbeam` gives
//! each a line of its own. How much that gains depends on the machine, and on one core it gains
//! nothing: measure before you pad.
//!
//! Run: `cargo run --example 2_15_false_sharing --release`
//! Notes: `notes/en/02-threads.md#false-sharing` · `notes/zh-CN/02-threads.md#false-sharing`
//!
//! ```output
//! 2 counters take 16 bytes side by side, [..] bytes padded
//! 2 threads add 500000 each [..] time  relative
//! padded [..] 1.00
//! side by side [..]
//! [..]
//! ```

use crossbeam::utils::CachePadded;
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};
use util::measure;

const EACH: u32 = 500_000;

// ANCHOR: counters
#[derive(Default)]
struct SideBySide {
    one: AtomicU64,
    other: AtomicU64,
}

#[derive(Default)]
struct Padded {
    one: CachePadded<AtomicU64>, // a `Deref`: used like the number itself
    other: CachePadded<AtomicU64>,
}

fn count(one: &AtomicU64, other: &AtomicU64) -> u64 {
    thread::scope(|s| {
        for mine in [one, other] {
            s.spawn(|| (0..EACH).for_each(|_| _ = mine.fetch_add(1, Relaxed)));
        }
    });
    one.swap(0, Relaxed) + other.swap(0, Relaxed)
}
// ANCHOR_END: counters

fn main() {
    util::case!();
    let (near, padded) = (SideBySide::default(), Padded::default());
    let sizes = (size_of_val(&near), size_of_val(&padded));
    println!("2 counters take {} bytes side by side, {} bytes padded", sizes.0, sizes.1);
    let (sum, costs) = measure::in_turns(
        Duration::ZERO,
        [&|| count(&padded.one, &padded.other), &|| count(&near.one, &near.other)],
    );
    let head = format!("2 threads add {EACH} each");
    println!("{}", measure::relative(&head, ["padded", "side by side"], costs));
    let is_slower = costs[1].wall > costs[0].wall.mul_f64(1.2);
    println!(
        "{}",
        match thread::available_parallelism().map_or(1, usize::from) {
            1 => "one core: no line goes from core to core, so this machine cannot show it",
            _ if is_slower => "this run shows it: side by side is slower",
            _ => "no clear difference: this run does not show it",
        }
    );
    assert_eq!(sum, 2 * u64::from(EACH));
    assert!(sizes.0 == 16 && sizes.1 >= 128);
}
