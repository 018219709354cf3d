//! Mistake: an `Rc` counts its owners without an atomic, and goes to another thread.
//! Right: `Arc`, as in 28_5_thread_args.

use std::{rc::Rc, thread};

fn main() {
    let numbers = Rc::new(vec![1, 2, 3]);
    let theirs = Rc::clone(&numbers);
    thread::spawn(move || println!("{theirs:?}")); //~ E0277
    println!("{numbers:?}");
}
