//! 007 · 进程池 · A pool of three for ten tasks: the processes are used again and again.
//!
//! Python: `Pool(3)`, `apply_async` ten times; the same pids come up repeatedly. `Pool()` takes as
//! many as there are cores.
//! Rust: the same. A task that panics is an error of that task, and its process takes the next one.
//!
//! Run: `cargo run --example 007_pool` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#pool` · `notes/zh-CN/03-processes.md#pool`
//!
//! ```output
//! ten results: [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]
//! by [..] processes, all of the pool's three
//! a task that panics: the task panicked at [..]: no such task
//! a pool of the default size has as many workers as there are cores: true
//! ```

use multiproc::{Pool, TaskError};
use std::{collections::HashSet, thread};
use util::{tick, timeline};

/// Returns the square, and who computed it.
fn square(number: u32) -> (u32, u32) {
    let _span = timeline::span(number);
    tick::sleep(f64::from(1 + number * 7 % 3) * 0.5);
    (number * number, multiproc::current().id)
}

fn fail((): ()) {
    panic!("no such task");
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    // ANCHOR: pool
    let pool = Pool::builder().workers(3).build()?;
    let tasks: Vec<_> = (0..10).map(|n| pool.apply_async(square, n)).collect::<Result<_, _>>()?;
    let results: Vec<_> = tasks.into_iter().map(|task| task.get()).collect::<Result<_, _>>()?;
    // ANCHOR_END: pool
    let squares: Vec<u32> = results.iter().map(|(square, _)| *square).collect();
    println!("ten results: {squares:?}");
    assert_eq!(squares, (0..10).map(|n| n * n).collect::<Vec<_>>());

    let workers: HashSet<u32> = pool.worker_ids().into_iter().collect();
    let used: HashSet<u32> = results.into_iter().map(|(_, id)| id).collect();
    println!("by {} processes, all of the pool's three", used.len());
    assert!(used.is_subset(&workers) && workers.len() == 3);

    let failed = pool.apply(fail, ()).unwrap_err();
    println!("a task that panics: {failed}");
    assert!(matches!(failed, TaskError::Panicked { message, .. } if message == "no such task"));
    pool.join();

    let as_cores = Pool::new()?.workers() == thread::available_parallelism()?.get();
    println!("a pool of the default size has as many workers as there are cores: {as_cores}");
    assert!(as_cores);
    Ok(())
}
