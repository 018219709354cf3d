//! 11.008 · 反向迭代 · Forward and backward: steps of a float, from both ends, without drift.
//!
//! Python: a `FloatRange` with `__iter__` and `__reversed__`; each adds or subtracts the step again
//! and again.
//! Rust: `DoubleEndedIterator` has `next_back`, and `rev` comes with it. Each value is computed
//! from its index: adding 0.1 ten thousand times is wrong in the tenth digit, and backwards in
//! other digits than forwards.
//!
//! Run: `cargo run --example 11_008_reverse_iterator`
//! Notes: `notes/en/04-coroutines.md#iterators` · `notes/zh-CN/04-coroutines.md#iterators`
//!
//! ```output
//! forward:  [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0]
//! backward: [4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0]
//! from both ends: 1.0 4.0 1.5 3.5 2.0 3.0 2.5
//! 10000 steps of 0.1: by adding up [..], by index 1000
//! ```

// ANCHOR: range
/// `count` values from `start` on, `step` apart. What is left of them is a range of indexes.
struct FloatRange {
    start: f64,
    step: f64,
    left: std::ops::Range<u32>,
}

impl FloatRange {
    /// From `start` to `end`, both included; `end` up to rounding.
    fn new(start: f64, end: f64, step: f64) -> FloatRange {
        let steps = (end - start) / step;
        assert!(steps >= 0.0 && steps < f64::from(u32::MAX), "{start} to {end} by {step}");
        // A little more than whole counts as whole: (0.3 - 0.0) / 0.1 is 2.9999999999999996.
        FloatRange { start, step, left: 0..(steps + 1e-9) as u32 + 1 }
    }

    fn at(&self, index: u32) -> f64 {
        self.start + f64::from(index) * self.step
    }
}

impl Iterator for FloatRange {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        let index = self.left.next()?;
        Some(self.at(index))
    }
}

impl DoubleEndedIterator for FloatRange {
    fn next_back(&mut self) -> Option<f64> {
        let index = self.left.next_back()?;
        Some(self.at(index))
    }
}
// ANCHOR_END: range

fn main() {
    util::case!();
    let forward: Vec<_> = FloatRange::new(1.0, 4.0, 0.5).collect();
    let mut backward: Vec<_> = FloatRange::new(1.0, 4.0, 0.5).rev().collect();
    println!("forward:  {forward:?}\nbackward: {backward:?}");
    backward.reverse();
    assert_eq!(forward, backward);

    // ANCHOR: both
    let mut range = FloatRange::new(1.0, 4.0, 0.5);
    print!("from both ends:");
    while let Some(front) = range.next() {
        print!(" {front:?}");
        if let Some(back) = range.next_back() {
            print!(" {back:?}");
        }
    } // they meet in the middle, and nothing comes twice
    // ANCHOR_END: both
    println!();

    let added = (0..10_000).fold(0.0, |sum, _| sum + 0.1);
    let by_index = FloatRange::new(0.0, 1000.0, 0.1).next_back().unwrap();
    println!("10000 steps of 0.1: by adding up {added}, by index {by_index}");
    assert!(added != 1000.0 && by_index == 1000.0);
    assert!(FloatRange::new(0.0, 0.3, 0.1).count() == 4);
}
