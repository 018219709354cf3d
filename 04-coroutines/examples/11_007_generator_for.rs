//! 11.007 · 用 for 驱动 · Three values, then the end: an iterator from a closure instead of a type.
//!
//! Python: a function with three `yield`; `for` runs from one to the next and ends when the
//! function does.
//! Rust: `from_fn` makes an iterator of a closure that is called for each item, and `successors` of
//! a rule that makes the next from the last. What the closure captured is the state that is kept
//! between two calls. (A function that stops in the middle: 009_generator_steps.)
//!
//! Run: `cargo run --example 11_007_generator_for`
//! Notes: `notes/en/04-coroutines.md#iterators` · `notes/zh-CN/04-coroutines.md#iterators`
//!
//! ```output
//! from_fn: one two three
//! successors: 1 2 4 8 16 32 64 128
//! successors: 27 82 41 124 62 31 94 47 142 71 ... 1 (112 numbers)
//! ```

use std::iter;

fn main() {
    util::case!();
    // ANCHOR: from_fn
    let mut step = 0;
    let three = iter::from_fn(move || {
        step += 1;
        match step {
            1 => Some("one"),
            2 => Some("two"),
            3 => Some("three"),
            _ => None,
        }
    });
    print!("from_fn:");
    let mut said = Vec::new();
    for word in three {
        print!(" {word}");
        said.push(word);
    }
    // ANCHOR_END: from_fn
    println!();
    assert_eq!(said, ["one", "two", "three"]);

    // ANCHOR: successors
    // Doubled until it does not fit any more: `None` is the end.
    let powers: Vec<u8> = iter::successors(Some(1_u8), |n| n.checked_mul(2)).collect();
    // Halved if even, else times three plus one, until it is 1.
    let rule = |n: &u32| (*n > 1).then(|| if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 });
    let collatz: Vec<u32> = iter::successors(Some(27), rule).collect();
    // ANCHOR_END: successors
    println!("successors: {}", join(&powers));
    let (begin, last) = (&collatz[..10], collatz.last().unwrap());
    println!("successors: {} ... {last} ({} numbers)", join(begin), collatz.len());
    assert_eq!((powers.len(), powers.last()), (8, Some(&128)));
    assert_eq!((collatz.len(), *last), (112, 1));
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}
