//! Going over numbers: a plain loop, an iterator written by hand, a generator made from `async`
//! (pinned on the stack, and boxed), a coroutine with a stack of its own; and the same with a value
//! sent in for each one that comes out.
//!
//! Measured: the sum of the first 1,000 Fibonacci numbers (wrapping), asserted; a time is that of
//! one number. The inputs are hidden from the compiler, so that no loop is computed beforehand.
//! Left out: generators that hold much, and iterators over memory.

use corosensei::{Coroutine, CoroutineResult, Yielder};
use coroutines::{Generator, Step};
use criterion::{Criterion, Throughput};
use std::{hint::black_box, pin::pin};

const COUNT: u64 = 1000;

struct Fibonacci {
    a: u64,
    b: u64,
    left: u64,
}

impl Iterator for Fibonacci {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        let number = self.a;
        (self.a, self.b) = (self.b, self.a.wrapping_add(self.b));
        Some(number)
    }
}

/// Takes a number, gives the sum so far: written by hand.
struct Sum(u64);

impl Sum {
    fn resume(&mut self, number: u64) -> u64 {
        self.0 = self.0.wrapping_add(number);
        self.0
    }
}

fn plain(count: u64) -> u64 {
    let (mut a, mut b, mut sum) = (0_u64, 1, 0_u64);
    for _ in 0..count {
        sum = sum.wrapping_add(a);
        (a, b) = (b, a.wrapping_add(b));
    }
    sum
}

/// The generator of the same numbers. A macro, for its type has no name.
macro_rules! generator {
    ($count:expr) => {{
        let count = $count;
        Generator::new(move |co| async move {
            let (mut a, mut b) = (0_u64, 1_u64);
            for _ in 0..count {
                co.yield_(a).await;
                (a, b) = (b, a.wrapping_add(b));
            }
        })
    }};
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::wrapping_add)
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let right = plain(COUNT);

    let mut group = criterion.benchmark_group("iterate");
    group.throughput(Throughput::Elements(COUNT));
    group.bench_function("plain_loop", |b| b.iter(|| assert_eq!(plain(black_box(COUNT)), right)));
    group.bench_function("by_hand", |b| {
        b.iter(|| assert_eq!(sum(Fibonacci { a: 0, b: 1, left: black_box(COUNT) }), right));
    });
    group.bench_function("generator", |b| {
        b.iter(|| assert_eq!(sum(pin!(generator!(black_box(COUNT)))), right));
    });
    group.bench_function("generator_boxed", |b| {
        b.iter(|| assert_eq!(sum(Box::pin(generator!(black_box(COUNT)))), right));
    });
    group.bench_function("stackful", |b| {
        b.iter(|| {
            let count = black_box(COUNT);
            let mut coroutine = Coroutine::new(move |yielder: &Yielder<(), u64>, ()| {
                Fibonacci { a: 0, b: 1, left: count }.for_each(|number| yielder.suspend(number));
            });
            let next = || coroutine.resume(()).as_yield();
            assert_eq!(sum(std::iter::from_fn(next)), right);
        });
    });
    group.finish();

    // As many numbers sent in as sums come out; the last one is asserted.
    let mut group = criterion.benchmark_group("iterate_send");
    group.throughput(Throughput::Elements(COUNT));
    let right = (0..COUNT).sum::<u64>();
    group.bench_function("by_hand", |b| {
        b.iter(|| {
            let mut machine = Sum(0);
            let last = (0..black_box(COUNT)).map(|number| machine.resume(black_box(number))).last();
            assert_eq!(last, Some(right));
        });
    });
    group.bench_function("generator", |b| {
        b.iter(|| {
            let mut generator = pin!(Generator::with_input(|co, first: u64| async move {
                let mut sum = first;
                loop {
                    sum = sum.wrapping_add(co.yield_(sum).await);
                }
            }));
            let mut last = None;
            for number in 0..black_box(COUNT) {
                match generator.as_mut().resume(black_box(number)) {
                    Ok(Step::Yielded(sum)) => last = Some(sum),
                    Ok(Step::<_, ()>::Returned(())) | Err(_) => unreachable!("it has no end"),
                }
            }
            assert_eq!(last, Some(right));
        });
    });
    group.bench_function("stackful", |b| {
        b.iter(|| {
            let mut coroutine = Coroutine::new(|yielder: &Yielder<u64, u64>, first: u64| {
                let mut sum = first;
                loop {
                    sum = sum.wrapping_add(yielder.suspend(sum));
                    if sum == u64::MAX {
                        return;
                    }
                }
            });
            let mut last = None;
            for number in 0..black_box(COUNT) {
                match coroutine.resume(black_box(number)) {
                    CoroutineResult::Yield(sum) => last = Some(sum),
                    CoroutineResult::Return(()) => unreachable!("the sum is smaller"),
                }
            }
            assert_eq!(last, Some(right));
        });
    });
    group.finish();
    criterion.final_summary();
}
