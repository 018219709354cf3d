//! 11.005 · 为什么用生成器 · Why lazy: a range against a list of the same numbers, in bytes and in steps.
//!
//! Python: `range(1000000)` against `list(range(1000000))`; the list holds a million objects.
//! Rust: the range is its two ends; the list is four bytes a number. And who stops early has only
//! paid for what was asked for.
//!
//! Run: `cargo run --example 11_005_why_generators`
//! Notes: `notes/en/04-coroutines.md#lazy` · `notes/zh-CN/04-coroutines.md#lazy`
//!
//! ```output
//! numbers  lazy, bytes  allocations  eager, bytes  allocations
//! 1000               8            0          4000            1
//! 10000              8            0         40000            1
//! 100000             8            0        400000            1
//! 1000000            8            0       4000000            1
//! the first square over 500: 529; lazy: 24 squares made, eager: 1000
//! ```

use std::{cell::Cell, hint::black_box, mem::size_of_val};
use util::{heap, measure::Table};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

fn main() {
    util::case!();
    let mut table =
        Table::new(["numbers", "lazy, bytes", "allocations", "eager, bytes", "allocations"]);
    for count in [1_000_u32, 10_000, 100_000, 1_000_000] {
        // ANCHOR: measure
        let lazy = 0..count;
        let bytes = size_of_val(&lazy); // where it is, and where it ends
        let (sum, walked) = heap::used(|| black_box(lazy).map(u64::from).sum::<u64>());
        let (list, eager) = heap::used(|| (0..count).collect::<Vec<u32>>());
        // ANCHOR_END: measure
        table.row([
            count as usize,
            bytes,
            walked.allocations,
            eager.held as usize,
            eager.allocations,
        ]);
        assert_eq!(sum, list.iter().map(|n| u64::from(*n)).sum());
        assert_eq!((bytes, walked.allocations, walked.peak), (8, 0, 0));
        assert_eq!(eager.held, 4 * count as isize);
    }
    println!("{table}");

    // ANCHOR: early
    let made = Cell::new(0);
    let square = |n: u32| {
        made.set(made.get() + 1);
        n * n
    };
    let first = (0..1000).map(square).find(|square| *square > 500);
    let lazy = made.take();
    let all: Vec<u32> = (0..1000).map(square).collect();
    let same = all.into_iter().find(|square| *square > 500);
    let eager = made.take();
    // ANCHOR_END: early
    println!(
        "the first square over 500: {}; lazy: {lazy} squares made, eager: {eager}",
        first.unwrap()
    );
    assert_eq!((first, same), (Some(529), Some(529)));
    assert_eq!((lazy, eager), (24, 1000));
}
