//! 2.16 · 工作窃取 · Work stealing: fork and join, and an idle thread takes work from a busy one.
//!
//! Python: none in the library.
//! Rust: `rayon::join` does one half and offers the other one to idle threads. If none steals it,
//! the same thread does both, at the price of a function call and a little more. So work is split
//! freely, down to pieces that are still large against that price; smaller ones make it slower than
//! one thread.
//!
//! Run: `cargo run --example 2_16_work_stealing --release` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#work-stealing` · `notes/zh-CN/02-threads.md#work-stealing`
//!
//! ```output
//! 8 pieces, sorted by [..] of 2 threads: [..]
//! sorting [..] numbers [..] time  relative
//! one thread [..] 1.00
//! 8 pieces [..]
//! pieces of 1 [..]
//! ```

use rayon::ThreadPoolBuilder;
use std::{collections::BTreeMap, sync::Mutex, time::Duration};
use util::{measure, timeline};

/// Without optimizations a number takes fifty times as long.
const COUNT: u32 = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };

// ANCHOR: sort
/// Quicksort. Calls `sorted` for each piece of at most `piece` numbers, which it does not split.
fn sort(numbers: &mut [u32], piece: usize, sorted: &(impl Fn(usize) + Sync)) {
    if numbers.len() <= piece {
        let _span = timeline::span(numbers.len());
        numbers.sort_unstable();
        return sorted(numbers.len());
    }
    // Smaller ones to the left of the middle, larger ones to the right.
    let middle = numbers.len() / 2;
    let (small, _, large) = numbers.select_nth_unstable(middle);
    rayon::join(|| sort(small, piece, sorted), || sort(large, piece, sorted));
}
// ANCHOR_END: sort

/// The numbers below `COUNT` in disorder: 7919 is a prime that does not divide it, so each appears
/// once.
fn disorder() -> Vec<u32> {
    (0..u64::from(COUNT)).map(|n| (n * 7919 % u64::from(COUNT)) as u32).collect()
}

fn main() -> util::Result<()> {
    util::case!();
    let _timeline = timeline::start();
    let pool = ThreadPoolBuilder::new().num_threads(2).build()?;
    let (mut numbers, by_thread) = (disorder(), Mutex::new(BTreeMap::<_, Vec<_>>::new()));
    pool.install(|| {
        sort(&mut numbers, COUNT as usize / 8, &|length| {
            let thread = rayon::current_thread_index().expect("a thread of the pool");
            by_thread.lock().unwrap().entry(thread).or_default().push(length);
        });
    });
    let by_thread = by_thread.into_inner().unwrap();
    let pieces: usize = by_thread.values().map(Vec::len).sum();
    println!("{pieces} pieces, sorted by {} of 2 threads: {by_thread:?}", by_thread.len());
    assert!(numbers.is_sorted() && pieces == 8);

    let by = |piece| {
        move || {
            let mut numbers = disorder();
            sort(&mut numbers, piece, &|_| ());
            assert!(numbers.is_sorted());
        }
    };
    let ways = [("one thread", COUNT), ("8 pieces", COUNT / 8), ("pieces of 1", 1)];
    let [alone, large, small] = ways.map(|(_, piece)| by(piece as usize));
    let ((), costs) = pool.install(|| measure::in_turns(Duration::ZERO, [&alone, &large, &small]));
    let head = format!("sorting {COUNT} numbers");
    println!("{}", measure::relative(&head, ways.map(|(name, _)| name), costs));
    Ok(())
}
