//! 2.10 · 定时器 · Timer: one thread waits for the next of many deadlines.
//!
//! Python: `threading.Timer(3, f).start()` starts a thread that sleeps; `cancel` wakes it.
//! Rust: std has none. `recv_timeout` is a sleep that a message can end, which is all a timer
//! needs: it waits for the next deadline or the next request, whichever comes first. A heap keeps
//! the deadlines in order, so one thread serves any number of timers.
//!
//! Run: `cargo run --example 2_10_timer` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#timer` · `notes/zh-CN/02-threads.md#timer`
//!
//! ```output
//! asked for: tea in 3 ticks, egg in 1, cake in 2; no cake after all
//! egg, after 1 tick or later
//! tea, after 3 ticks or later
//! ```

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};
use util::{tick, timeline};

// ANCHOR: timer
enum Request {
    Set(Instant, &'static str),
    Cancel(&'static str),
}

/// Sends each name to `rings` at its time, until the sender of the requests is dropped.
fn serve(requests: Receiver<Request>, rings: Sender<&'static str>) {
    let mut timers = BinaryHeap::new(); // the greatest first; `Reverse` makes that the earliest
    loop {
        let pause = match timers.peek() {
            Some(Reverse((time, _))) => Instant::saturating_duration_since(time, Instant::now()),
            None => Duration::MAX,
        };
        let _pause = timeline::wait("next deadline");
        match requests.recv_timeout(pause) {
            Ok(Request::Set(time, name)) => timers.push(Reverse((time, name))),
            Ok(Request::Cancel(name)) => timers.retain(|Reverse((_, other))| *other != name),
            Err(RecvTimeoutError::Timeout) => {
                let Reverse((_, name)) = timers.pop().expect("its deadline has passed");
                let _ = rings.send(name);
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
// ANCHOR_END: timer

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let (timer, requests) = channel();
    let (rings, rung) = channel();
    let started = Instant::now();
    for (name, ticks) in [("tea", 3), ("egg", 1), ("cake", 2)] {
        timer.send(Request::Set(started + tick::ticks(ticks), name)).unwrap();
    }
    timer.send(Request::Cancel("cake")).unwrap();
    println!("asked for: tea in 3 ticks, egg in 1, cake in 2; no cake after all");

    let thread = thread::spawn(|| serve(requests, rings));
    for (name, ticks) in [("egg", "1 tick"), ("tea", "3 ticks")] {
        assert_eq!(rung.recv(), Ok(name));
        println!("{name}, after {ticks} or later");
    }
    assert!(started.elapsed() >= tick::ticks(3));
    drop(timer); // no more requests: the thread ends
    thread.join().unwrap();
    assert!(rung.recv().is_err(), "nobody rings for the cake");
}
