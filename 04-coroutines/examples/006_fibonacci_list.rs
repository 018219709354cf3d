//! 006 · 斐波那契列表 · Fibonacci in a list: all numbers are held, though one is looked at.
//!
//! Python: a list of 10,000 numbers, filled first and looped over then.
//! Rust: the same, and the heap is asked what that takes. The last number has 2,090 digits, so they
//! are big integers: what grows is not only how many there are, but each of them.
//!
//! Run: `cargo run --example 006_fibonacci_list`
//! Notes: `notes/en/04-coroutines.md#lazy` · `notes/zh-CN/04-coroutines.md#lazy`
//!
//! ```output
//! the first: [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
//! 10000 numbers, the last has 2090 digits
//! held: [..] KiB; at most: [..] KiB; allocations: [..]
//! ```

use num_bigint::BigUint;
use util::heap;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

const COUNT: usize = 10_000;

fn main() {
    util::case!();
    // ANCHOR: list
    let (numbers, used) = heap::used(|| {
        let mut numbers = vec![BigUint::from(0_u32), BigUint::from(1_u32)];
        while let [.., a, b] = &numbers[..]
            && numbers.len() < COUNT
        {
            numbers.push(a + b);
        }
        numbers
    });
    // ANCHOR_END: list
    println!("the first: {:?}", &numbers[..10]);
    let last = numbers[COUNT - 1].to_string();
    println!("{} numbers, the last has {} digits", numbers.len(), last.len());
    println!(
        "held: {} KiB; at most: {} KiB; allocations: {}",
        used.held / 1024,
        used.peak / 1024,
        used.allocations
    );
    // Less cannot be: the bits of all the numbers.
    let bits: u64 = numbers.iter().map(BigUint::bits).sum();
    assert!(used.held as u64 > bits / 8 && bits / 8 > 4_000_000);
    assert!(numbers.windows(3).all(|three| &three[0] + &three[1] == three[2]));
}
