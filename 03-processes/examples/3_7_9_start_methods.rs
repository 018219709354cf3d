//! 3.7.9 · 启动方式 · Start methods: a process started afresh, and a copy by `fork`.
//!
//! Python: `spawn` starts the interpreter anew. `fork` copies the process: it is faster, and the
//! copy has all that the parent had. But the copy has *one* thread. A lock that another thread held
//! is locked in the copy, by nobody, forever. `forkserver`, the default on Linux since 3.14, forks
//! a process that has no threads.
//! Rust: `multiproc` starts this program anew. The child inherits the environment, the working
//! directory, the user and the limits, and standard output and error. It has its own statics as
//! they are at the beginning, its own locks, and no open file that was not passed to it.
//! Mistake: `fork` in a program with threads. Also `malloc` has locks, so a copy may only call what
//! POSIX lists as async-signal-safe, until it executes another program. Rust's `fork` is `unsafe`.
//!
//! Run: `cargo run --example 3_7_9_start_methods` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#start-methods` · `notes/zh-CN/03-processes.md#start-methods`
//!
//! ```output
//! main: a static changed from 1 to 2, and a thread that holds a lock
//! started afresh: same directory: true, the static is 1, the lock is free: true
//! forked: the static is 2, the lock is free: false
//! main: the thread has released the lock; the forked copy still waits for its own after 2 ticks
//! start and end: afresh [..], by fork [..]
//! ```

use nix::{
    libc,
    sys::{prctl, signal::Signal, wait},
    unistd::{self, ForkResult, Pid},
};
use std::{
    env, path::PathBuf, process::abort, sync::Mutex, sync::atomic::AtomicI32,
    sync::atomic::Ordering::SeqCst, sync::mpsc, thread, time::Instant,
};
use util::{tick, timeline};
use wait::{WaitPidFlag, WaitStatus};

static NUMBER: AtomicI32 = AtomicI32::new(1);
static LOCK: Mutex<()> = Mutex::new(());
const ROUNDS: u32 = 20;

// ANCHOR: look
/// What a new process finds, started afresh or forked: the number, and whether the lock is free.
fn look() -> (i32, bool) {
    (NUMBER.load(SeqCst), LOCK.try_lock().is_ok())
}
// ANCHOR_END: look

// ANCHOR: fork
/// A copy of this process that calls `function` and ends with its result as the exit status.
#[allow(unsafe_code, reason = "the copy of a process with threads can do little")]
fn fork(function: fn() -> i32) -> nix::Result<Pid> {
    // SAFETY: until it ends, the copy makes system calls and reads atomics; it allocates nothing.
    match unsafe { unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            if prctl::set_pdeathsig(Signal::SIGKILL).is_err() {
                abort();
            }
            // SAFETY: ends the copy at once, without destructors and exit handlers.
            unsafe { libc::_exit(function()) }
        }
    }
}
// ANCHOR_END: fork

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();

    NUMBER.store(2, SeqCst);
    let (locked, is_locked) = mpsc::channel();
    let (release, is_over) = mpsc::channel::<()>();
    let holder = thread::spawn(move || {
        let _guard = LOCK.lock();
        locked.send(()).unwrap();
        let _ = is_over.recv();
    });
    is_locked.recv()?;
    println!("main: a static changed from 1 to 2, and a thread that holds a lock");

    let afresh = |()| (look(), env::current_dir().unwrap());
    let ((number, free), directory): ((i32, bool), PathBuf) =
        multiproc::spawn(afresh, ())?.join()?;
    let same = directory == env::current_dir()?;
    println!(
        "started afresh: same directory: {same}, the static is {number}, the lock is free: {free}"
    );
    assert!(same && number == 1 && free);

    let status = wait::waitpid(fork(|| look().0 << 1 | i32::from(look().1))?, None)?;
    let WaitStatus::Exited(_, status) = status else { Err(format!("{status:?}"))? };
    let (number, free) = (status >> 1, status & 1 == 1);
    println!("forked: the static is {number}, the lock is free: {free}");
    assert!(number == 2 && !free);

    // ANCHOR: trap
    let copy = fork(|| LOCK.lock().is_ok().into())?; // `lock`: never returns
    release.send(())?;
    holder.join().expect("it does not panic");
    drop(LOCK.lock()); // free, here
    tick::sleep(2);
    let status = wait::waitpid(copy, Some(WaitPidFlag::WNOHANG))?;
    nix::sys::signal::kill(copy, Signal::SIGKILL)?;
    wait::waitpid(copy, None)?;
    // ANCHOR_END: trap
    assert_eq!(status, WaitStatus::StillAlive);
    println!(
        "main: the thread has released the lock; the forked copy still waits for its own after \
         2 ticks"
    );

    let started = Instant::now();
    (0..ROUNDS)
        .try_for_each(|_| -> util::Result<()> { Ok(multiproc::spawn(|()| (), ())?.join()?) })?;
    let afresh = started.elapsed() / ROUNDS;
    let started = Instant::now();
    (0..ROUNDS).try_for_each(|_| wait::waitpid(fork(|| 0)?, None).map(drop))?;
    let forked = started.elapsed() / ROUNDS;
    println!("start and end: afresh {afresh:.1?}, by fork {forked:.1?}");
    Ok(())
}
