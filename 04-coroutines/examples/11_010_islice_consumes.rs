//! 11.010 · 切片会消耗迭代器 · A slice of an iterator consumes it: what was taken is gone, and the rest is still there.
//!
//! Python: `islice(it, 5)` moves `it` on by five; looking at it again goes on at the sixth.
//! Rust: `take(5)` takes the iterator itself, and the rest is lost with it; `by_ref().take(5)`
//! borrows it, so one can go on. Beware of `take_while`: to see where to stop, it has to take one
//! more, and that one is lost. `peek` looks without taking.
//!
//! Run: `cargo run --example 11_010_islice_consumes`
//! Notes: `notes/en/04-coroutines.md#lazy` · `notes/zh-CN/04-coroutines.md#lazy`
//!
//! ```output
//! the first five: [1, 2, 3, 4, 5]
//! the next three: [6, 7, 8]
//! the rest: [9, 10]
//! nothing is left: []
//! take_while below 4: [1, 2, 3], then [5, 6]: 4 is lost
//! next_if below 4:    [1, 2, 3], then [4, 5, 6]
//! ```

use std::iter;

fn main() {
    util::case!();
    // ANCHOR: by_ref
    let mut numbers = 1..=10;
    let first: Vec<u32> = numbers.by_ref().take(5).collect();
    let next: Vec<u32> = numbers.by_ref().take(3).collect();
    let rest: Vec<u32> = numbers.by_ref().collect();
    // without `by_ref`: the iterator itself goes, and is gone
    let nothing: Vec<u32> = numbers.collect();
    // ANCHOR_END: by_ref
    println!("the first five: {first:?}\nthe next three: {next:?}");
    println!("the rest: {rest:?}\nnothing is left: {nothing:?}");
    assert_eq!([first, next, rest, nothing].concat(), (1..=10).collect::<Vec<_>>());

    // ANCHOR: peek
    let mut numbers = 1..=6;
    let small: Vec<u32> = numbers.by_ref().take_while(|n| *n < 4).collect();
    let rest: Vec<u32> = numbers.collect(); // 4 was taken, found too large, and dropped

    let mut numbers = (1..=6).peekable();
    let peeked: Vec<u32> = iter::from_fn(|| numbers.next_if(|n| *n < 4)).collect();
    let whole: Vec<u32> = numbers.collect();
    // ANCHOR_END: peek
    println!("take_while below 4: {small:?}, then {rest:?}: 4 is lost");
    println!("next_if below 4:    {peeked:?}, then {whole:?}");
    assert_eq!((small, rest), (vec![1, 2, 3], vec![5, 6]));
    assert_eq!((peeked, whole), (vec![1, 2, 3], vec![4, 5, 6]));
}
