//! 11.001 · 可迭代与迭代器 · Iterable against iterator: the list has the items, the iterator a place among them.
//!
//! Python: `dir(list)` shows `__iter__`, `dir(iter(list))` shows `__next__` too; past the end comes
//! `StopIteration`, every time.
//! Rust: an iterator over a list is two addresses: the next item, and the end. After the end `next`
//! gives `None`; most iterators do so forever (*fused*), but the trait does not promise it: one
//! that may wake up again is made quiet by `fuse`.
//!
//! Run: `cargo run --example 11_001_iterable_vs_iterator`
//! Notes: `notes/en/04-coroutines.md#iterators` · `notes/zh-CN/04-coroutines.md#iterators`
//!
//! ```output
//! the list: [..] bytes and its items; its iterator: 16 bytes
//! next: Some(10), and left are [20, 30]
//! next: Some(20), and left are [30]
//! next: Some(30), and left are []
//! next: None, and left are []
//! next: None, and left are []
//! a second iterator begins anew: Some(10)
//! not fused: Some(1) None Some(3) None Some(5)
//! fused:     Some(1) None None None None
//! ```

use std::mem::size_of_val;

/// Says `None` every second time, and goes on after it. It is allowed, and `for` stops at the first
/// `None`.
struct EverySecond(u32);

impl Iterator for EverySecond {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0 += 1;
        (self.0 % 2 == 1).then_some(self.0)
    }
}

fn five(mut items: impl Iterator<Item = u32>) -> [Option<u32>; 5] {
    std::array::from_fn(|_| items.next())
}

fn words(items: [Option<u32>; 5]) -> String {
    items.map(|item| format!("{item:?}")).join(" ")
}

fn main() {
    util::case!();
    // ANCHOR: next
    let list = vec![10, 20, 30];
    let mut iterator = list.iter();
    // ANCHOR_END: next
    println!(
        "the list: {} bytes and its items; its iterator: {} bytes",
        size_of_val(&list),
        size_of_val(&iterator)
    );
    for expected in [Some(&10), Some(&20), Some(&30), None, None] {
        let next = iterator.next();
        println!("next: {next:?}, and left are {:?}", iterator.as_slice());
        assert_eq!(next, expected);
    }
    let mut second = list.iter();
    let first = second.next();
    println!("a second iterator begins anew: {first:?}");
    assert_eq!(first, Some(&10));

    // ANCHOR: fuse
    let (open, fused) = (five(EverySecond(0)), five(EverySecond(0).fuse()));
    // ANCHOR_END: fuse
    println!("not fused: {}", words(open));
    println!("fused:     {}", words(fused));
    assert_eq!(open, [Some(1), None, Some(3), None, Some(5)]);
    assert_eq!(fused, [Some(1), None, None, None, None]);
}
