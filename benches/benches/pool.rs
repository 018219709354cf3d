//! A pool of two processes: what a task costs that does nothing, so all that is measured is the pool.
//!
//! `map` sends tasks in chunks, `map_one_by_one` a message each; `apply` waits for each result before the next one is asked for: a round
//! trip. `process_each` starts a process for each task instead. Results are asserted. Left out: tasks that do something,
//! and more workers than cores.

use criterion::{Criterion, Throughput};
use processes::Pool;

const TASKS: u32 = 1000;

fn main() {
    processes::init();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("pool");
    let pool = Pool::builder().workers(2).build().unwrap();
    let nothing = |n: u32| n;
    let expected: Vec<u32> = (0..TASKS).collect();

    group.throughput(Throughput::Elements(u64::from(TASKS)));
    group.bench_function("map", |b| {
        b.iter(|| assert_eq!(pool.map(nothing, 0..TASKS).unwrap(), expected));
    });
    group.bench_function("map_one_by_one", |b| {
        b.iter(|| assert_eq!(pool.options().chunk(1).map(nothing, 0..TASKS).unwrap(), expected));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("apply", |b| b.iter(|| assert_eq!(pool.apply(nothing, 7), Ok(7))));
    group.bench_function("process_each", |b| {
        b.iter(|| assert_eq!(processes::spawn(nothing, 7).unwrap().join(), Ok(7)));
    });
    group.finish();
    criterion.final_summary();
}
