//! 003 · 全局变量不共享 · Separate globals: a process changes its own copy, a thread the one there is.
//!
//! Python: a global list that process 1 has appended to is empty in process 2.
//! Rust: the same. Each process is this program from its beginning, with globals as they were
//! written. Threads share them, which is why a global that changes is behind a lock.
//!
//! Run: `cargo run --example 003_separate_globals`
//! Notes: `notes/en/03-processes.md#memory` · `notes/zh-CN/03-processes.md#memory`
//!
//! ```output
//! process 1 has appended: [0, 1, 2]
//! process 2 sees: []
//! main sees: []
//! a thread has appended: [0, 1, 2]
//! main sees: [0, 1, 2]
//! ```

use std::{sync::Mutex, thread};
use util::timeline;

static NUMBERS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn append(count: u32) -> Vec<u32> {
    let _span = timeline::span("append");
    let mut numbers = NUMBERS.lock().unwrap();
    numbers.extend(0..count);
    numbers.clone()
}

fn see((): ()) -> Vec<u32> {
    NUMBERS.lock().unwrap().clone()
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();

    let appended = multiproc::spawn(append, 3)?.join()?;
    println!("process 1 has appended: {appended:?}");
    let seen = multiproc::spawn(see, ())?.join()?;
    println!("process 2 sees: {seen:?}");
    println!("main sees: {:?}", see(()));
    assert!(appended == [0, 1, 2] && seen.is_empty() && see(()).is_empty());

    let appended = thread::spawn(|| append(3)).join().unwrap();
    println!("a thread has appended: {appended:?}");
    println!("main sees: {:?}", see(()));
    assert_eq!(see(()), appended);
    Ok(())
}
