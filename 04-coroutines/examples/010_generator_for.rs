//! 010 · 用 for 驱动生成器 · For drives it: the loop resumes the generator until it returns.
//!
//! Python: `for` calls `next` until the generator ends.
//! Rust: the same, since a generator that is sent nothing is an `Iterator`: so all of its methods
//! work too, and a loop that is left early drops the generator where it stands, with what it holds.
//!
//! Run: `cargo run --example 010_generator_for`
//! Notes: `notes/en/04-coroutines.md#generators` · `notes/zh-CN/04-coroutines.md#generators`
//!
//! ```output
//! 0 1 1 2 3 5 8 13 21 34
//! even ones: [0, 2, 8, 34]
//! left early: 0 1 1 2, and what it held is closed
//! ```

use coroutines::Generator;
use std::{cell::Cell, rc::Rc};

/// The first `count` Fibonacci numbers, and something that is open while they are made.
fn fibonacci(count: u32, open: Open) -> impl Iterator<Item = u64> {
    Box::pin(Generator::new(move |co| async move {
        let _open = open;
        let (mut a, mut b) = (0, 1);
        for _ in 0..count {
            co.yield_(a).await;
            (a, b) = (b, a + b);
        }
    }))
}

/// Open until it is dropped.
struct Open(Rc<Cell<bool>>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

fn main() {
    util::case!();
    let is_open = Rc::new(Cell::new(true));
    let open = || {
        is_open.set(true);
        Open(Rc::clone(&is_open))
    };

    // ANCHOR: for
    let numbers: Vec<String> = fibonacci(10, open()).map(|n| n.to_string()).collect();
    println!("{}", numbers.join(" "));
    let even: Vec<u64> = fibonacci(10, open()).filter(|n| n % 2 == 0).collect();
    println!("even ones: {even:?}");
    // ANCHOR_END: for
    assert_eq!(even.iter().sum::<u64>(), 44);

    // ANCHOR: early
    print!("left early:");
    // The loop borrows it, so that it is still there afterwards.
    let mut numbers = fibonacci(10, open());
    for number in &mut numbers {
        print!(" {number}");
        if number == 2 {
            break;
        }
    }
    assert!(is_open.get(), "it stands at its yield, and could go on");
    drop(numbers);
    assert!(!is_open.get());
    // ANCHOR_END: early
    println!(", and what it held is closed");
}
