//! 014 · 自动切换 gevent · Switching by waiting, without gevent: a task that waits lets others run.
//!
//! Python: the package gevent: `gevent.sleep` switches to another greenlet; with its monkey patch,
//! so does `time.sleep`.
//! Rust: an async runtime on one thread. A task can be left at an `.await` and nowhere else. A call
//! that blocks the thread stops all tasks; nothing is patched, so it is up to you to avoid it.
//!
//! Run: `cargo run --example 014_gevent` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/04-coroutines.md#gevent` · `notes/zh-CN/04-coroutines.md#gevent`
//!
//! ```output
//! waiting: a1 b1 c1 [..]
//! blocking: a1 a2 a3 b1 b2 b3 c1 c2 c3
//! ```

use std::{mem, sync::Mutex};
use tokio::{runtime, time};
use util::{tick, timeline};

static STEPS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() {
    util::case!();
    let _timeline = timeline::start();
    // ANCHOR: runtime
    let runtime = runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let tasks = ["a", "b", "c"].map(|name| tokio::spawn(waiting(name)));
        for task in tasks {
            task.await.unwrap();
        }
    });
    // ANCHOR_END: runtime
    let steps = mem::take(&mut *STEPS.lock().unwrap());
    println!("waiting: {}", steps.join(" "));
    assert_eq!(steps[..3], ["a1", "b1", "c1"], "each lets the others run"); // then, as timers fire

    runtime.block_on(async {
        let tasks = ["a", "b", "c"].map(|name| tokio::spawn(blocking(name)));
        for task in tasks {
            task.await.unwrap();
        }
    });
    println!("blocking: {}", mem::take(&mut *STEPS.lock().unwrap()).join(" "));
}

// ANCHOR: tasks
async fn waiting(name: &str) {
    let row = timeline::row(name);
    for step in 1..=3 {
        STEPS.lock().unwrap().push(format!("{name}{step}"));
        let _asleep = row.wait(step);
        time::sleep(tick::length()).await; // meanwhile, the thread runs the other tasks
    }
}

/// Mistake: a sleep that blocks the thread. No other task runs until this one has ended.
async fn blocking(name: &str) {
    let row = timeline::row(name);
    for step in 1..=3 {
        STEPS.lock().unwrap().push(format!("{name}{step}"));
        let _asleep = row.hold(format_args!("{step}, the thread"));
        tick::sleep(1);
    }
}
// ANCHOR_END: tasks
