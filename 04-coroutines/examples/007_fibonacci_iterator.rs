//! 007 · 斐波那契迭代器 · Fibonacci by an iterator: it keeps how to get the next number, not the numbers.
//!
//! Python: `__next__` makes the next number from two that the object keeps.
//! Rust: the same: two numbers and an addition. The heap holds three at the most, however long the
//! loop; each number that was looked at is given back. It is still made: 10,000 allocations, one a
//! number.
//!
//! Run: `cargo run --example 007_fibonacci_iterator`
//! Notes: `notes/en/04-coroutines.md#lazy` · `notes/zh-CN/04-coroutines.md#lazy`
//!
//! ```output
//! the first: [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
//! 10000 numbers, the last has 2090 digits
//! held: 0 KiB; at most: [..] KiB; allocations: [..]
//! ```

use num_bigint::BigUint;
use std::mem;
use util::heap;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

const COUNT: usize = 10_000;

// ANCHOR: iterator
struct Fibonacci {
    a: BigUint,
    b: BigUint,
}

impl Iterator for Fibonacci {
    type Item = BigUint;

    fn next(&mut self) -> Option<BigUint> {
        let sum = &self.a + &self.b;
        // (a, b) becomes (b, a + b), and the old a is what was asked for.
        Some(mem::replace(&mut self.a, mem::replace(&mut self.b, sum)))
    }
}
// ANCHOR_END: iterator

fn fibonacci() -> Fibonacci {
    Fibonacci { a: BigUint::from(0_u32), b: BigUint::from(1_u32) }
}

fn main() {
    util::case!();
    println!("the first: {:?}", fibonacci().take(10).collect::<Vec<_>>());

    // ANCHOR: use
    let ((count, bits), used) = heap::used(|| {
        let (mut count, mut bits) = (0, 0);
        for number in fibonacci().take(COUNT) {
            count += 1;
            bits = number.bits();
        } // each number is dropped here, before the next one is made
        (count, bits)
    });
    // ANCHOR_END: use
    let last = fibonacci().nth(COUNT - 1).unwrap();
    println!("{count} numbers, the last has {} digits", last.to_string().len());
    println!(
        "held: {} KiB; at most: {} KiB; allocations: {}",
        used.held / 1024,
        used.peak / 1024,
        used.allocations
    );
    assert_eq!((count, bits), (COUNT, last.bits()));
    // The last number has 868 bytes. Three of them, with room to grow.
    assert!(used.held == 0 && used.peak < 5 * 868, "{used:?}");
    assert!(used.allocations.abs_diff(COUNT) < 300, "{used:?}");
}
