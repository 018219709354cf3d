//! What a task costs that does nothing, done by others: a pool of two processes, two threads of
//! rayon, two of an async runtime; or one started for it.
//!
//! `map` sends tasks in chunks, `map_one_by_one` a message each; `apply` waits for each result
//! before the next one is asked for: a round trip. `process_each` and `thread_each` start one for
//! each task instead. Results are asserted. Left out: tasks that do something, more workers than
//! cores, and starting the pool (the curves have it).

use criterion::{Criterion, Throughput};
use multiproc::Pool;
use rayon::prelude::*;
use std::{hint::black_box, thread};
use tokio::runtime;

const TASKS: u32 = 1000;

fn main() {
    multiproc::init();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("pool");
    let nothing = |n: u32| n;
    let expected: Vec<u32> = (0..TASKS).collect();
    let pool = Pool::builder().workers(2).build().unwrap();
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();

    group.throughput(Throughput::Elements(u64::from(TASKS)));
    group.bench_function("map", |b| {
        b.iter(|| assert_eq!(pool.map(nothing, 0..TASKS).unwrap(), expected));
    });
    group.bench_function("map_one_by_one", |b| {
        b.iter(|| assert_eq!(pool.options().chunk(1).map(nothing, 0..TASKS).unwrap(), expected));
    });
    group.bench_function("threads_map", |b| {
        let map = || (0..TASKS).into_par_iter().map(black_box(nothing)).collect::<Vec<u32>>();
        b.iter(|| assert_eq!(threads.install(map), expected));
    });
    group.bench_function("async_map", |b| {
        b.iter(|| {
            let results = runtime.block_on(async {
                let task = |n| tokio::spawn(async move { nothing(n) });
                let tasks: Vec<_> = (0..TASKS).map(task).collect();
                let mut results = Vec::with_capacity(tasks.len());
                for task in tasks {
                    results.push(task.await.unwrap());
                }
                results
            });
            assert_eq!(results, expected);
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("apply", |b| b.iter(|| assert_eq!(pool.apply(nothing, 7), Ok(7))));
    group.bench_function("threads_apply", |b| {
        b.iter(|| assert_eq!(threads.install(|| nothing(7)), 7));
    });
    group.bench_function("process_each", |b| {
        b.iter(|| assert_eq!(multiproc::spawn(nothing, 7).unwrap().join(), Ok(7)));
    });
    group.bench_function("thread_each", |b| {
        b.iter(|| assert_eq!(thread::spawn(move || nothing(7)).join().unwrap(), 7));
    });
    group.finish();
    criterion.final_summary();
}
