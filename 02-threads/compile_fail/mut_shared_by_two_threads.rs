//! Mistake: one `&mut` is given to two threads. It can only be moved, and the first one has it.
//! Right: 28_10_shared_variable (in turn) or 28_11_mutex (at once).

use std::thread;

fn main() {
    let mut numbers = vec![1, 2, 3];
    let exclusive = &mut numbers;
    thread::scope(|s| {
        s.spawn(move || exclusive.push(4));
        s.spawn(move || exclusive.push(5)); //~ E0382
    });
}
