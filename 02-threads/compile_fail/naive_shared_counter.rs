//! Mistake: two threads change one number, each with a mutable borrow of its own.
//! Right: 28_11_mutex, 28_10_shared_variable.

use std::thread;

fn main() {
    let mut sum = 0;
    thread::scope(|s| {
        s.spawn(|| (0..10_000).for_each(|_| sum += 1));
        s.spawn(|| (0..10_000).for_each(|_| sum -= 1)); //~ E0499
    });
    println!("sum = {sum}");
}
