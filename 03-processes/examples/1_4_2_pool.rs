//! 1.4.2 · 进程池的关闭 · Ending a pool: `close` finishes what was submitted, `terminate` does not.
//!
//! Python: `close()`, then `join()`, or the main process would not wait; `terminate()` stops at
//! once.
//! Rust: the same two; dropping a pool terminates it, so no worker is ever left behind. After
//! `close`, submitting is an error.
//!
//! Run: `cargo run --example 1_4_2_pool` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#pool` · `notes/zh-CN/03-processes.md#pool`
//!
//! ```output unordered
//! task 1
//! task 2
//! task 3
//! task 4
//! task 5
//! task 6
//! ```
//! ```output
//! after close: the pool is closed: true
//! after join: 6 of 6 done
//! terminated: [..] of 10000 were done, the others are told so: true
//! no worker is left: true
//! ```

use multiproc::{Pool, TaskError, queue::Queue};
use util::{tick, timeline};

fn work((number, done): (u32, Queue<u32>)) {
    let _span = timeline::span(number);
    tick::sleep(1);
    println!("task {number}");
    done.put(&number).unwrap();
}

fn endless((): ()) {
    let _span = timeline::span("endless");
    tick::sleep(10_000);
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    let done = Queue::unbounded()?;

    // ANCHOR: close
    let pool = Pool::builder().workers(3).build()?;
    for number in 1..=6 {
        let _nobody_asks = pool.apply_async(work, (number, done.clone()))?;
    }
    pool.close();
    let refused = matches!(pool.apply_async(work, (7, done.clone())), Err(TaskError::Closed));
    pool.join();
    // ANCHOR_END: close
    println!("after close: the pool is closed: {refused}");
    println!("after join: {} of 6 done", done.len());
    assert!(refused && done.len() == 6);

    // ANCHOR: terminate
    let pool = Pool::builder().workers(3).build()?;
    let tasks: Vec<_> =
        (0..10_000).map(|_| pool.apply_async(endless, ())).collect::<Result<_, _>>()?;
    pool.terminate();
    let ends: Vec<_> = tasks.into_iter().map(|task| task.get()).collect();
    pool.join();
    // ANCHOR_END: terminate
    let finished = ends.iter().filter(|end| end.is_ok()).count();
    let told = ends.iter().filter(|end| matches!(end, Err(TaskError::Terminated))).count();
    let all_told = finished + told == 10_000;
    println!("terminated: {finished} of 10000 were done, the others are told so: {all_told}");
    let nobody = multiproc::active_children().is_empty();
    println!("no worker is left: {nobody}");
    assert!(all_told && finished == 0 && nobody);
    Ok(())
}
