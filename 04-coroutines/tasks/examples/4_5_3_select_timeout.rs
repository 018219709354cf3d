//! 4.5.3 · 选择与超时 · Select and timeouts: the first one wins, and the others are dropped.
//!
//! Python: `asyncio.wait(…, return_when=FIRST_COMPLETED)` leaves the other tasks running, so they
//! must be cancelled; `wait_for` and `timeout` cancel what takes too long.
//! Rust: `select!` runs the branch of the first future that is ready and drops the others, which
//! cancels them. `timeout` limits one operation; a deadline, with `timeout_at`, limits several.
//!
//! Run: `cargo run --example 4_5_3_select_timeout`
//! Notes: `notes/en/04-coroutines.md#select` · `notes/zh-CN/04-coroutines.md#select`
//!
//! ```output
//! select!: the hare after 1 s; the tortoise is cancelled: true
//! timeout: Err(Elapsed(())) after 2 s
//! deadline: step 1 after 2 s
//! deadline: step 2 after 4 s
//! deadline: missed in step 3 after 5 s
//! ```

use std::{cell::Cell, time::Duration};
use tokio::{
    select,
    time::{Instant, sleep, timeout, timeout_at},
};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    util::case!();
    // ANCHOR: select
    let began = Instant::now();
    let arrived = Cell::new(false);
    let tortoise = async {
        sleep(Duration::from_secs(10)).await;
        arrived.set(true);
        "the tortoise"
    };
    let hare = async {
        sleep(Duration::from_secs(1)).await;
        "the hare"
    };
    let winner = select! {
        name = tortoise => name,
        name = hare => name,
    };
    let seconds = began.elapsed().as_secs();
    sleep(Duration::from_secs(60)).await; // time enough for the tortoise, if it still ran
    println!("select!: {winner} after {seconds} s; the tortoise is cancelled: {}", !arrived.get());
    // ANCHOR_END: select
    assert_eq!((winner, seconds, arrived.get()), ("the hare", 1, false));

    // ANCHOR: timeout
    let began = Instant::now();
    let result = timeout(Duration::from_secs(2), sleep(Duration::from_secs(3))).await;
    println!("timeout: {result:?} after {} s", began.elapsed().as_secs());
    // ANCHOR_END: timeout
    assert!(result.is_err());

    let (steps, seconds) = with_deadline().await;
    assert_eq!((steps, seconds), (2, 5), "not 2 s per step, but 5 s for all");
}

// ANCHOR: deadline
/// How many steps were done before the deadline, and when it ended.
async fn with_deadline() -> (u32, u64) {
    let began = Instant::now();
    let deadline = began + Duration::from_secs(5);
    let mut step = 1;
    while timeout_at(deadline, sleep(Duration::from_secs(2))).await.is_ok() {
        println!("deadline: step {step} after {} s", began.elapsed().as_secs());
        step += 1;
    }
    let seconds = began.elapsed().as_secs();
    println!("deadline: missed in step {step} after {seconds} s");
    (step - 1, seconds)
}
// ANCHOR_END: deadline
