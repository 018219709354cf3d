//! 11.002 · 迭代器的类型 · The type of an iterator: three ways to return one.
//!
//! Python: `isinstance(x, Iterator)` looks for two methods; what class it is matters to nobody.
//! Rust: every iterator has a type of its own, and every adapter makes a new one. A function names
//! it, or says `impl Iterator` ("one type, which I do not name"), or `Box<dyn Iterator>` ("one of
//! several, decided while it runs"). The last costs an allocation and a call by pointer for each
//! item.
//!
//! Run: `cargo run --example 11_002_iterator_types`
//! Notes: `notes/en/04-coroutines.md#iterators` · `notes/zh-CN/04-coroutines.md#iterators`
//!
//! ```output
//! named:         3 items sum up to 12; 0 allocations
//! impl Iterator: 3 items sum up to 12; 0 allocations
//! dyn Iterator:  3 items sum up to 12; 1 allocation
//! dyn, reversed: 3 items sum up to 12; 1 allocation
//! ```

use std::{iter::StepBy, ops::Range};
use util::heap;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

// ANCHOR: three
/// Named: the caller knows all that it can do, and so may keep it in a field of a struct.
fn named() -> StepBy<Range<u32>> {
    (2..8).step_by(2)
}

/// Not named: it may change without the caller's noticing. Closures have no name, so often it
/// cannot be otherwise.
fn opaque() -> impl Iterator<Item = u32> {
    (1..).map(|n| n * 2).take_while(|n| *n < 8)
}

/// Two types, one of which it will be: behind a pointer they look the same.
fn boxed(reversed: bool) -> Box<dyn Iterator<Item = u32>> {
    if reversed { Box::new(named().rev()) } else { Box::new(named()) }
}
// ANCHOR_END: three

// ANCHOR: generic
/// Takes any of them. For each type there is a copy of this function, with its `next` built in.
fn total(items: impl Iterator<Item = u32>) -> (u32, u32) {
    items.fold((0, 0), |(count, sum), item| (count + 1, sum + item))
}
// ANCHOR_END: generic

fn main() {
    util::case!();
    for (name, ((count, sum), used), expected) in [
        ("named:", heap::used(|| total(named())), 0),
        ("impl Iterator:", heap::used(|| total(opaque())), 0),
        ("dyn Iterator:", heap::used(|| total(boxed(false))), 1),
        ("dyn, reversed:", heap::used(|| total(boxed(true))), 1),
    ] {
        let plural = if used.allocations == 1 { "" } else { "s" };
        println!(
            "{name:14} {count} items sum up to {sum}; {} allocation{plural}",
            used.allocations
        );
        assert_eq!((count, sum, used.allocations), (3, 12, expected));
    }
    assert!(opaque().eq(named()) && boxed(true).eq([6, 4, 2]));
}
