//! 2.4 · 信号量 · Semaphore: at most N threads at a time, and a guard that returns the permit.
//!
//! Python: `with threading.BoundedSemaphore(3):`.
//! Rust: std has none; a `Mutex`, a `Condvar` and a guard make one. The guard returns the permit
//! when it is dropped, on every way out: the end of the block, an early `return`, a panic.
//! Mistake: `acquire` and `release` as two calls, with a way out between them that skips the
//! second. `cargo test -p checks --test models -- --nocapture semaphore` shows it.
//!
//! Run: `cargo run --example 2_4_semaphore` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#semaphore` · `notes/zh-CN/02-threads.md#semaphore`
//!
//! ```output
//! 8 visitors, never more than [..] inside
//! a visitor panicked inside; 3 permits are free again
//! ```

use std::{
    sync::{
        Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};
use util::{tick, timeline};

// ANCHOR: semaphore
struct Semaphore {
    free: Mutex<usize>,
    returned: Condvar,
}

/// One permit. Dropping it returns it.
struct Permit<'a>(&'a Semaphore);

impl Semaphore {
    fn acquire(&self) -> Permit<'_> {
        let free = self.free.lock().unwrap();
        *self.returned.wait_while(free, |free| *free == 0).unwrap() -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap() += 1;
        self.0.returned.notify_one();
    }
}
// ANCHOR_END: semaphore

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let museum = Semaphore { free: Mutex::new(3), returned: Condvar::new() };
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // ANCHOR: visit
    let visit = || {
        let _permit = museum.acquire();
        let _inside = timeline::hold("inside");
        most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
        tick::sleep(0.5);
        inside.fetch_sub(1, SeqCst);
    }; // the permit is returned here
    thread::scope(|s| (0..8).for_each(|_| _ = s.spawn(visit)));
    // ANCHOR_END: visit
    println!("8 visitors, never more than {most:?} inside");
    assert!(most.into_inner() <= 3);

    let panicked = thread::scope(|s| {
        let fainting = s.spawn(|| {
            let _permit = museum.acquire();
            panic!("on purpose");
        });
        fainting.join().is_err()
    });
    let free = museum.free.into_inner().unwrap();
    println!("a visitor panicked inside; {free} permits are free again");
    assert!(panicked && free == 3);
}
