//! 009 · 生成器的步骤 · A generator's steps: where it stops and where it goes on, three ways.
//!
//! Python: a function with `yield` is a generator: each `next` runs it up to the next `yield`, and
//! the prints 1 to 4 show where.
//! Rust: the same steps by a state machine written by hand, by a coroutine with a stack of its own,
//! and by the state machine that the compiler makes of an `async` block. One day a `gen` block will
//! do it in the language itself; it is not stable yet.
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

use corosensei::{Coroutine, Yielder};
use coroutines::Generator;
use std::pin::pin;

/// Shows that this place was passed.
fn step(number: u32) {
    print!(" {number}");
}

// ANCHOR: by_hand
/// Where it stopped, and the variables it has there: what a compiler would make of the two below.
struct Fibonacci {
    at: At,
    a: u64,
    b: u64,
    left: u32,
}

enum At {
    Start,
    Yield,
    End,
}

impl Iterator for Fibonacci {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        match self.at {
            At::Start => step(1),
            At::Yield => {
                step(3);
                (self.a, self.b) = (self.b, self.a + self.b);
                self.left -= 1;
            }
            At::End => return None,
        }
        if self.left == 0 {
            step(4);
            self.at = At::End;
            return None;
        }
        step(2);
        self.at = At::Yield;
        Some(self.a)
    }
}
// ANCHOR_END: by_hand

fn main() {
    util::case!();
    let by_hand = drive("by hand", Fibonacci { at: At::Start, a: 0, b: 1, left: 3 });

    // ANCHOR: stack
    // It stops wherever it calls `suspend`, with all that is on its stack.
    let mut coroutine = Coroutine::new(|yielder: &Yielder<(), u64>, ()| {
        step(1);
        let (mut a, mut b) = (0, 1);
        for _ in 0..3 {
            step(2);
            yielder.suspend(a);
            step(3);
            (a, b) = (b, a + b);
        }
        step(4);
    });
    let next = || if coroutine.done() { None } else { coroutine.resume(()).as_yield() };
    // ANCHOR_END: stack
    let with_a_stack = drive("with a stack", std::iter::from_fn(next));

    // ANCHOR: from_async
    // It stops at `await`; what it needs afterwards is in the state machine. In a `gen` block, this will be `yield a;`.
    let generator = pin!(Generator::new(|co| async move {
        step(1);
        let (mut a, mut b) = (0, 1);
        for _ in 0..3 {
            step(2);
            co.yield_(a).await;
            step(3);
            (a, b) = (b, a + b);
        }
        step(4);
    }));
    // ANCHOR_END: from_async
    let from_async = drive("from async", generator);

    assert_eq!(by_hand, [0, 1, 1]);
    assert!(by_hand == with_a_stack && by_hand == from_async);
}

/// Asks for one after the other, to the end.
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
