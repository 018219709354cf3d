//! 3.7.8 · 进程池执行器 · Futures of a pool: results as they complete, and a worker that dies.
//!
//! Python: `ProcessPoolExecutor.submit` returns a `Future`; `as_completed(futures)` yields those
//! that are done. When one worker dies, every future that is not done yet is `BrokenProcessPool`,
//! and so is each later `submit`: one killed process ends the pool.
//! Rust: `Pool` is both of Python's pools. `apply_async` is `submit`, `imap_unordered` is
//! `as_completed`. When a worker dies, the task that it was in is `WorkerLost`, and no other; a new
//! worker takes its place.
//! Mistake: `?` on each result. It drops the results of the other tasks because of the one that is
//! lost. `map_each` has an `Ok` or an `Err` per task.
//!
//! Run: `cargo run --example 3_7_8_process_pool_executor` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#executor` · `notes/zh-CN/03-processes.md#executor`
//!
//! ```output
//! submit: 12 squared is 144
//! as completed: task 1, then task 0, which had to wait
//! task 3 of 8 kills its worker: [0, 1, 4, lost, 16, 25, 36, 49]
//! lost: [..]
//! the pool goes on: 10 squared is 100
//! ```

use multiproc::{Pool, Queue, TaskError};
use nix::sys::signal::{Signal, raise};
use util::timeline;

fn square(number: u32) -> u32 {
    let _span = timeline::span(number);
    number * number
}

/// Task 0 waits until main has the other one's result.
fn wait_if_first((number, gate): (u32, Queue<()>)) -> u32 {
    let _span = timeline::span(format_args!("task {number}"));
    if number == 0 {
        gate.get().unwrap();
    }
    number
}

/// Task 3 dies as by the kernel's out-of-memory killer.
fn square_or_die(number: u32) -> u32 {
    if number == 3 {
        raise(Signal::SIGKILL).unwrap();
    }
    square(number)
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();

    // ANCHOR: submit
    let pool = Pool::builder().workers(2).build()?;
    let future = pool.apply_async(square, 12)?;
    println!("submit: 12 squared is {}", future.get()?);
    // ANCHOR_END: submit

    // ANCHOR: completed
    let gate = Queue::unbounded()?;
    let mut completed = pool.imap_unordered(wait_if_first, [(0, gate.clone()), (1, gate.clone())]);
    let first = completed.next().expect("two tasks")?;
    gate.put(&())?;
    let second = completed.next().expect("two tasks")?;
    println!("as completed: task {first}, then task {second}, which had to wait");
    // ANCHOR_END: completed
    assert_eq!((first, second), (1, 0));
    drop(completed);

    // ANCHOR: lost
    let results = pool.map_each(square_or_die, 0..8);
    // ANCHOR_END: lost
    let shown = results.iter().map(|result| match result {
        Ok(square) => square.to_string(),
        Err(_) => "lost".into(),
    });
    println!("task 3 of 8 kills its worker: [{}]", shown.collect::<Vec<_>>().join(", "));
    for (number, result) in (0..).zip(results) {
        match result {
            Ok(result) => assert_eq!(result, number * number),
            Err(error) => {
                println!("lost: {error}");
                assert!(number == 3 && error == TaskError::WorkerLost { signal: Some(9) });
            }
        }
    }
    println!("the pool goes on: 10 squared is {}", pool.apply(square, 10)?);
    pool.join();
    Ok(())
}
