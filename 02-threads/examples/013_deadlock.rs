//! 013 · 死锁 · Deadlock: A then B against B then A, and the locks themselves say so.
//!
//! Python: hangs forever, without an error message.
//! Rust: a deadlock is not a data race, so the compiler does not refuse it. These locks keep a
//! wait-for graph: who holds what, who waits for what. A cycle in it is a deadlock.
//! The two threads below really are stuck; the program ends all the same, with status 1.
//! `cargo test -p checks --test models -- --nocapture deadlock` draws the interleaving.
//!
//! Run: `cargo run --example 013_deadlock` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#deadlock` · `notes/zh-CN/02-threads.md#deadlock`
//!
//! ```output status=1
//! deadlock!
//! ```
//! ```output unordered
//! sing holds A and waits for B
//! dance holds B and waits for A
//! ```

use std::{
    process::ExitCode,
    sync::{Arc, Barrier},
    thread,
};
use threads::wait_for::{Graph, Lock};
use util::{tick, timeline};

fn main() -> util::Result<ExitCode> {
    util::case!();
    let _timeline = timeline::start();
    let (graph, circles) = Graph::new();
    let (a, b) = (Arc::new(graph.lock("A", ())), Arc::new(graph.lock("B", ())));
    let both_hold_one = Arc::new(Barrier::new(2)); // no luck needed: it happens every time

    for (name, first, second) in [("sing", &a, &b), ("dance", &b, &a)] {
        let (first, second) = (Arc::clone(first), Arc::clone(second));
        let barrier = Arc::clone(&both_hold_one);
        let body = move || perform(&first, &second, &barrier);
        thread::Builder::new().name(name.into()).spawn(body)?;
    }
    drop((graph, a, b)); // only the two threads have the locks now

    // Ends with an error, not a circle, if both threads end and drop the locks.
    let circle = circles.recv().expect("A then B against B then A");
    tick::sleep(1); // for the picture: they stay stuck
    timeline::mark("deadlock found: sing and dance wait for each other");
    println!("deadlock!");
    for link in &circle {
        println!("{link}");
    }
    assert_eq!(circle.len(), 2);
    Ok(ExitCode::FAILURE) // main returns, and that ends the two
}

// ANCHOR: perform
fn perform(first: &Lock<()>, second: &Lock<()>, both_hold_one: &Barrier) {
    let _first = first.lock();
    tick::sleep(1); // for the picture
    both_hold_one.wait();
    let _second = second.lock(); // never returns
    unreachable!("the other thread holds it, and waits for ours");
}
// ANCHOR_END: perform
