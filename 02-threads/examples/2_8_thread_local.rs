//! 2.8 · 线程局部变量 · Thread-local values: one counter per thread, added up at the end.
//!
//! Python: `local = threading.local()`; a new thread finds no attribute in it, and sets it first.
//! Rust: `thread_local!` gives each thread a value of its own, initialized when that thread first
//! uses it. No other thread can reach it, so a `Cell` is enough: no lock, no atomic.
//! Mistake: to expect in one thread what another one has stored. Main's counter below is still 0.
//!
//! Run: `cargo run --example 2_8_thread_local`
//! Notes: `notes/en/02-threads.md#thread-local` · `notes/zh-CN/02-threads.md#thread-local`
//!
//! ```output
//! thread 1 counted 1000
//! thread 2 counted 2000
//! thread 3 counted 3000
//! main's own counter: 0
//! all together: 6000
//! ```

use std::{cell::Cell, thread};

// ANCHOR: local
thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

/// Counts for whichever thread calls it. Any function can, without an argument more.
fn count() {
    COUNT.set(COUNT.get() + 1);
}

fn work(number: u32) -> u32 {
    for _ in 0..1000 * number {
        count();
    }
    COUNT.get() // the value goes with the thread: what others are to have is returned
}
// ANCHOR_END: local

fn main() {
    util::case!();
    let threads = [1, 2, 3].map(|number| (number, thread::spawn(move || work(number))));
    let mut sum = 0;
    for (number, thread) in threads {
        let counted = thread.join().unwrap();
        println!("thread {number} counted {counted}");
        sum += counted;
    }
    println!("main's own counter: {}", COUNT.get());
    println!("all together: {sum}");
    assert_eq!((sum, COUNT.get()), (6000, 0));
}
