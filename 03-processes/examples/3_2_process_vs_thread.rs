//! 3.2 · 进程与线程的区别 · Process against thread: each difference by a fact that the kernel reports.
//!
//! Python: a list of differences, in words.
//! Rust: the same list, asked of this machine: who has which id, whose memory is whose, what one
//! more costs, and who dies when one goes wrong.
//!
//! Run: `cargo run --example 3_2_process_vs_thread` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#differences` · `notes/zh-CN/03-processes.md#differences`
//!
//! ```output
//! difference [..] process [..] thread
//! process id is main's [..] no [..] yes
//! thread id is main's [..] no [..] no
//! sees main's change [..] no [..] yes
//! main sees its change [..] no [..] yes
//! start and join [..]
//! memory of one more [..]
//! main survives its abort [..] yes [..] no
//! main survives its panic [..] yes [..] yes
//! ```

use multiproc::{JoinError, queue::Queue};
use std::{
    error::Error,
    fs,
    hint::black_box,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    sync::mpsc,
    thread,
    time::Instant,
};
use util::{
    measure::{Table, memory},
    timeline,
};

static NUMBER: AtomicU32 = AtomicU32::new(0);
const ROUNDS: u32 = 20;

/// What the other one reports: its process id, its thread id, the number it saw before it set it to
/// 2.
fn look((): ()) -> (u32, u32, u32) {
    let thread = fs::read_link("/proc/thread-self").unwrap();
    let thread = thread.file_name().unwrap().to_str().unwrap().parse().unwrap();
    (std::process::id(), thread, NUMBER.swap(2, SeqCst))
}

fn yes(answer: bool) -> String {
    if answer { "yes".into() } else { "no".into() }
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    let mut table = Table::new(["difference", "process", "thread"]);
    let mut row =
        |what: &str, process: String, thread: String| table.row([what.into(), process, thread]);

    NUMBER.store(1, SeqCst);
    let me = std::process::id();
    let process = multiproc::spawn(look, ())?.join()?;
    let after_process = NUMBER.load(SeqCst);
    let thread = thread::spawn(|| look(())).join().unwrap();
    let after_thread = NUMBER.load(SeqCst);
    row("process id is main's", yes(process.0 == me), yes(thread.0 == me));
    row("thread id is main's", yes(process.1 == me), yes(thread.1 == me));
    row("sees main's change", yes(process.2 == 1), yes(thread.2 == 1));
    row("main sees its change", yes(after_process == 2), yes(after_thread == 2));
    assert!(process.0 != me && process.2 == 0 && after_process == 1);
    assert!(thread.0 == me && thread.2 == 1 && after_thread == 2);

    let started = Instant::now();
    for _ in 0..ROUNDS {
        multiproc::spawn(|()| (), ())?.join()?;
    }
    let process = started.elapsed() / ROUNDS;
    let started = Instant::now();
    (0..ROUNDS).for_each(|_| thread::spawn(|| ()).join().unwrap());
    let thread = started.elapsed() / ROUNDS;
    row("start and join", format!("{process:.1?}"), format!("{thread:.1?}"));
    row("memory of one more", memory_of_a_process()?, memory_of_a_thread()?);

    let aborted = multiproc::spawn(|()| std::process::abort(), ())?;
    let survived = matches!(aborted.join(), Err::<(), _>(JoinError::Killed { signal: 6 }));
    // That a thread's abort takes main along has to happen in a process, or this one would be gone.
    let with_thread =
        multiproc::spawn(|()| drop(thread::spawn(|| std::process::abort()).join()), ())?;
    let taken_along = matches!(with_thread.join(), Err(JoinError::Killed { signal: 6 }));
    row("main survives its abort", yes(survived), yes(!taken_along));
    assert!(survived && taken_along);
    let process = multiproc::spawn(|()| panic!("on purpose"), ())?.join();
    let process = matches!(process, Err::<(), _>(JoinError::Panicked { .. }));
    let thread = thread::spawn(|| panic!("on purpose")).join().is_err();
    row("main survives its panic", yes(process), yes(thread));
    assert!(process && thread);

    println!("{table}");
    Ok(())
}

/// Proportional set size while it waits; so what it shares with main counts half.
fn memory_of_a_process() -> Result<String, Box<dyn Error>> {
    let (ready, done) = (Queue::unbounded()?, Queue::<()>::unbounded()?);
    let wait = |(ready, done): (Queue<()>, Queue<()>)| {
        ready.put(&()).unwrap();
        let _ = done.get();
    };
    let child = multiproc::spawn(wait, (ready.clone(), done.clone()))?;
    ready.get()?;
    let bytes = memory(child.id())?;
    done.close();
    child.join()?;
    Ok(format!("{} KiB", bytes / 1024))
}

/// The same of this process, with and without a hundred threads. Each has used a little of its
/// stack.
fn memory_of_a_thread() -> Result<String, Box<dyn Error>> {
    const THREADS: u64 = 100;
    let before = memory(std::process::id())?;
    let (ready, is_ready) = mpsc::channel();
    let (done, is_done) = mpsc::channel::<()>();
    let is_done = std::sync::Mutex::new(is_done);
    let during = thread::scope(|s| {
        for _ in 0..THREADS {
            let ready = ready.clone();
            s.spawn(|| {
                black_box([0_u8; 1024]);
                ready.send(()).unwrap();
                drop(ready);
                let _ = is_done.lock().unwrap().recv();
            });
        }
        (0..THREADS).for_each(|_| is_ready.recv().unwrap());
        let during = memory(std::process::id());
        drop(done);
        during
    })?;
    Ok(format!("{} KiB", during.saturating_sub(before) / THREADS / 1024))
}
