//! 3.7.3 · 进程间的事件、条件与屏障 · Event, condition and barrier between processes: one that waits is killed.
//!
//! Python: `Event`, `Condition` and `Barrier` count their sleepers, and whoever wakes them waits
//! until each has answered. Kill a sleeper, and `set()` or `notify_all()` hangs (CPython issue
//! 75158); the others at a barrier hang, too (123899).
//! Rust: a notification waits for nobody. The dead one is simply not woken, and the others go on. A
//! barrier cannot be complete without its dead party, so it is *broken*: an error for all others.
//! Mistake: a condition on which a dead process was to act. That it will never be true, no lock can
//! know; wait with a time limit, or for the process as well.
//!
//! Run: `cargo run --example 3_7_3_process_condition` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#process-condition` · `notes/zh-CN/03-processes.md#process-condition`
//!
//! ```output
//! event: of two that wait one is killed, set() returns, the other goes on
//! condition: of two cooks that wait one is killed, the other gets the apple: 0 are left
//! barrier: the first phase is passed by 3 of 3
//! barrier: one party is killed, main gets: the barrier is broken: a party died, left or gave up
//! barrier: the other party gets the same: true
//! ```

use multiproc::sync::{Barrier, BarrierError, Condvar, Event, Mutex};
use multiproc::{Child, Queue};
use serde::de::DeserializeOwned;
use std::thread;
use util::timeline;

fn wait_for_event((event, ready): (Event, Queue<()>)) {
    ready.put(&()).unwrap();
    let _span = timeline::wait("the event");
    event.wait();
}

// ANCHOR: condition
fn cook((apples, changed, ready): (Mutex<u32>, Condvar, Queue<()>)) {
    let guard = apples.lock().unwrap();
    ready.put(&()).unwrap(); // still under the lock, which `wait_while` gives up
    let _span = timeline::wait("an apple");
    *changed.wait_while(guard, |apples| *apples == 0).unwrap() -= 1;
}
// ANCHOR_END: condition

// ANCHOR: barrier
fn party((barrier, passed, stays): (Barrier, Queue<()>, bool)) -> bool {
    barrier.wait().unwrap();
    passed.put(&()).unwrap();
    if stays {
        wait_to_be_killed(); // before the second phase
    }
    let _span = timeline::wait("the second phase");
    barrier.wait() == Err(BarrierError::Broken)
}
// ANCHOR_END: barrier

fn wait_to_be_killed() -> ! {
    loop {
        thread::park();
    }
}

/// Kills it, and waits until it is gone.
fn kill(child: &Child<impl DeserializeOwned>) -> util::Result<()> {
    child.kill()?;
    let _ = child.join();
    Ok(())
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    let ready = Queue::unbounded()?;

    let event = Event::new()?;
    let start = || multiproc::spawn(wait_for_event, (event.clone(), ready.clone()));
    let (killed, other) = (start()?, start()?);
    ready.get()?;
    ready.get()?;
    kill(&killed)?;
    event.set();
    other.join()?;
    println!("event: of two that wait one is killed, set() returns, the other goes on");

    // ANCHOR: notify
    let (apples, changed) = (Mutex::new(0)?, Condvar::new()?);
    let start = || multiproc::spawn(cook, (apples.clone(), changed.clone(), ready.clone()));
    let (killed, other) = (start()?, start()?);
    ready.get()?;
    ready.get()?;
    drop(apples.lock().unwrap()); // each has given the lock up, so both wait
    kill(&killed)?;
    *apples.lock().unwrap() += 1;
    changed.notify_all();
    other.join()?;
    // ANCHOR_END: notify
    let left = *apples.lock().unwrap();
    println!(
        "condition: of two cooks that wait one is killed, the other gets the apple: {left} are left"
    );
    assert_eq!(left, 0);

    let barrier = Barrier::new(3)?;
    let start = |stays| multiproc::spawn(party, (barrier.clone(), ready.clone(), stays));
    let (killed, other) = (start(true)?, start(false)?);
    barrier.wait()?;
    ready.get()?;
    ready.get()?;
    println!("barrier: the first phase is passed by 3 of 3");
    kill(&killed)?;
    let broken = barrier.wait().expect_err("one party is dead");
    println!("barrier: one party is killed, main gets: {broken}");
    let same = other.join()?;
    println!("barrier: the other party gets the same: {same}");
    assert!(broken == BarrierError::Broken && same);
    Ok(())
}
