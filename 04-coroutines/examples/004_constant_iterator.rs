//! 004 · 永远返回 111 · A constant iterator: `next` that never says `None` is a loop that never ends.
//!
//! Python: `__next__` returns 111 forever; the loop prints until somebody stops it.
//! Rust: the same, and it is no mistake: who loops says how many it wants. `take` makes an endless
//! iterator end.
//!
//! Run: `cargo run --example 004_constant_iterator`
//! Notes: `notes/en/04-coroutines.md#iterators` · `notes/zh-CN/04-coroutines.md#iterators`
//!
//! ```output
//! written by hand: [111, 111, 111, 111, 111]
//! iter::repeat:    [111, 111, 111, 111, 111]
//! iter::from_fn:   [111, 111, 111, 111, 111]
//! iter::repeat_n:  [111, 111, 111, 111, 111]
//! ```

use std::iter;

// ANCHOR: constant
struct Constant;

impl Iterator for Constant {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        Some(111)
    }
}
// ANCHOR_END: constant

fn main() {
    util::case!();
    let by_hand: Vec<_> = Constant.take(5).collect();
    println!("written by hand: {by_hand:?}");
    // ANCHOR: ready_made
    let endless = iter::repeat(111);
    let repeated: Vec<_> = endless.take(5).collect();
    println!("iter::repeat:    {repeated:?}");
    let asked: Vec<_> = iter::from_fn(|| Some(111)).take(5).collect(); // a closure is the `next`
    println!("iter::from_fn:   {asked:?}");
    let counted: Vec<_> = iter::repeat_n(111, 5).collect(); // ends by itself
    println!("iter::repeat_n:  {counted:?}");
    // ANCHOR_END: ready_made
    assert!([&repeated, &asked, &counted].iter().all(|list| **list == by_hand));
    assert_eq!(by_hand, [111; 5]);
    assert_eq!(Constant.nth(1_000_000), Some(111)); // it has no end
}
