//! 4.5.2 · 等待多个任务 · Gather: several at once, and none of them outlives its scope.
//!
//! Python: `asyncio.gather` returns the results in order; a `TaskGroup` also cancels the others and
//! waits for them when one fails. `create_task` alone starts a task that belongs to nobody.
//! Rust: `join!` and `try_join!` for futures of one task, a `JoinSet` for tasks: dropping the set
//! aborts what is left, and `shutdown` waits until it has ended.
//!
//! Run: `cargo run --example 4_5_2_gather`
//! Notes: `notes/en/04-coroutines.md#gather` · `notes/zh-CN/04-coroutines.md#gather`
//!
//! ```output
//! join!: Ok("a") and Ok("b") after 3 s
//! try_join!: Err("d failed") after 1 s
//! JoinSet: Ok("f") after 1 s
//! JoinSet: Ok("g") after 2 s
//! JoinSet: Ok("e") after 3 s
//! group: Err("i failed") after 2 s, still running: 0
//! ```

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    join,
    task::JoinSet,
    time::{Instant, sleep},
    try_join,
};

type Result<T> = std::result::Result<T, String>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    util::case!();
    // ANCHOR: join
    let began = Instant::now();
    let (a, b) = join!(work("a", 3), work("b", 2));
    println!("join!: {a:?} and {b:?} after {} s", began.elapsed().as_secs());

    let began = Instant::now();
    let both = try_join!(work("c", 3), fail("d", 1)); // `c` is dropped when `d` fails
    println!("try_join!: {both:?} after {} s", began.elapsed().as_secs());
    // ANCHOR_END: join
    assert_eq!((both.is_err(), running()), (true, 0));

    // ANCHOR: join_set
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (name, seconds) in [("e", 3), ("f", 1), ("g", 2)] {
        tasks.spawn(work(name, seconds));
    }
    while let Some(result) = tasks.join_next().await {
        let result = result.expect("no task panics"); // see 4_5_13
        println!("JoinSet: {result:?} after {} s", began.elapsed().as_secs());
    }
    // ANCHOR_END: join_set

    let began = Instant::now();
    let mut tasks = JoinSet::new();
    tasks.spawn(work("h", 60));
    tasks.spawn(fail("i", 2));
    tasks.spawn(work("j", 60));
    let all = group(tasks).await;
    let seconds = began.elapsed().as_secs();
    println!("group: {all:?} after {seconds} s, still running: {}", running());
    assert_eq!((all.is_err(), seconds, running()), (true, 2, 0));
}

// ANCHOR: group
/// All results, or the first error; no task is left in either case.
async fn group(mut tasks: JoinSet<Result<&'static str>>) -> Result<Vec<&'static str>> {
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        match result.expect("no task panics") {
            Ok(result) => results.push(result),
            Err(error) => {
                tasks.shutdown().await; // aborts the others and waits for their ends
                return Err(error);
            }
        }
    }
    Ok(results)
}
// ANCHOR_END: group

async fn work(name: &'static str, seconds: u64) -> Result<&'static str> {
    let _running = Running::new();
    sleep(Duration::from_secs(seconds)).await;
    Ok(name)
}

async fn fail(name: &'static str, seconds: u64) -> Result<&'static str> {
    work(name, seconds).await?;
    Err(format!("{name} failed"))
}

static RUNNING: AtomicU32 = AtomicU32::new(0);

fn running() -> u32 {
    RUNNING.load(Relaxed)
}

/// Counts those that have begun and have neither ended nor been dropped.
struct Running;

impl Running {
    fn new() -> Running {
        RUNNING.fetch_add(1, Relaxed);
        Running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Relaxed);
    }
}
