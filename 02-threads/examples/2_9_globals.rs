//! 2.9 · 全局变量 · Globals: a static holds a type that threads can share.
//!
//! Python: a module's variables are shared by all threads; nothing says which lock they need.
//! Rust: a `static` must be `Sync`, so its type says how threads share it: an atomic for a number,
//! a `Mutex` for anything that changes, a `OnceLock` for what `main` learns when it starts, a
//! `LazyLock` for what is computed at its first use.
//! Mistake: `static mut`, which any thread could write at any time
//! (`compile_fail/static_mut.rs`): it is refused outside `unsafe`.
//!
//! Run: `cargo run --example 2_9_globals`
//! Notes: `notes/en/02-threads.md#globals` · `notes/zh-CN/02-threads.md#globals`
//!
//! ```output
//! 4 threads: 4 requests, 4 lines in the log
//! the greeting was set once: "hello", and a second try returns Err("goodbye")
//! the squares were computed 1 time
//! ```

use std::{
    sync::{
        LazyLock, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

// ANCHOR: statics
static REQUESTS: AtomicUsize = AtomicUsize::new(0);
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());
static GREETING: OnceLock<&str> = OnceLock::new();
static SQUARES: LazyLock<Vec<usize>> = LazyLock::new(|| {
    COMPUTED.fetch_add(1, Relaxed);
    (0..4).map(|n| n * n).collect()
});
static COMPUTED: AtomicUsize = AtomicUsize::new(0);

fn handle(number: usize) {
    REQUESTS.fetch_add(1, Relaxed);
    // Whichever thread comes first computes the squares; the others wait for them.
    let line = format!("{} {}", GREETING.get().unwrap(), SQUARES[number]);
    LOG.lock().unwrap().push(line);
}
// ANCHOR_END: statics

fn main() {
    util::case!();
    GREETING.set("hello").unwrap();
    thread::scope(|s| (0..4).for_each(|number| _ = s.spawn(move || handle(number))));

    let (requests, lines) = (REQUESTS.load(Relaxed), LOG.lock().unwrap().len());
    println!("4 threads: {requests} requests, {lines} lines in the log");
    let (greeting, again) = (GREETING.get().unwrap(), GREETING.set("goodbye"));
    println!("the greeting was set once: {greeting:?}, and a second try returns {again:?}");
    let computed = COMPUTED.load(Relaxed);
    println!("the squares were computed {computed} time");
    assert_eq!((requests, lines, computed), (4, 4, 1));
    let mut log = LOG.lock().unwrap();
    log.sort_unstable();
    assert_eq!(*log, ["hello 0", "hello 1", "hello 4", "hello 9"]);
}
