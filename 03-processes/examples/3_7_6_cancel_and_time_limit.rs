//! 3.7.6 · 取消与时限 · Cancellation and time limits: a task is ended early, and only that task.
//!
//! Python: `cancel()` of `ProcessPoolExecutor` does nothing to a task that is running, and
//! `get(timeout)` of `Pool` only stops waiting: the task keeps its worker. The package `pebble`
//! kills the worker.
//! Rust: `cancel` removes a task that waits. For a task that is running, it kills the worker and
//! another one takes its place. A time limit does the same by itself. All other tasks go on.
//!
//! Run: `cargo run --example 3_7_6_cancel_and_time_limit` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#cancel` · `notes/zh-CN/03-processes.md#cancel`
//!
//! ```output
//! no result in time, and the task goes on
//! the running task: Killed
//! the waiting task: Removed
//! both: the task was cancelled
//! the tasks between them: [1, 4]
//! another worker has taken the place: true
//! 1: Ok(1)
//! 2: Ok(4)
//! 3: Err(TimedOut)
//! 4: Ok(16)
//! ```

use multiproc::pool::Cancel;
use multiproc::{Pool, Queue, TaskError};
use std::{thread, time::Duration};
use util::{tick, timeline};

fn square(number: u32) -> u32 {
    let _span = timeline::span(number);
    number * number
}

/// Says that it has begun, and never ends.
fn hang(begun: Queue<()>) -> u32 {
    let _span = timeline::span("hang");
    begun.put(&()).unwrap();
    loop {
        thread::park();
    }
}

fn hang_at_three(number: u32) -> u32 {
    if number == 3 {
        loop {
            thread::park();
        }
    }
    square(number)
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();

    // ANCHOR: cancel
    let pool = Pool::builder().workers(1).build()?;
    let begun = Queue::unbounded()?;
    let running = pool.apply_async(hang, begun.clone())?;
    let tasks: Vec<_> = (1..=3).map(|n| pool.apply_async(square, n)).collect::<Result<_, _>>()?;
    let [first, second, waiting] = <[_; 3]>::try_from(tasks).expect("three tasks");
    begun.get()?;
    let workers = pool.worker_ids();

    // This gives up waiting. It does not end the task, and the others are still behind it.
    let running = running.get_timeout(tick::ticks(1)).expect_err("it never ends");
    println!("no result in time, and the task goes on");
    assert!(!first.is_ready());

    // These end the tasks.
    let (killed, removed) = (running.cancel(), waiting.cancel());
    // ANCHOR_END: cancel
    println!("the running task: {killed:?}");
    println!("the waiting task: {removed:?}");
    assert_eq!((killed, removed), (Cancel::Killed, Cancel::Removed));
    let errors = [running.get().unwrap_err(), waiting.get().unwrap_err()];
    println!("both: {}", errors[0]);
    assert_eq!(errors, [TaskError::Cancelled, TaskError::Cancelled]);
    let squares = [first.get()?, second.get()?];
    println!("the tasks between them: {squares:?}");
    let is_replaced = pool.worker_ids() != workers;
    println!("another worker has taken the place: {is_replaced}");
    assert!(squares == [1, 4] && is_replaced);

    // ANCHOR: limit
    let options = pool.options().chunk(4).time_limit(Duration::from_secs(1));
    let results = options.map_each(hang_at_three, 1..=4);
    // ANCHOR_END: limit
    for (number, result) in (1..).zip(&results) {
        println!("{number}: {result:?}");
    }
    assert_eq!(results, [Ok(1), Ok(4), Err(TaskError::TimedOut), Ok(16)]);
    pool.join();
    Ok(())
}
