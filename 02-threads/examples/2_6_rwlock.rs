//! 2.6 · 读写锁 · RwLock: many readers at once, or one writer.
//!
//! Python: the library has none.
//! Rust: `read` gives shared access, `write` exclusive access. Two readers below hold the lock at
//! the same time: each waits inside for the other one. A `RwLock` has more to keep account of than
//! a `Mutex`, so it pays off only if readers stay inside for long.
//! Mistake: a second `read` in a thread that already has one. While a writer waits, std's lock on
//! Linux lets no new reader in, so the thread would wait for the writer, and the writer for the
//! thread.
//!
//! Run: `cargo run --example 2_6_rwlock`
//! Notes: `notes/en/02-threads.md#rwlock` · `notes/zh-CN/02-threads.md#rwlock`
//!
//! ```output
//! two readers were inside together; both read 20
//! while a writer waits, a second read would block
//! the writer has written: 21
//! short reads by 2 threads [..] time  relative
//! Mutex [..] 1.00
//! RwLock [..]
//! ...
//! ```

use std::{
    sync::{Barrier, Mutex, RwLock},
    thread,
    time::Duration,
};
use util::measure;

fn main() {
    util::case!();
    // ANCHOR: readers
    let temperature = RwLock::new(20);
    let both_inside = Barrier::new(2);
    let read = || {
        let temperature = temperature.read().unwrap();
        both_inside.wait(); // with a Mutex, this would never return
        *temperature
    };
    let seen = thread::scope(|s| [s.spawn(read), s.spawn(read)].map(|t| t.join().unwrap()));
    println!("two readers were inside together; both read {}", seen[0]);
    // ANCHOR_END: readers
    assert_eq!(seen, [20, 20]);

    // ANCHOR: twice
    thread::scope(|s| {
        let first = temperature.read().unwrap();
        s.spawn(|| *temperature.write().unwrap() += 1);
        while temperature.try_read().is_ok() {
            thread::yield_now(); // the writer has not begun to wait
        }
        println!("while a writer waits, a second read would block");
        drop(first); // lets the writer in
    });
    // ANCHOR_END: twice
    let written = temperature.into_inner().unwrap();
    println!("the writer has written: {written}");
    assert_eq!(written, 21);
    compare();
}

/// Both threads only read, which is what a `RwLock` is for; but each read is short.
fn compare() {
    const READS: u64 = 50_000;
    let (mutex, rwlock) = (Mutex::new(1), RwLock::new(1));
    let by_two = |read: &(dyn Fn() -> u64 + Sync)| {
        let sum = || (0..READS).map(|_| read()).sum::<u64>();
        thread::scope(|s| [s.spawn(sum), s.spawn(sum)].map(|t| t.join().unwrap()).iter().sum())
    };
    let ways: [&dyn Fn() -> u64; 2] =
        [&|| by_two(&|| *mutex.lock().unwrap()), &|| by_two(&|| *rwlock.read().unwrap())];
    let (sum, costs) = measure::in_turns(Duration::ZERO, ways);
    assert_eq!(sum, 2 * READS);
    println!("{}", measure::relative("short reads by 2 threads", ["Mutex", "RwLock"], costs));
    if thread::available_parallelism().is_ok_and(|cores| cores.get() == 1) {
        println!("on one core the two threads never meet, so this says little");
    }
}
