//! Mistake: a `static mut`, which two threads could write at once. It needs `unsafe`.
//! Right: an atomic or a `Mutex` in the `static`, as in 2_9_globals.

use std::thread;

static mut REQUESTS: u32 = 0;

fn main() {
    let thread = thread::spawn(|| REQUESTS += 1); //~ E0133
    thread.join().unwrap();
}
