//! 004 · 多任务 · Two tasks at once: sing and dance in two threads of one process.
//!
//! Python: both print the same pid and the same parent pid.
//! Rust: the same; the kernel tells threads of one process apart by a number of their own.
//!
//! Run: `cargo run --example 004_multi_task` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#many-threads` · `notes/zh-CN/02-threads.md#many-threads`
//!
//! ```output unordered
//! singing 1
//! singing 2
//! singing 3
//! dancing 1
//! dancing 2
//! dancing 3
//! ```
//! ```output
//! singing: process [..] (parent [..]), thread [..]
//! dancing: process [..] (parent [..]), thread [..]
//! ```

use std::{process, thread};
use util::{tick, timeline};

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let (singer, dancer) = thread::scope(|s| {
        let singer = s.spawn(|| perform("singing"));
        let dancer = s.spawn(|| perform("dancing"));
        (singer.join().unwrap(), dancer.join().unwrap())
    });
    for (what, me) in [("singing", &singer), ("dancing", &dancer)] {
        println!("{what}: process {} (parent {}), thread {}", me.process, me.parent, me.thread);
    }
    assert_eq!((singer.process, singer.parent), (dancer.process, dancer.parent));
    assert_ne!(singer.thread, dancer.thread);
}

struct Identity {
    process: u32,
    parent: u32,
    thread: u64,
}

fn perform(what: &str) -> Identity {
    for number in 1..=3 {
        let _span = timeline::span(format_args!("{what} {number}"));
        println!("{what} {number}");
        tick::sleep(1);
    }
    let (parent, thread) = (threads::parent().unwrap(), threads::id().unwrap());
    Identity { process: process::id(), parent, thread }
}
