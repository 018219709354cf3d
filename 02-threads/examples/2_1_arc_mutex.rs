//! 2.1 · 共享数据 · Arc and Mutex: several owners of one list, and one thread at a time inside it.
//!
//! Python: any object can be used by any thread; the reference count and the GIL keep the
//! interpreter safe, but not your data.
//! Rust: `Arc` counts the owners, `Mutex` lets one thread in at a time. The types say what threads
//! may do: a `Send` value may move to another thread, a `Sync` value may be used by several at
//! once.
//! Mistake: `Rc` counts without an atomic (`compile_fail/rc_sent_to_a_thread.rs`) and `RefCell`
//! checks its borrows without one (`compile_fail/refcell_shared_by_threads.rs`). Both are refused.
//!
//! Run: `cargo run --example 2_1_arc_mutex`
//! Notes: `notes/en/02-threads.md#arc-mutex` · `notes/zh-CN/02-threads.md#arc-mutex`
//!
//! ```output
//! before the threads start: 4 owners
//! after the join: 1 owner
//! guests: ["Ada", "Bob", "Cai"]
//! ```

use std::{
    sync::{Arc, Mutex},
    thread,
};

fn main() {
    util::case!();
    // ANCHOR: share
    let guests = Arc::new(Mutex::new(Vec::new()));
    let doors = ["Ada", "Bob", "Cai"].map(|name| (name, Arc::clone(&guests)));
    println!("before the threads start: {} owners", Arc::strong_count(&guests));

    let threads = doors.map(|(name, guests)| {
        // The thread gets an owner of its own, so the list lives as long as any of them needs it.
        thread::spawn(move || guests.lock().unwrap().push(name))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    println!("after the join: {} owner", Arc::strong_count(&guests));

    let mut guests = guests.lock().unwrap();
    guests.sort_unstable(); // the threads came in any order
    println!("guests: {guests:?}");
    // ANCHOR_END: share
    assert_eq!(*guests, ["Ada", "Bob", "Cai"]);
    can_be_shared::<Arc<Mutex<Vec<&str>>>>();
}

// ANCHOR: traits
/// Compiles only for types that threads may both move and share: `Rc` and `RefCell` are not.
fn can_be_shared<T: Send + Sync>() {}
// ANCHOR_END: traits
