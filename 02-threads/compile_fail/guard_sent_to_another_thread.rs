//! Mistake: one thread locks and another one is to unlock, which a mutex of the system forbids.
//! Right: each thread takes its own guard, as in 28_11_mutex.

use std::{sync::Mutex, thread};

fn main() {
    let sum = Mutex::new(0);
    let guard = sum.lock().unwrap();
    thread::scope(|s| {
        s.spawn(move || drop(guard)); //~ E0277
    });
}
