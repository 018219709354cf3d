//! 2.2 · 条件变量 · Condition variable: sleep until what the lock protects has become true.
//!
//! Python: `with condition: condition.wait_for(lambda: apples >= 3)`.
//! Rust: `Condvar::wait_while` takes the guard, unlocks while it sleeps, and checks the condition
//! under the lock after each wake-up. A wake-up alone proves nothing: here the first two come too
//! early, and the system may also wake a thread for no reason (a spurious wake-up).
//! Mistake: `if` in place of `while`, and a change made without the lock, whose wake-up can be
//! lost. `cargo test -p checks --test models -- --nocapture condition` shows how both go wrong.
//!
//! Run: `cargo run --example 2_2_condition` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#condition` · `notes/zh-CN/02-threads.md#condition`
//!
//! ```output unordered
//! picker: 3 apples picked
//! cook: has 3 apples, bakes a pie
//! ```
//! ```output
//! 0 apples are left
//! ```

use std::{
    sync::{Condvar, Mutex},
    thread,
};
use util::timeline;

// ANCHOR: condition
struct Basket {
    apples: Mutex<u32>,
    changed: Condvar, // goes with the mutex: notified whenever the number changes
}

fn cook(basket: &Basket) {
    let waiting = timeline::wait("apples");
    let apples = basket.apples.lock().unwrap();
    // Sleeps without the lock, and has it again whenever it checks the condition.
    let mut apples = basket.changed.wait_while(apples, |apples| *apples < 3).unwrap();
    drop(waiting);
    *apples -= 3;
    println!("cook: has 3 apples, bakes a pie");
}

fn pick(basket: &Basket) {
    for _ in 0..3 {
        *basket.apples.lock().unwrap() += 1; // locked for this statement only
        basket.changed.notify_one();
        timeline::mark("notify");
    }
    println!("picker: 3 apples picked");
}
// ANCHOR_END: condition

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let basket = Basket { apples: Mutex::new(0), changed: Condvar::new() };
    thread::scope(|s| {
        s.spawn(|| cook(&basket));
        s.spawn(|| pick(&basket));
    });
    let left = basket.apples.into_inner().unwrap();
    println!("{left} apples are left");
    assert_eq!(left, 0);
}
