//! 4.5.13 · 任务中的 panic · A panic in a task: it ends this task, and whoever awaits it is told.
//!
//! Python: an exception is kept in the task and raised where the task is awaited. If nobody awaits
//! it, "Task exception was never retrieved" is logged when the task is freed.
//! Rust: an expected failure is a `Result`. A panic ends its task only; the `JoinHandle` gives a
//! `JoinError`, and dropping the handle loses it. A supervisor restarts what panicked, after a
//! pause that doubles (exponential back-off), and gives up in the end.
//!
//! Run: `cargo run --example 4_5_13_panic_in_a_task`
//! Notes: `notes/en/04-coroutines.md#panic-in-a-task` · `notes/zh-CN/04-coroutines.md#panic-in-a-task`
//!
//! ```output
//! panicked: true, with "on purpose"
//! cancelled: true
//! handle dropped: nobody learns of it, and main goes on
//! attempt 1 panicked, the next one comes after 1 s
//! attempt 2 panicked, the next one comes after 2 s
//! attempt 3: Ok("connected") after 3 s
//! attempt 1 panicked, the next one comes after 1 s
//! attempt 2 panicked, the next one comes after 2 s
//! attempt 3 panicked, the next one comes after 4 s
//! attempt 4: given up after 7 s
//! ```

use std::{future, time::Duration};
use tokio::{
    task::{self, JoinError},
    time::{Instant, sleep},
};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    util::case!();
    // ANCHOR: join_error
    let error = tokio::spawn(fails_at_first(1, 1)).await.unwrap_err();
    let is_panic = error.is_panic();
    let payload = error.into_panic(); // what `panic!` was given
    let text = payload.downcast_ref::<&str>().unwrap();
    println!("panicked: {is_panic}, with {text:?}");

    let task = tokio::spawn(future::pending::<()>());
    task.abort();
    let error = task.await.unwrap_err();
    println!("cancelled: {}", error.is_cancelled());
    // ANCHOR_END: join_error
    assert!(is_panic && *text == "on purpose" && error.is_cancelled());

    // ANCHOR: mistake
    drop(tokio::spawn(fails_at_first(1, 1)));
    task::yield_now().await; // it runs and panics
    println!("handle dropped: nobody learns of it, and main goes on");
    // ANCHOR_END: mistake

    let connected = supervise(2).await;
    assert_eq!(connected.unwrap(), "connected");
    let given_up = supervise(u32::MAX).await;
    assert!(given_up.unwrap_err().is_panic());
}

// ANCHOR: supervise
/// Starts the task again when it has panicked, up to three times.
async fn supervise(failures: u32) -> Result<&'static str, JoinError> {
    let (began, mut pause) = (Instant::now(), Duration::from_secs(1));
    for attempt in 1.. {
        let seconds = || began.elapsed().as_secs();
        match tokio::spawn(fails_at_first(failures, attempt)).await {
            Err(error) if error.is_panic() && attempt <= 3 => {
                let pause = pause.as_secs();
                println!("attempt {attempt} panicked, the next one comes after {pause} s");
            }
            Err(error) => {
                println!("attempt {attempt}: given up after {} s", seconds());
                return Err(error);
            }
            ok => {
                println!("attempt {attempt}: {ok:?} after {} s", seconds());
                return ok;
            }
        }
        sleep(pause).await;
        pause *= 2;
    }
    unreachable!("the last attempt returns")
}
// ANCHOR_END: supervise

/// Panics in its first `failures` attempts.
async fn fails_at_first(failures: u32, attempt: u32) -> &'static str {
    if attempt <= failures {
        panic!("on purpose");
    }
    "connected"
}
