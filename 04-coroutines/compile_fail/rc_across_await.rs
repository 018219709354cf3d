//! Mistake: a task that may move between threads keeps an `Rc` across an `await`.
//! Right: an `Arc`, or `spawn_local` on a runtime of one thread, as in 4_5_10_runtimes.
//@ extern: tokio

use std::rc::Rc;

fn greet() {
    // ANCHOR: mistake
    tokio::spawn(async { //~ future cannot be sent between threads safely
        let name = Rc::new("Ann");
        tokio::task::yield_now().await; // it may continue on another thread
        println!("hello, {name}");
    });
    // ANCHOR_END: mistake
}

fn main() {
    greet();
}
