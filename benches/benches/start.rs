//! Starting one and waiting for its end: a process of `multiproc`, a program by `std`, a thread, a
//! task of an async runtime, a piece of work for rayon's threads.
//!
//! Measured: from the call that starts it until its result is there, with nothing to do in between;
//! the result is asserted. rayon's threads and those of the runtime are started before. Left out:
//! what it costs while it runs (`memory`), and starting many at once (the curves).

use criterion::Criterion;
use std::{process::Command, thread, time::Instant};
use tokio::runtime;

fn main() {
    multiproc::init();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("start");
    group.bench_function("process", |b| {
        b.iter(|| assert_eq!(multiproc::spawn(|n: u32| n + 1, 41).unwrap().join(), Ok(42)));
    });
    group.bench_function("program_true", |b| {
        b.iter(|| assert!(Command::new("true").status().unwrap().success()));
    });
    group.bench_function("thread", |b| {
        b.iter(|| assert_eq!(thread::spawn(|| 42).join().unwrap(), 42));
    });
    group.bench_function("thread_scoped", |b| {
        b.iter(|| assert_eq!(thread::scope(|s| s.spawn(|| 42).join().unwrap()), 42));
    });
    let pool = rayon::ThreadPoolBuilder::new().build().unwrap();
    group.bench_function("rayon", |b| b.iter(|| assert_eq!(pool.install(|| 42), 42)));
    for (name, mut builder) in [
        ("async_task", runtime::Builder::new_current_thread()),
        ("async_task_threads", runtime::Builder::new_multi_thread()),
    ] {
        let runtime = builder.build().unwrap();
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                runtime.block_on(async {
                    let started = Instant::now();
                    for _ in 0..count {
                        assert_eq!(tokio::spawn(async { 42 }).await.unwrap(), 42);
                    }
                    started.elapsed()
                })
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
