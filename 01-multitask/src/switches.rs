//! What it takes two threads to take turns.

use std::{
    hint,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// Runs `side(0)` and `side(1)`, each on a thread of its own, and says how long both took.
fn two_threads(side: impl Fn(u64) + Sync) -> Duration {
    let started = Instant::now();
    thread::scope(|s| {
        s.spawn(|| side(1));
        side(0);
    });
    started.elapsed()
}

/// `count` turns of two threads that sleep until it is theirs: each is a switch in the kernel.
///
/// ```
/// let took = multitask::switches::by_condition(100);
/// println!("{} ns each", took.as_nanos() / 100);
/// ```
pub fn by_condition(count: u64) -> Duration {
    let (turn, changed) = (Mutex::new(0), Condvar::new());
    let took = two_threads(|me| {
        let mut turn = turn.lock().unwrap();
        while *turn < count {
            if *turn % 2 == me {
                *turn += 1;
                changed.notify_one();
            } else {
                turn = changed.wait(turn).unwrap();
            }
        }
        changed.notify_one();
    });
    assert_eq!(turn.into_inner().unwrap(), count);
    took
}

/// `count` turns of two threads that look again and again whether it is theirs: the kernel has no
/// part in it, if each has a core of its own. Now and then they give theirs up, or with one core
/// for both neither would get on.
///
/// ```
/// let took = multitask::switches::by_spinning(100);
/// println!("{} ns each", took.as_nanos() / 100);
/// ```
pub fn by_spinning(count: u64) -> Duration {
    let turn = AtomicU64::new(0);
    let took = two_threads(|me| {
        let mut spins = 0;
        loop {
            let now = turn.load(SeqCst);
            if now >= count {
                return;
            }
            if now % 2 == me {
                turn.store(now + 1, SeqCst);
                spins = 0;
            } else if spins < 1000 {
                spins += 1;
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
    });
    assert_eq!(turn.into_inner(), count);
    took
}
