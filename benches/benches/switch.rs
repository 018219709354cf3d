//! From one to another and back: a coroutine with a stack of its own, two of them that switch to
//! each other, a generator made from `async`, async tasks, threads, processes.
//!
//! Measured: a time is that of one switch; a resume and its yield are two. Threads hand a turn over
//! by a condition variable, pinned to one processor and not, and by spinning on two; waking one on
//! another processor can cost fifty times as much as on the same. Processes hand a byte over by a
//! pair of pipes, not pinned. The count of turns is asserted. Left out: what the switched-to finds
//! cold in the caches.

use corosensei::{Coroutine, Yielder};
use coroutines::{Generator, Step, switch::Hub};
use criterion::Criterion;
use multitask::{cores, switches};
use std::{
    pin::pin,
    time::{Duration, Instant},
};
use tokio::{runtime, task};

/// Of async tasks that take turns.
const TASKS: u64 = 1000;

fn main() {
    multiproc::init();
    // Eight ways, and a reader who waits: what is measured is short, so a quarter of a minute is
    // enough for all of them.
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("switch");

    group.bench_function("stackful", |b| {
        b.iter_custom(|count| {
            let mut turns = 0;
            let mut coroutine = Coroutine::new(|yielder: &Yielder<(), u64>, ()| {
                for turn in 1.. {
                    yielder.suspend(turn);
                }
            });
            let pairs = count.div_ceil(2);
            let took =
                timed(|| (0..pairs).for_each(|_| turns = coroutine.resume(()).as_yield().unwrap()));
            assert_eq!(turns, pairs);
            took.mul_f64(count as f64 / (2 * pairs) as f64)
        });
    });
    group.bench_function("symmetric", |b| {
        b.iter_custom(|count| {
            let hub = Hub::new();
            let (one, two) = (hub.reserve(), hub.reserve());
            hub.define(one, move |here, mut turn: u64| {
                while turn < count {
                    turn = here.switch(two, turn + 1).unwrap();
                }
                turn
            })
            .unwrap();
            hub.define(two, move |here, mut turn| {
                while turn < count {
                    turn = here.switch(one, turn + 1).unwrap();
                }
                turn
            })
            .unwrap();
            timed(|| assert!(hub.switch(one, 0).unwrap() >= count))
        });
    });
    group.bench_function("generator", |b| {
        b.iter_custom(|count| {
            let mut generator = pin!(Generator::new(|co| async move {
                for turn in 1_u64.. {
                    co.yield_(turn).await;
                }
            }));
            let (pairs, mut turns) = (count.div_ceil(2), 0);
            let took = timed(|| {
                for _ in 0..pairs {
                    let Ok(Step::Yielded(turn)) = generator.as_mut().resume(()) else { return };
                    turns = std::hint::black_box(turn);
                }
            });
            assert_eq!(turns, pairs);
            took.mul_f64(count as f64 / (2 * pairs) as f64)
        });
    });
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    group.bench_function("async_1000_tasks", |b| {
        b.iter_custom(|count| {
            let rounds = count.div_ceil(TASKS);
            let took = runtime.block_on(async {
                let started = Instant::now();
                let tasks: Vec<_> = (0..TASKS)
                    .map(|_| {
                        tokio::spawn(async move {
                            for _ in 0..rounds {
                                task::yield_now().await;
                            }
                            rounds
                        })
                    })
                    .collect();
                let mut turns = 0;
                for task in tasks {
                    turns += task.await.unwrap();
                }
                assert_eq!(turns, rounds * TASKS);
                started.elapsed()
            });
            took.mul_f64(count as f64 / (rounds * TASKS) as f64)
        });
    });

    let processors = cores::allowed().unwrap();
    cores::on(&processors[..1], || {
        group.bench_function("threads_pinned", |b| b.iter_custom(switches::by_condition));
    })
    .unwrap();
    group.bench_function("threads_unpinned", |b| b.iter_custom(switches::by_condition));
    // On one processor, whoever spins keeps the other from its turn.
    if processors.len() > 1 {
        group.bench_function("threads_spinning", |b| b.iter_custom(switches::by_spinning));
    }
    group.bench_function("processes_pipe", |b| {
        let (mine, theirs) = multiproc::pipe::duplex::<u64, u64>().unwrap();
        let echo = multiproc::spawn(
            |end: multiproc::pipe::Duplex<u64, u64>| {
                while let Ok(turn) = end.recv() {
                    end.send(&(turn + 1)).unwrap();
                }
            },
            theirs,
        );
        b.iter_custom(|count| {
            let (pairs, mut turn) = (count.div_ceil(2), 0);
            let took = timed(|| {
                for _ in 0..pairs {
                    mine.send(&(turn + 1)).unwrap();
                    turn = mine.recv().unwrap();
                }
            });
            assert_eq!(turn, 2 * pairs);
            took.mul_f64(count as f64 / (2 * pairs) as f64)
        });
        drop(mine);
        echo.unwrap().join().unwrap();
    });
    group.finish();
    criterion.final_summary();
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}
