//! 014 · 自动切换 gevent · gevent: tasks that switch by themselves: whoever waits lets the others run, on one thread.
//!
//! Python: the package gevent: `gevent.sleep` is a switch to whoever is ready; with its monkey
//! patch, so is `time.sleep`.
//! Rust: an async runtime on one thread. Every place where a task may be left is marked by
//! `.await`; a call without it blocks all of them, and nothing can be patched.
//!
//! Run: `cargo run --example 014_gevent` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/04-coroutines.md#gevent` · `notes/zh-CN/04-coroutines.md#gevent`
//!
//! ```output unordered
//! a: 1 2 3 4 5
//! b: 1 2 3 4 5
//! c: 1 2 3 4 5
//! ```
//! ```output
//! 3 × 5 sleeps of a tick took [..] ticks; up to 3 slept at once
//! the same with a sleep that blocks took [..] ticks; up to 1 slept at once
//! ```

use std::{cell::Cell, rc::Rc};
use tokio::{runtime, task::LocalSet, time};
use util::{tick, timeline};

/// How many sleep now, and the most it ever were.
#[derive(Default)]
struct Sleepers {
    now: Cell<u32>,
    most: Cell<u32>,
}

fn main() {
    util::case!();
    let _timeline = timeline::start();
    // ANCHOR: runtime
    let runtime = runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let before = tick::elapsed();
    let most = runtime.block_on(three(false));
    // ANCHOR_END: runtime
    let took = tick::elapsed() - before;
    println!("3 × 5 sleeps of a tick took {took:.1} ticks; up to {most} slept at once");
    assert_eq!(most, 3);

    let before = tick::elapsed();
    let most = runtime.block_on(three(true));
    let took = tick::elapsed() - before;
    println!("the same with a sleep that blocks took {took:.1} ticks; up to {most} slept at once");
    assert!(most == 1 && took >= 15.0, "each waited for all the others");
}

// ANCHOR: tasks
/// Three tasks of this thread, to their ends; how many slept at once.
async fn three(blocking: bool) -> u32 {
    let sleepers = Rc::new(Sleepers::default());
    let tasks = LocalSet::new();
    for name in ["a", "b", "c"] {
        tasks.spawn_local(task(name, blocking, Rc::clone(&sleepers)));
    }
    tasks.await;
    sleepers.most.get()
}

async fn task(name: &'static str, blocking: bool, sleepers: Rc<Sleepers>) {
    let row = timeline::row(name);
    let mut said = format!("{name}:");
    for step in 1..=5 {
        said += &format!(" {step}");
        sleepers.now.set(sleepers.now.get() + 1);
        sleepers.most.set(sleepers.most.get().max(sleepers.now.get()));
        if blocking {
            let _asleep = row.hold(format_args!("{step}, the thread"));
            tick::sleep(1); // nobody else on this thread runs meanwhile
        } else {
            let _asleep = row.wait(step);
            time::sleep(tick::length()).await; // the thread goes on with the others
        }
        sleepers.now.set(sleepers.now.get() - 1);
    }
    if !blocking {
        println!("{said}");
    }
}
// ANCHOR_END: tasks
