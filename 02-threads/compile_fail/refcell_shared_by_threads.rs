//! Mistake: a `RefCell` checks its borrows without an atomic, and two threads share it.
//! Right: `Mutex` or `RwLock` do the same for threads, as in 28_11_mutex.

use std::{cell::RefCell, thread};

fn main() {
    let sum = RefCell::new(0);
    thread::scope(|s| {
        s.spawn(|| *sum.borrow_mut() += 1); //~ E0277
    });
}
