//! 005 · 线程数量 · How many are alive: main asks again and again until it is alone.
//!
//! Python: `while threading.active_count() > 1`, with a sleep in the loop.
//! Rust: it can be done, as here; but asking again and again is no way to wait: it sees the end
//! late, and costs something meanwhile. `join` sleeps until the very moment (009).
//!
//! Run: `cargo run --example 005_thread_count` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#alive` · `notes/zh-CN/02-threads.md#alive`
//!
//! ```output
//! 3 threads alive
//! ...
//! 1 thread alive
//! ```

use std::{
    sync::{Arc, Barrier},
    thread,
};
use util::{tick, timeline};

fn main() -> util::Result<()> {
    util::case!();
    let _timeline = timeline::start();
    let counted = Arc::new(Barrier::new(3));
    for (what, ticks) in [("sing", 2), ("dance", 4)] {
        let counted = Arc::clone(&counted);
        thread::spawn(move || {
            counted.wait(); // not before main has counted them once
            let _span = timeline::span(what);
            tick::sleep(ticks);
        });
    }

    let mut alive = threads::alive()?.len();
    println!("{alive} threads alive");
    assert_eq!(alive, 3);
    counted.wait();
    while alive > 1 {
        tick::sleep(0.5);
        let now = threads::alive()?.len();
        assert!(now <= alive, "nobody starts another one");
        if now < alive {
            println!("{now} thread{} alive", if now == 1 { "" } else { "s" });
        }
        alive = now;
    }
    Ok(())
}
