//! CPU-bound work: counting primes by trial division, in 64 parts of equal width (so of unequal
//! cost), which the workers take one by one.
//!
//! Measured: from the first part to the last, with as many workers as there are processors. Threads
//! are started within the time, because that is how one uses them; rayon's threads, the pool of
//! processes and the runtimes are started before. The count is asserted. Left out: work that shares
//! data, and machines with more processors than memory can feed.

use criterion::Criterion;
use multiproc::Pool;
use rayon::prelude::*;
use std::{
    ops::Range,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};
use tokio::runtime::{self, Runtime};
use util::work::count_primes;

const PARTS: u32 = 64;
const WIDTH: u32 = 200_000 / PARTS;
/// Below `PARTS * WIDTH`.
const PRIMES: usize = 17_984;

fn part(i: u32) -> Range<u32> {
    i * WIDTH..(i + 1) * WIDTH
}

fn by_threads(workers: usize) -> usize {
    let next = AtomicU32::new(0);
    let work = || {
        let parts = std::iter::repeat_with(|| next.fetch_add(1, Relaxed));
        parts.take_while(|&i| i < PARTS).map(|i| count_primes(part(i))).sum::<usize>()
    };
    thread::scope(|s| {
        let threads: Vec<_> = (0..workers).map(|_| s.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

fn by_tasks(runtime: &Runtime) -> usize {
    runtime.block_on(async {
        let tasks: Vec<_> =
            (0..PARTS).map(|i| tokio::spawn(async move { count_primes(part(i)) })).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    })
}

fn main() {
    multiproc::init();
    let mut criterion = Criterion::default().configure_from_args();
    let workers = thread::available_parallelism().unwrap().get();
    let rayon = rayon::ThreadPoolBuilder::new().num_threads(workers).build().unwrap();
    let processes = Pool::builder().workers(workers).build().unwrap();
    let one_thread = runtime::Builder::new_current_thread().build().unwrap();
    let threads = runtime::Builder::new_multi_thread().worker_threads(workers).build().unwrap();
    let mut group = criterion.benchmark_group("cpu_bound");
    group.throughput(criterion::Throughput::Elements(1));

    group.bench_function("serial", |b| {
        b.iter(|| assert_eq!((0..PARTS).map(|i| count_primes(part(i))).sum::<usize>(), PRIMES));
    });
    group.bench_function("threads", |b| b.iter(|| assert_eq!(by_threads(workers), PRIMES)));
    group.bench_function("rayon", |b| {
        let count = || (0..PARTS).into_par_iter().map(|i| count_primes(part(i))).sum::<usize>();
        b.iter(|| assert_eq!(rayon.install(count), PRIMES));
    });
    group.bench_function("processes", |b| {
        let count = |i: u32| count_primes(part(i));
        b.iter(|| {
            let counts = processes.options().chunk(1).map(count, 0..PARTS).unwrap();
            assert_eq!(counts.into_iter().sum::<usize>(), PRIMES);
        });
    });
    for (name, runtime) in [("async_one_thread", one_thread), ("async_threads", threads)] {
        group.bench_function(name, |b| b.iter(|| assert_eq!(by_tasks(&runtime), PRIMES)));
    }
    group.finish();
    criterion.final_summary();
}
