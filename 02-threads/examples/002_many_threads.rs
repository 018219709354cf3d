//! 002 · 多线程 · Many threads: five apologies at once take about as long as one.
//!
//! Python: `threading.active_count()` and `threading.enumerate()` know who is alive.
//! Rust: `std` keeps no such list, because it needs none: whoever wants to wait for a thread
//! holds its handle. The kernel knows, and `threads::alive` asks it. `main` counts.
//!
//! Run: `cargo run --example 002_many_threads` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#many-threads` · `notes/zh-CN/02-threads.md#many-threads`
//!
//! ```output unordered
//! Ann: sorry
//! Bob: sorry
//! Cid: sorry
//! Dee: sorry
//! Eve: sorry
//! ```
//! ```output
//! 6 alive: main, Ann, Bob, Cid, Dee, Eve
//! 5 apologies, [..] ticks
//! 1 alive: main
//! ```

use std::{
    sync::{Arc, Barrier},
    thread,
};
use util::{tick, timeline};

fn main() -> util::Result<()> {
    util::case!();
    let _timeline = timeline::start();
    let started = tick::elapsed();
    let barrier = Arc::new(Barrier::new(6)); // these five and main

    // ANCHOR: start
    let mut threads = Vec::new();
    for name in ["Ann", "Bob", "Cid", "Dee", "Eve"] {
        let barrier = Arc::clone(&barrier);
        let builder = thread::Builder::new().name(name.into());
        threads.push(builder.spawn(move || apologize(&barrier))?);
    }
    // ANCHOR_END: start
    barrier.wait(); // all five have begun

    let mut alive = threads::alive()?;
    println!("{} alive: {}", alive.len(), alive.join(", "));
    assert_eq!(alive.len(), 6);
    barrier.wait(); // they have been counted, and may end

    for thread in threads {
        thread.join().unwrap();
    }
    println!("5 apologies, {:.1} ticks", tick::elapsed() - started);
    alive = threads::alive()?;
    println!("{} alive: {}", alive.len(), alive.join(", "));
    assert_eq!(alive, ["main"]);
    Ok(())
}

fn apologize(barrier: &Barrier) {
    println!("{}: sorry", thread::current().name().unwrap());
    barrier.wait();
    let _span = timeline::span("sorry");
    tick::sleep(1);
    barrier.wait();
}
