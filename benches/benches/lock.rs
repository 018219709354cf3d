//! The question of `28_11_mutex` and `28_11_1_fine_grained_mutex`: two threads add to one number and subtract from it,
//! 100,000 times each. What does it cost to share it, and how?
//!
//! Measured: from the start of the two threads until both have ended. Starting them is part of it, and the same for
//! all ways (`start` alone is measured too, so it can be subtracted). Left out: more than two threads, work outside the
//! lock, fairness. The result is asserted each time. Without the `black_box`, the compiler would turn 100,000
//! additions into one multiplication, and the ways that let it would look infinitely fast.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::{
    hint::black_box,
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    thread,
};

const ROUNDS: u32 = 100_000;

fn by_two_threads(change: impl Fn(i64) + Sync) {
    thread::scope(|s| {
        s.spawn(|| change(1));
        s.spawn(|| change(-1));
    });
}

fn each_round(mut round: impl FnMut()) {
    (0..ROUNDS).for_each(|_| round());
}

fn lock(c: &mut Criterion) {
    let mut group = c.benchmark_group("lock");
    group.throughput(Throughput::Elements(2 * u64::from(ROUNDS)));

    group.bench_function("start", |b| b.iter(|| by_two_threads(|step| _ = black_box(step))));

    group.bench_function("one_sum_a_thread", |b| {
        b.iter(|| {
            let total = AtomicI64::new(0);
            by_two_threads(|step| {
                let mut sum = 0;
                each_round(|| sum = black_box(sum + step));
                total.fetch_add(sum, Relaxed);
            });
            assert_eq!(total.into_inner(), 0);
        });
    });

    group.bench_function("atomic", |b| {
        b.iter(|| {
            let sum = AtomicI64::new(0);
            by_two_threads(|step| each_round(|| _ = sum.fetch_add(step, Relaxed)));
            assert_eq!(sum.into_inner(), 0);
        });
    });

    group.bench_function("coarse_mutex", |b| {
        b.iter(|| {
            let sum = Mutex::new(0);
            by_two_threads(|step| {
                let mut sum = sum.lock().unwrap();
                each_round(|| *sum = black_box(*sum + step));
            });
            assert_eq!(sum.into_inner().unwrap(), 0);
        });
    });

    group.bench_function("fine_mutex", |b| {
        b.iter(|| {
            let sum = Mutex::new(0);
            by_two_threads(|step| each_round(|| *sum.lock().unwrap() += step));
            assert_eq!(sum.into_inner().unwrap(), 0);
        });
    });

    group.bench_function("fine_parking_lot", |b| {
        b.iter(|| {
            let sum = parking_lot::Mutex::new(0);
            by_two_threads(|step| each_round(|| *sum.lock() += step));
            assert_eq!(sum.into_inner(), 0);
        });
    });
    group.finish();
}

criterion_group!(benches, lock);
criterion_main!(benches);
