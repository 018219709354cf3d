//! 2.5 · 屏障 · Barrier: nobody starts the second phase before all have finished the first.
//!
//! Python: `barrier = threading.Barrier(3)`; each thread calls `barrier.wait()`, which returns 0 in
//! one of them.
//! Rust: the same. `wait` returns who is the leader: exactly one thread per phase, for what has to
//! be done once.
//! Mistake: a barrier for one thread more than there are. All of them wait forever; std's barrier
//! has no time limit, so main sets one.
//! `cargo test -p checks --test models -- --nocapture barrier` shows how they get stuck.
//!
//! Run: `cargo run --example 2_5_barrier` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#barrier` · `notes/zh-CN/02-threads.md#barrier`
//!
//! ```output unordered
//! 1 has cooked
//! 2 has cooked
//! 3 has cooked
//! ```
//! ```output
//! the leader: dinner is ready
//! ```
//! ```output unordered
//! 1 eats
//! 2 eats
//! 3 eats
//! ```
//! ```output
//! a barrier for 4 and 3 threads: nobody has passed it after 2 ticks
//! ```

use std::{
    sync::{
        Arc, Barrier,
        mpsc::{RecvTimeoutError::Timeout, channel},
    },
    thread,
};
use util::{tick, timeline};

const THREADS: usize = 3;

fn main() {
    util::case!();
    let _timeline = timeline::start();
    // ANCHOR: phases
    let (cooked, announced) = (Barrier::new(THREADS), Barrier::new(THREADS));
    thread::scope(|s| {
        for number in 1..=THREADS {
            let (cooked, announced) = (&cooked, &announced);
            s.spawn(move || {
                let cooking = timeline::span("cook");
                tick::sleep(number as u32); // some take longer
                println!("{number} has cooked");
                drop(cooking);

                if cooked.wait().is_leader() {
                    println!("the leader: dinner is ready");
                }
                announced.wait(); // the others wait for the leader as well
                println!("{number} eats");
            });
        }
    });
    // ANCHOR_END: phases
    one_thread_too_few();
}

/// The mistake. The threads are never joined: they end with the program.
fn one_thread_too_few() {
    let barrier = Arc::new(Barrier::new(THREADS + 1));
    let (passed, has_passed) = channel();
    for _ in 0..THREADS {
        let (barrier, passed) = (Arc::clone(&barrier), passed.clone());
        thread::spawn(move || {
            barrier.wait();
            let _ = passed.send(());
        });
    }
    assert_eq!(has_passed.recv_timeout(tick::ticks(2)), Err(Timeout));
    println!("a barrier for 4 and 3 threads: nobody has passed it after 2 ticks");
}
