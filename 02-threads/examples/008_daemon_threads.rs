//! 008 · 守护线程 · Every thread is a daemon: when main returns, all are cut off.
//!
//! Python: waits for its threads at the end, unless they are `daemon=True`.
//! Rust: never waits by itself. Who wants to wait says so, with `join` or `scope`. A program that
//! ends can only be watched from outside: so each of the three is a child process.
//!
//! Run: `cargo run --example 008_daemon_threads` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#main-ends` · `notes/zh-CN/02-threads.md#main-ends`
//!
//! ```output
//! main just returns:  begun
//! main joins:         begun, done
//! main uses a scope:  begun, done
//! ```

use std::{
    env,
    sync::{Arc, Barrier},
    thread,
};
use util::{tick, timeline};

fn main() -> util::Result<()> {
    util::case!(args);
    let way: Option<String> = args.value("--child"); // what this program is started as below
    args.finish();
    let _timeline = timeline::start();
    if let Some(way) = way {
        return child(&way);
    }
    for (what, way, expected) in [
        ("main just returns:", "return", "begun"),
        ("main joins:", "join", "begun, done"),
        ("main uses a scope:", "scope", "begun, done"),
    ] {
        let said = util::printed_by(["--child", way])?.trim().replace('\n', ", ");
        println!("{what:19} {said}");
        assert_eq!(said, expected);
    }
    Ok(())
}

fn child(way: &str) -> util::Result<()> {
    let begun = Arc::new(Barrier::new(2));
    // ANCHOR: ways
    match way {
        "return" => {
            let its_begun = Arc::clone(&begun);
            // So long that main is certainly back before it is over.
            thread::spawn(move || work(&its_begun, 1000));
            begun.wait();
        } // main returns here, and the thread is gone in the middle of its work
        "join" => {
            let its_begun = Arc::clone(&begun);
            let thread = thread::spawn(move || work(&its_begun, 1));
            begun.wait();
            thread.join().unwrap();
        }
        "scope" => thread::scope(|s| {
            s.spawn(|| work(&begun, 1)); // may borrow: it cannot outlive the scope
            begun.wait();
        }),
        _ => return Err(format!("{way:?}: expected return, join or scope").into()),
    }
    // ANCHOR_END: ways
    Ok(())
}

fn work(begun: &Barrier, ticks: u32) {
    let _span = timeline::span("work");
    println!("begun");
    begun.wait();
    tick::sleep(ticks);
    println!("done");
}
