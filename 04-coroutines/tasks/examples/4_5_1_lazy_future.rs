//! 4.5.1 · 惰性的 future · A lazy future: calling an `async fn` runs nothing, polling it does.
//!
//! Python: calling an `async def` gives a coroutine object. If nobody awaits it, its body never
//! runs, and a warning says so when the object is freed.
//! Rust: the call gives a future, an ordinary value. `poll` runs it up to the next place where it
//! has to wait; `.await` and `spawn` only arrange who polls. The compiler warns of a future that is
//! thrown away.
//!
//! Run: `cargo run --example 4_5_1_lazy_future`
//! Notes: `notes/en/04-coroutines.md#lazy-future` · `notes/zh-CN/04-coroutines.md#lazy-future`
//!
//! ```output
//! called: a value of [..] bytes
//!   tea: the water boils
//!   tea: ready
//! dropped: it never ran
//! polling by hand:
//!   milk: the water boils
//! first poll: Pending
//!   milk: ready
//! second poll: Ready(())
//! spawned: it waits for its turn
//!   cocoa: the water boils
//!   cocoa: ready
//! ```

use std::{
    pin::pin,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    task::{Context, Poll, Waker},
};
use tokio::task;

static BEGUN: AtomicU32 = AtomicU32::new(0);

// ANCHOR: brew
async fn brew(what: &str) {
    BEGUN.fetch_add(1, Relaxed);
    println!("  {what}: the water boils");
    task::yield_now().await; // pending once: the others get a turn
    println!("  {what}: ready");
}
// ANCHOR_END: brew

#[tokio::main(flavor = "current_thread")]
async fn main() {
    util::case!();
    // ANCHOR: lazy
    let tea = brew("tea");
    println!("called: a value of {} bytes", size_of_val(&tea));
    assert_eq!(BEGUN.load(Relaxed), 0);
    tea.await; // runs it to its end

    drop(brew("coffee"));
    println!("dropped: it never ran");
    assert_eq!(BEGUN.load(Relaxed), 1);
    // ANCHOR_END: lazy

    // ANCHOR: poll
    println!("polling by hand:");
    let mut milk = pin!(brew("milk"));
    let mut context = Context::from_waker(Waker::noop());
    let first = milk.as_mut().poll(&mut context);
    println!("first poll: {first:?}");
    let second = milk.as_mut().poll(&mut context);
    println!("second poll: {second:?}");
    // ANCHOR_END: poll
    assert_eq!([first, second], [Poll::Pending, Poll::Ready(())]);

    // ANCHOR: spawn
    let cocoa = tokio::spawn(brew("cocoa"));
    println!("spawned: it waits for its turn");
    assert_eq!(BEGUN.load(Relaxed), 2);
    cocoa.await.unwrap();
    // ANCHOR_END: spawn
    assert_eq!(BEGUN.load(Relaxed), 3);
}
