//! What one of each kind holds while it waits: on the heap, and where it has a stack, what the
//! kernel keeps for that.

use crate::executor::Executor;
use corosensei::{Coroutine, Yielder};
use coroutines::Generator;
use std::{
    process,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};
use util::{heap, held::Held, measure::Table};

/// What this process holds: its memory, and the kernel's for it, as far as it is reported.
fn held() -> Held {
    Held::by(&[process::id()]).unwrap()
}

/// One of so many, in bytes: on the heap, and besides.
fn one_of(count: i64, make: impl FnOnce() -> Box<dyn FnOnce()>) -> (i64, i64) {
    held(); // whatever it needs, it has from now on
    let before = held();
    let (end, used) = heap::used(make);
    let all = held().all() as i64 - before.all() as i64;
    end();
    (used.held as i64 / count, (all - used.held as i64) / count)
}

/// Keeps what is made until its measurement is over.
fn keep<T: 'static>(all: Vec<T>) -> Box<dyn FnOnce()> {
    Box::new(move || drop(all))
}

pub fn table() -> Table<4> {
    const MANY: usize = 1000;
    const STACKS: usize = 200;
    // ANCHOR: idle
    let iterator = one_of(MANY as i64, || {
        keep((0..MANY as u64).map(|n| Box::new((n..).map(|n| n * n))).collect())
    });
    let generator = one_of(MANY as i64, || {
        let squares = |first: u64| {
            Box::pin(Generator::new(move |co| async move {
                for n in first.. {
                    co.yield_(n * n).await;
                }
            }))
        };
        let mut all: Vec<_> = (0..MANY as u64).map(squares).collect();
        all.iter_mut().for_each(|generator| _ = generator.next());
        keep(all)
    });
    let task = one_of(MANY as i64, || {
        let (executor, at) = (Executor::default(), Instant::now() + Duration::from_secs(3600));
        for _ in 0..MANY {
            let here = executor.clone();
            // its state has the same size from the beginning
            executor.spawn(async move { here.sleep_until(at).await });
        }
        Box::new(|| drop(executor))
    });
    let coroutine = one_of(STACKS as i64, || {
        let waits = |_| Coroutine::new(|yielder: &Yielder<(), ()>, ()| yielder.suspend(()));
        let mut all: Vec<_> = (0..STACKS).map(waits).collect();
        all.iter_mut().for_each(|coroutine| _ = coroutine.resume(()));
        keep(all)
    });
    let thread = one_of(STACKS as i64, || {
        let (ready, end) = (Arc::new(Barrier::new(STACKS + 1)), Arc::new(Barrier::new(STACKS + 1)));
        let wait = |_| {
            let (ready, end) = (Arc::clone(&ready), Arc::clone(&end));
            thread::spawn(move || _ = (ready.wait(), end.wait()))
        };
        let all: Vec<_> = (0..STACKS).map(wait).collect();
        ready.wait();
        Box::new(move || {
            end.wait();
            all.into_iter().for_each(|thread| thread.join().unwrap());
        })
    });
    // ANCHOR_END: idle

    let mut table = Table::new(["one that waits", "heap, bytes", "stack and kernel", "together"]);
    let is_whole = held().kernel.is_some();
    if !is_whole {
        util::needs_linux("only its kernel reports what it holds for a thread");
    }
    let mut last = 0;
    for (name, (heap, besides), has_stack) in [
        ("iterator", iterator, false),
        ("generator", generator, false),
        ("async task", task, false),
        ("coroutine with a stack", coroutine, true),
        ("thread", thread, true),
    ] {
        // Without a stack there is nothing besides: what the process got meanwhile is the
        // allocator's, in whole pages.
        let besides = if has_stack { besides } else { 0 };
        table.row([
            name.into(),
            heap.to_string(),
            besides.to_string(),
            (heap + besides).to_string(),
        ]);
        assert!(last < heap + besides || !is_whole, "{name} is no larger than the one before it");
        last = heap + besides;
    }
    table
}
