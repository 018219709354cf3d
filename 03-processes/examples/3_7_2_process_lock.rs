//! 3.7.2 · 进程间的锁 · Locks between processes: when the holder is killed, the next one is told.
//!
//! Python: `Lock`, `RLock`, `Semaphore` are POSIX semaphores, which do not know who holds them.
//! Kill the holder with SIGKILL, and everybody else waits forever (CPython issue 88304).
//! Rust: the kernel knows who holds a `Mutex`. When the holder dies, the next process gets the lock
//! and an error with it, as after a panic in std: the value may be half changed. It repairs the
//! value, calls `clear_poison` and goes on. A semaphore's permits return with the process that held
//! them. `ReentrantMutex` is Python's `RLock`.
//! Mistake: `lock().unwrap()` in a program whose processes may be killed. One death then ends all
//! of them, one after the other.
//!
//! Run: `cargo run --example 3_7_2_process_lock` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#process-lock` · `notes/zh-CN/03-processes.md#process-lock`
//!
//! ```output
//! the holder is killed in the middle of a transfer
//! the next process: told that a holder died; it finds [70, 0] and repairs it to [70, 30]
//! main: the lock as usual, the accounts are [70, 30]
//! the process with both permits is killed: main acquires both
//! one thread locks a ReentrantMutex twice: 2
//! ```

use multiproc::sync::{Mutex, ReentrantMutex, Semaphore};
use multiproc::{
    JoinError,
    pipe::{self, Sender},
};
use std::{sync::PoisonError, thread};
use util::timeline;

const SIGKILL: i32 = 9;

/// Is killed between the two halves of a transfer of 30.
fn hold((accounts, locked): (Mutex<[u64; 2]>, Sender<()>)) {
    let _span = timeline::span("holds the lock");
    let mut accounts = accounts.lock().unwrap();
    accounts[0] -= 30;
    locked.send(&()).unwrap();
    loop {
        thread::park(); // the other half never comes
    }
}

// ANCHOR: repair
/// What it found, and what it made of it.
fn repair(accounts: Mutex<[u64; 2]>) -> [[u64; 2]; 2] {
    let waiting = timeline::wait("the lock");
    match accounts.lock() {
        Ok(_) => unreachable!("the holder was killed"),
        Err(poisoned) => {
            drop(waiting);
            let mut guard = poisoned.into_inner(); // the lock is held all the same
            let found = *guard;
            guard[1] = 100 - guard[0];
            accounts.clear_poison();
            [found, *guard]
        }
    }
}
// ANCHOR_END: repair

/// Is killed with both permits.
fn hold_permits((semaphore, acquired): (Semaphore, Sender<()>)) {
    let _permits = [semaphore.acquire(), semaphore.acquire()];
    acquired.send(&()).unwrap();
    loop {
        thread::park();
    }
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();

    // ANCHOR: kill
    let accounts = Mutex::new([100, 0])?;
    let (sender, locked) = pipe::simplex()?;
    let holder = multiproc::spawn(hold, (accounts.clone(), sender))?;
    locked.recv()?;
    let next = multiproc::spawn(repair, accounts.clone())?;
    println!("the holder is killed in the middle of a transfer");
    holder.kill()?;
    let [found, repaired] = next.join()?;
    // ANCHOR_END: kill
    println!(
        "the next process: told that a holder died; it finds {found:?} and repairs it to \
         {repaired:?}"
    );
    assert!(matches!(holder.join(), Err(JoinError::Killed { signal: SIGKILL })));
    let now = *accounts.lock().expect("the poison has been cleared");
    println!("main: the lock as usual, the accounts are {now:?}");
    assert_eq!(now, [70, 30]);

    let semaphore = Semaphore::new(2)?;
    let (sender, acquired) = pipe::simplex()?;
    let holder = multiproc::spawn(hold_permits, (semaphore.clone(), sender))?;
    acquired.recv()?;
    assert!(semaphore.try_acquire().is_none());
    holder.kill()?;
    let permits = [semaphore.acquire(), semaphore.acquire()]; // waits until its end is noticed
    println!("the process with both permits is killed: main acquires both");
    assert!(semaphore.available() == 0 && permits.len() == 2);

    let counter = ReentrantMutex::new(0)?;
    let outer = counter.lock().unwrap_or_else(PoisonError::into_inner);
    outer.set(outer.get() + 1);
    let inner = counter.lock().unwrap_or_else(PoisonError::into_inner); // a `Mutex` would deadlock
    inner.set(inner.get() + 1);
    println!("one thread locks a ReentrantMutex twice: {}", outer.get());
    assert_eq!(outer.get(), 2);
    Ok(())
}
