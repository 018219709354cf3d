//! 2.11 · 线程池 · Thread pool: results in order, results as they are completed, and a task that panics.
//!
//! Python: `ThreadPoolExecutor(3)`: `map` returns results in order, `submit` a `Future`,
//! `as_completed` yields futures as they end.
//! Rust: std has no pool; `rayon::ThreadPool` is one. A parallel iterator is `map`; a task that
//! sends its result through a channel is a future: `recv` is `result()`, `recv_timeout` is `wait`.
//! Mistake: a task that waits for another task of the same pool. All threads may be waiting then,
//! and none is left to do the work. `join` and `scope` of rayon do the other task themselves
//! meanwhile.
//!
//! Run: `cargo run --example 2_11_thread_pool`
//! Notes: `notes/en/02-threads.md#pool` · `notes/zh-CN/02-threads.md#pool`
//!
//! ```output
//! in order: [1, 4, 9, 16, 25]
//! as completed: [[..]]
//! a task that panics: Err("on purpose"); the next task: Ok(7)
//! a pool of one that waits for itself: timed out after 2 ticks
//! the same by rayon::join: (1, 2)
//! ```

use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, RecvTimeoutError::Timeout},
    thread,
};
use util::tick;

// ANCHOR: submit
/// Python's `submit`. What it returns is the future: it receives the result, or the panic.
fn submit<T: Send + 'static>(
    pool: &ThreadPool,
    task: impl FnOnce() -> T + Send + 'static,
) -> Receiver<thread::Result<T>> {
    let (result, future) = mpsc::channel();
    // A panic that leaves a spawned task ends the program, so it is caught here.
    pool.spawn(move || _ = result.send(catch_unwind(AssertUnwindSafe(task))));
    future
}
// ANCHOR_END: submit

fn main() -> util::Result<()> {
    util::case!();
    // ANCHOR: pool
    let pool = ThreadPoolBuilder::new().num_threads(3).build()?;
    let squares: Vec<u32> = pool.install(|| (1..=5_u32).into_par_iter().map(|n| n * n).collect());
    println!("in order: {squares:?}");

    let (done, results) = mpsc::channel();
    for n in [3, 2, 1_u32] {
        let done = done.clone();
        pool.spawn(move || {
            tick::sleep(n);
            let _ = done.send(n);
        });
    }
    drop(done); // the results end with the last task
    let mut completed: Vec<_> = results.iter().collect();
    println!("as completed: {completed:?}");

    let failed = submit(&pool, || panic!("on purpose")).recv()?.map_err(|e: Box<_>| text(&*e));
    let next = submit(&pool, || 7).recv()?.map_err(|e| text(&*e));
    println!("a task that panics: {failed:?}; the next task: {next:?}");
    // ANCHOR_END: pool
    completed.sort_unstable();
    assert_eq!((squares, completed), (vec![1, 4, 9, 16, 25], vec![1, 2, 3]));
    assert_eq!((failed, next), (Err::<(), _>("on purpose"), Ok(7)));

    // ANCHOR: itself
    let one = ThreadPoolBuilder::new().num_threads(1).build()?;
    let waited = one.install(|| {
        let (result, future) = mpsc::channel();
        rayon::spawn(move || _ = result.send(1)); // for the thread that waits in the next line
        future.recv_timeout(tick::ticks(2))
    });
    println!("a pool of one that waits for itself: timed out after 2 ticks");
    let both = one.install(|| rayon::join(|| 1, || 2));
    println!("the same by rayon::join: {both:?}");
    // ANCHOR_END: itself
    assert_eq!((waited, both), (Err(Timeout), (1, 2)));
    Ok(())
}

fn text(panic: &(dyn std::any::Any + Send)) -> &'static str {
    panic.downcast_ref::<&'static str>().copied().unwrap_or("no text")
}
