//! 28.7 · 非守护线程 · Non-daemon: main has nothing left to do, and the program waits for its thread.
//!
//! Python: the default: the interpreter joins every thread that is no daemon, behind the scenes.
//! Rust: `thread::scope`, where one can see it: the scope does not end before its threads.
//!
//! Run: `cargo run --example 28_7_non_daemon` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#main-ends` · `notes/zh-CN/02-threads.md#main-ends`
//!
//! ```output
//! main: nothing left to do
//! thread: round 1
//! thread: round 2
//! thread: round 3
//! main: the scope is over
//! ```

use std::{sync::mpsc, thread};
use util::{tick, timeline};

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let mut rounds = 0;
    let (go, may_go) = mpsc::channel();
    // ANCHOR: scope
    thread::scope(|s| {
        let rounds = &mut rounds; // borrowed for as long as the scope lasts
        s.spawn(move || {
            may_go.recv().unwrap(); // not before main has said its line
            for round in 1..=3 {
                let _span = timeline::span(format_args!("round {round}"));
                println!("thread: round {round}");
                tick::sleep(1);
                *rounds = round;
            }
        });
        println!("main: nothing left to do");
        go.send(()).unwrap();
    }); // waits here
    // ANCHOR_END: scope
    println!("main: the scope is over");
    assert_eq!(rounds, 3);
}
