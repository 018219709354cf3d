//! Mistake: a thread borrows what the function that started it may drop before it is done.
//! Right: `move`, or `thread::scope`, as in 28_5_thread_args.

use std::thread;

fn main() {
    let numbers = vec![1, 2, 3];
    thread::spawn(|| println!("{numbers:?}")); //~ E0373
}
