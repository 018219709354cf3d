//! Starting one and waiting for its end: a process of `processes`, a program by `std`, a thread.
//!
//! Measured: from the call that starts it until `join` returns, with nothing to do in between; the result is asserted. Left out: what it
//! costs while it runs (1_1_7 and 3_2 look at that), and starting many at once.

use criterion::Criterion;
use std::{process::Command, thread};

fn main() {
    processes::init();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("start");
    group.bench_function("process", |b| {
        b.iter(|| assert_eq!(processes::spawn(|n: u32| n + 1, 41).unwrap().join(), Ok(42)));
    });
    group.bench_function("program_true", |b| {
        b.iter(|| assert!(Command::new("true").status().unwrap().success()));
    });
    group.bench_function("thread", |b| {
        b.iter(|| assert_eq!(thread::spawn(|| 42).join().unwrap(), 42));
    });
    group.finish();
    criterion.final_summary();
}
