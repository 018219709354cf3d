//! 32.1 · 可迭代检查 · More than iterable: which iterators know their length, and which can go backwards.
//!
//! Python: list, `range`, `str` and a generator expression are all iterable; `len()` and
//! `reversed()` work on some, found out by trying.
//! Rust: what an iterator can do besides `next` is a trait: `ExactSizeIterator` has `len`,
//! `DoubleEndedIterator` has `rev`. `Range` is an iterator itself, `Vec` is not: a range that was
//! looped over is used up, a list is not.
//!
//! Run: `cargo run --example 32_1_iterable_checks`
//! Notes: `notes/en/04-coroutines.md#iterators` · `notes/zh-CN/04-coroutines.md#iterators`
//!
//! ```output
//! vec.iter():      5 items, backwards [5, 4, 3, 2, 1]
//! range:           5 items, backwards [5, 4, 3, 2, 1]
//! map:             5 items, backwards [10, 8, 6, 4, 2]
//! "héllo".chars(): 2 to 6 items (6 bytes), backwards "olléh"
//! filter:          0 to 5 items, backwards [4, 2]
//! from_fn:         0 or more items, and no way back
//! the range after two: 3..6; the list after a loop: [1, 2, 3, 4, 5]
//! ```

use std::{fmt::Debug, iter};

// ANCHOR: traits
/// Accepts only what knows its length and can be walked from both ends.
fn show<T: Debug>(name: &str, items: impl ExactSizeIterator<Item = T> + DoubleEndedIterator) {
    let count = items.len();
    let backwards: Vec<T> = items.rev().collect();
    println!("{name:16} {count} items, backwards {backwards:?}");
    assert_eq!(backwards.len(), count);
}
// ANCHOR_END: traits

fn main() {
    util::case!();
    let list = vec![1, 2, 3, 4, 5];
    show("vec.iter():", list.iter());
    show("range:", 1..6);
    show("map:", list.iter().map(|n| n * 2));

    // ANCHOR: hint
    // How many characters six bytes are is only known at the end; nor how many pass a filter. Both
    // know their bounds.
    let text = "héllo";
    let (least, most) = text.chars().size_hint();
    let backwards: String = text.chars().rev().collect();
    // ANCHOR_END: hint
    let most = most.unwrap();
    println!(
        "{:16} {least} to {most} items ({} bytes), backwards {backwards:?}",
        format!("{text:?}.chars():"),
        text.len()
    );
    let even = || list.iter().filter(|n| *n % 2 == 0);
    let backwards: Vec<_> = even().rev().collect();
    let (least, most) = even().size_hint();
    println!("{:16} {least} to {} items, backwards {backwards:?}", "filter:", most.unwrap());
    assert_eq!(even().size_hint(), (0, Some(5)));
    let hint = iter::from_fn(|| Some(1)).size_hint();
    assert_eq!(hint, (0, None));
    println!("{:16} {} or more items, and no way back", "from_fn:", hint.0);

    let mut range = 1..6;
    assert_eq!((range.next(), range.next()), (Some(1), Some(2))); // the range itself has moved on
    assert_eq!(list.iter().sum::<i32>(), 15); // the list lent itself to an iterator
    println!("the range after two: {range:?}; the list after a loop: {list:?}");
    assert_eq!((range, list.len()), (3..6, 5));
}
