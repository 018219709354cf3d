//! 1.1.3 · 计算密集型 · CPU-bound work: counting primes in five ways, and which of them gains.
//!
//! Python: use processes, because the GIL of CPython's default build lets one thread at a time run
//! bytecode.
//! Rust: threads do it, at most as many times faster as there are cores. Processes gain as well,
//! minus the cost of starting them; async tasks on one thread gain nothing, since there is nothing
//! to wait for. The last line is derived from this machine's figures, and changes when they do.
//!
//! Run: `cargo run --example 1_1_3_cpu_bound`, with `--release` for figures that count (ten times
//! the work: `TICK_MS=1000` before it)
//! Notes: `notes/en/01-multitask.md#cpu-bound` · `notes/zh-CN/01-multitask.md#cpu-bound`
//!
//! ```output
//! build: [..]
//! [..] primes, in [..] parts  [..] wall [..] CPU  times as fast
//! one after the other  [..] 1.00
//! threads  [..]
//! rayon    [..]
//! processes  [..]
//! async tasks, one thread  [..]
//! advice: [..]
//! ```

use multitask::{
    advice::{CpuBound, cpu_bound},
    cores,
};
use rayon::prelude::*;
use std::{ops::Range, thread};
use util::{
    measure::{self, Table},
    tick,
    work::count_primes,
};

fn main() -> util::Result<()> {
    util::case!();
    multiproc::init();
    println!("build: {}", multitask::build());
    // A part for each core, or two if there is one; far from 0, so that all cost about the same.
    let cores = thread::available_parallelism()?.get().min(cores::allowed()?.len());
    let numbers = multitask::amount(200_000);
    let part = |n: u32| 1_000_000 + n * numbers..1_000_000 + (n + 1) * numbers;
    let parts: Vec<Range<u32>> = (0..cores.max(2) as u32).map(part).collect();
    let tasks = tokio::runtime::Builder::new_current_thread().build()?;

    // ANCHOR: ways
    let one_after_the_other = || parts.iter().cloned().map(count_primes).sum();
    let threads = || {
        thread::scope(|s| {
            let start = |part: &Range<u32>| {
                s.spawn({
                    let part = part.clone();
                    || count_primes(part)
                })
            };
            let started: Vec<_> = parts.iter().map(start).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).sum()
        })
    };
    let rayon = || parts.par_iter().cloned().map(count_primes).sum();
    let processes = || {
        let start = |part: &Range<u32>| multiproc::spawn(count_primes, part.clone()).unwrap();
        let started: Vec<_> = parts.iter().map(start).collect();
        started.into_iter().map(|process| process.join().unwrap()).sum()
    };
    let tasks = || {
        tasks.block_on(async {
            let start = |part: &Range<u32>| {
                tokio::spawn({
                    let part = part.clone();
                    async { count_primes(part) }
                })
            };
            let started: Vec<_> = parts.iter().map(start).collect();
            let mut primes = 0;
            for task in started {
                primes += task.await.unwrap();
            }
            primes
        })
    };
    // ANCHOR_END: ways

    let ways: [&dyn Fn() -> usize; 5] =
        [&one_after_the_other, &threads, &rayon, &processes, &tasks];
    // every result is the same, or it panics
    let (primes, costs) = measure::in_turns(tick::ticks(10), ways);
    let gain = costs.map(|cost| costs[0].wall.as_secs_f64() / cost.wall.as_secs_f64());
    let head = format!("{primes} primes, in {} parts", parts.len());
    let mut table = Table::new([head.as_str(), "wall", "CPU", "times as fast"]);
    let names = ["one after the other", "threads", "rayon", "processes", "async tasks, one thread"];
    for ((name, cost), gain) in names.into_iter().zip(costs).zip(gain) {
        let [wall, cpu] = [cost.wall, cost.cpu].map(|time| format!("{time:.1?}"));
        table.row([name.into(), wall, cpu, format!("{gain:.2}")]);
    }
    println!("{table}");
    let [_, threads, rayon, processes, tasks] = gain;
    println!("advice: {}", cpu_bound(cores, CpuBound { threads, rayon, processes, tasks }));
    Ok(())
}
