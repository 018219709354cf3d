//! 2.3 · 事件 · Event: a flag that ends a thread's sleep, so that the thread stops at once.
//!
//! Python: `stop = threading.Event()`; the thread loops on `stop.wait(3600)`, main calls
//! `stop.set()`.
//! Rust: std has no event; a `Mutex<bool>` and a `Condvar` make one. No thread can be stopped from
//! outside, in either language: it has to look at the flag, and its sleep has to be one that the
//! flag ends.
//! Mistake: an `AtomicBool` and `thread::sleep`: the thread learns of the flag after its sleep.
//!
//! Run: `cargo run --example 2_3_event` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#event` · `notes/zh-CN/02-threads.md#event`
//!
//! ```output
//! event: stopped during its pause of one hour, after 1 round
//! flag alone: still asleep 2 ticks after it was set
//! ```

use std::{
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};
use util::{tick, timeline};

const HOUR: Duration = Duration::from_secs(3600);

// ANCHOR: event
#[derive(Default)]
struct Event {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Event {
    fn set(&self) {
        *self.is_set.lock().unwrap() = true;
        self.changed.notify_all(); // everyone who sleeps on it
    }

    /// Sleeps until the event is set, for at most `time`; returns whether it is set.
    fn wait_timeout(&self, time: Duration) -> bool {
        let is_set = self.is_set.lock().unwrap();
        *self.changed.wait_timeout_while(is_set, time, |is_set| !*is_set).unwrap().0
    }
}

fn work(stop: &Event, round_done: &Sender<()>) -> u32 {
    for round in 1.. {
        let _ = round_done.send(());
        let _pause = timeline::wait("stop");
        if stop.wait_timeout(HOUR) {
            return round;
        }
    }
    unreachable!()
}
// ANCHOR_END: event

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let stop = Event::default();
    let (round_done, a_round) = channel();
    let rounds = thread::scope(|s| {
        let worker = s.spawn(|| work(&stop, &round_done));
        a_round.recv().unwrap();
        stop.set();
        worker.join().unwrap()
    });
    println!("event: stopped during its pause of one hour, after {rounds} round");
    assert_eq!(rounds, 1);

    // The mistake. This thread is never joined: it ends with the program.
    let sleeper = thread::spawn(|| {
        loop {
            thread::sleep(HOUR); // nothing but time ends this
            if STOP.load(Relaxed) {
                return;
            }
        }
    });
    STOP.store(true, Relaxed);
    tick::sleep(2);
    println!("flag alone: still asleep 2 ticks after it was set");
    assert!(!sleeper.is_finished());
}

static STOP: AtomicBool = AtomicBool::new(false);
