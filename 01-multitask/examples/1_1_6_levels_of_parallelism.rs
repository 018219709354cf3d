//! 1.1.6 · 并行的层次 · Levels of parallelism: one dot product four ways, from inside a core to all cores.
//!
//! Python: in words: parallelism of instructions, or of tasks.
//! Rust: a chain of additions, each waiting for the one before; four chains, which one core works
//! on at the same time; as many as the compiler makes vector instructions of; and the vectors
//! shared out to all cores. The result is the same to the last bit, because the numbers are small
//! and whole: with others, the order of additions would show in the last digits, which is why the
//! compiler does not change it by itself.
//!
//! Run: `cargo run --example 1_1_6_levels_of_parallelism`, with `--release` for figures that count
//! (`RUSTFLAGS="-C target-cpu=native"` for wider vectors)
//! Notes: `notes/en/01-multitask.md#levels` · `notes/zh-CN/01-multitask.md#levels`
//!
//! ```output
//! build: [..]
//! 2097152 pairs [..] time  GFLOP/s  times as fast
//! one chain [..] 1.00
//! four chains [..]
//! vectors [..]
//! vectors on [..]
//! ```

use rayon::prelude::*;
use std::hint::black_box;
use util::{
    measure::{self, Table},
    tick,
};

const PAIRS: usize = 1 << 21;

fn main() {
    util::case!();
    println!("build: {}", multitask::build());
    let (a, b): (Vec<f32>, Vec<f32>) = (0..PAIRS).map(|i| ((i % 4) as f32, (i % 3) as f32)).unzip();
    // On a thread of rayon's pool, so that handing work to the pool is not what is measured. Every
    // result is the same, or it panics.
    let (sum, costs) = rayon::scope(|_| {
        let ways: [&dyn Fn() -> f32; 4] = [
            &|| one_chain(black_box(&a), &b),
            &|| four_chains(black_box(&a), &b),
            &|| vectors(black_box(&a), &b),
            &|| all_cores(black_box(&a), &b),
        ];
        measure::in_turns(tick::ticks(5), ways)
    });
    let exact: usize = (0..PAIRS).map(|i| (i % 4) * (i % 3)).sum();
    assert!(exact < 1 << 24, "an f32 holds every whole number up to there");
    assert_eq!(sum, exact as f32);

    let mut table = Table::new([&format!("{PAIRS} pairs"), "time", "GFLOP/s", "times as fast"]);
    let last = format!("vectors on {} threads", rayon::current_num_threads());
    for (name, cost) in ["one chain", "four chains", "vectors", &last].into_iter().zip(costs) {
        let rate = 2.0 * PAIRS as f64 / cost.wall.as_secs_f64() / 1e9; // a product and a sum each
        let gain = costs[0].wall.as_secs_f64() / cost.wall.as_secs_f64();
        table.row([
            name.into(),
            format!("{} µs", cost.wall.as_micros()),
            format!("{rate:.2}"),
            format!("{gain:.2}"),
        ]);
    }
    println!("{table}");
}

// ANCHOR: one
fn one_chain(a: &[f32], b: &[f32]) -> f32 {
    let mut sum = 0.0;
    for (a, b) in a.iter().zip(b) {
        sum += a * b; // waits for the sum before it
    }
    sum
}
// ANCHOR_END: one

// ANCHOR: four
fn four_chains(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.as_chunks::<4>().0, b.as_chunks::<4>().0); // PAIRS is a multiple
    let [mut s0, mut s1, mut s2, mut s3] = [0.0; 4];
    for (a, b) in a.iter().zip(b) {
        s0 += black_box(a[0] * b[0]); // black_box: or the compiler makes a vector of the four
        s1 += a[1] * b[1]; // does not wait for s0
        s2 += a[2] * b[2];
        s3 += a[3] * b[3];
    }
    s0 + s1 + s2 + s3
}
// ANCHOR_END: four

// ANCHOR: vectors
/// Independent sums next to each other: the compiler makes vector instructions of them.
fn vectors(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 32];
    for (a, b) in a.as_chunks::<32>().0.iter().zip(b.as_chunks::<32>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

fn all_cores(a: &[f32], b: &[f32]) -> f32 {
    let part = PAIRS / 16; // several a core, so that none waits long for another
    a.par_chunks(part).zip(b.par_chunks(part)).map(|(a, b)| vectors(a, b)).sum()
}
// ANCHOR_END: vectors
