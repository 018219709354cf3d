//! 4.5.8 · 阻塞调用 · Blocking: what blocks goes to `spawn_blocking`, what computes to rayon.
//!
//! Python: a blocking call stops the whole event loop; `asyncio.to_thread` and `run_in_executor`
//! move it to a thread, and with the GIL enabled computing needs a process pool.
//! Rust: the same trap on each thread of the runtime. `spawn_blocking` has threads for calls that
//! block, up to 512 of them; computing goes to rayon, which has one thread per core.
//!
//! Run: `cargo run --example 4_5_8_blocking`
//! Notes: `notes/en/04-coroutines.md#blocking` · `notes/zh-CN/04-coroutines.md#blocking`
//!
//! ```output
//! blocking the one thread: the timer was late, it fired after the call
//! spawn_blocking: the timer fired during the call
//! rayon: the sum of the squares below 1000 is 332833500
//! ```

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::{sync::mpsc, time::Duration};
use tokio::{sync::oneshot, task, time::sleep};
use util::tick;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    util::case!();
    // ANCHOR: mistake
    let fired = timer_after_one_tick();
    let in_time = blocking_call(fired, tick::ticks(5)); // no `await`: no other task runs meanwhile
    // ANCHOR_END: mistake
    assert!(!in_time);
    println!("blocking the one thread: the timer was late, it fired after the call");

    // ANCHOR: spawn_blocking
    let fired = timer_after_one_tick();
    let call = task::spawn_blocking(|| blocking_call(fired, Duration::from_secs(60)));
    let in_time = call.await.unwrap();
    // ANCHOR_END: spawn_blocking
    assert!(in_time);
    println!("spawn_blocking: the timer fired during the call");

    // ANCHOR: rayon
    let (reply, sum) = oneshot::channel();
    rayon::spawn(|| {
        let sum: u64 = (0..1000_u64).into_par_iter().map(|n| n * n).sum();
        let _ = reply.send(sum); // an error if nobody waits for it any more
    });
    let sum = sum.await.unwrap(); // meanwhile, this thread runs other tasks
    // ANCHOR_END: rayon
    println!("rayon: the sum of the squares below 1000 is {sum}");
    assert_eq!(sum, (0..1000).map(|n| n * n).sum());
}

// ANCHOR: timer
/// A task that sends a message after one tick.
fn timer_after_one_tick() -> mpsc::Receiver<()> {
    let (sender, fired) = mpsc::channel();
    tokio::spawn(async move {
        sleep(tick::length()).await;
        let _ = sender.send(());
    });
    fired
}

/// Blocks its thread until the timer fires, `limit` at most; whether it did.
fn blocking_call(fired: mpsc::Receiver<()>, limit: Duration) -> bool {
    fired.recv_timeout(limit).is_ok()
}
// ANCHOR_END: timer
