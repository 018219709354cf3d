//! 009 · 生成器的步骤 · A generator's steps: where it stops and continues, by three techniques.
//!
//! Python: a function with `yield` is a generator: each `next` runs it up to the next `yield`, and
//! the steps 1 to 4 show where.
//! Rust: the same steps by three techniques, one file each: a state machine written by hand
//! (`by_hand.rs`), a coroutine with a stack of its own (`stack.rs`), and the state machine that the
//! compiler makes of an `async` block (`from_async.rs`). A `gen` block, which will do it in the
//! language itself, is not stable yet.
//!
//! Run: `cargo run --example 009_generator_steps`
//! Notes: `notes/en/04-coroutines.md#generators` · `notes/zh-CN/04-coroutines.md#generators`
//!
//! ```output
//! by hand:
//!   next: 1 2 -> 0
//!   next: 3 2 -> 1
//!   next: 3 2 -> 1
//!   next: 3 4 -> the end
//! with a stack:
//!   next: 1 2 -> 0
//!   next: 3 2 -> 1
//!   next: 3 2 -> 1
//!   next: 3 4 -> the end
//! from async:
//!   next: 1 2 -> 0
//!   next: 3 2 -> 1
//!   next: 3 2 -> 1
//!   next: 3 4 -> the end
//! ```

mod by_hand;
mod from_async;
mod stack;
mod step;

fn main() {
    util::case!("main.rs");
    let by_hand = drive("by hand", by_hand::fibonacci());
    let with_a_stack = drive("with a stack", stack::fibonacci());
    let from_async = drive("from async", from_async::fibonacci());
    assert_eq!(by_hand, [0, 1, 1]);
    assert!(by_hand == with_a_stack && by_hand == from_async);
}

// ANCHOR: drive
/// Calls `next` until the end.
fn drive(name: &str, mut numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    println!("{name}:");
    let mut got = Vec::new();
    loop {
        print!("  next:");
        let Some(number) = numbers.next() else {
            println!(" -> the end");
            return got;
        };
        println!(" -> {number}");
        got.push(number);
    }
}
// ANCHOR_END: drive
