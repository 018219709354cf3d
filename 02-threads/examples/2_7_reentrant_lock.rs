//! 2.7 · 可重入锁 · Reentrant lock: a mutex locked twice by one thread is a deadlock.
//!
//! Python: `threading.RLock` counts how often its owner has locked it.
//! Rust: `Mutex` is not reentrant, because two guards would be two `&mut` to one value. The usual
//! design needs no reentrancy: the method that locks is a thin layer over one that takes the data.
//! Where a lock really must be taken twice, `parking_lot::ReentrantMutex` gives out `&T` only, so
//! the data needs a `Cell` inside.
//! Mistake: a method that locks calls another one that locks. `try_lock` reports it here; `lock`
//! would never return: `cargo test -p checks --test models -- --nocapture reentrant`.
//!
//! Run: `cargo run --example 2_7_reentrant_lock`
//! Notes: `notes/en/02-threads.md#reentrant` · `notes/zh-CN/02-threads.md#reentrant`
//!
//! ```output
//! locked twice by one thread: the second time would wait forever
//! one lock, then plain functions: balance = 30
//! ReentrantMutex, locked twice: balance = 60
//! ```

use parking_lot::ReentrantMutex;
use std::{cell::Cell, sync::Mutex};

// ANCHOR: design
struct Account {
    balance: Mutex<i64>,
}

impl Account {
    fn deposit(&self, amount: i64) {
        add(&mut self.balance.lock().unwrap(), amount);
    }

    /// Two deposits that no other thread can come between.
    fn deposit_both(&self, first: i64, second: i64) {
        let mut balance = self.balance.lock().unwrap();
        add(&mut balance, first); // `self.deposit(first)` would lock again, and wait forever
        add(&mut balance, second);
    }
}

/// Works on what is locked already, and cannot lock: it knows no lock.
fn add(balance: &mut i64, amount: i64) {
    *balance += amount;
}
// ANCHOR_END: design

fn main() {
    util::case!();
    let account = Account { balance: Mutex::new(0) };
    {
        let _balance = account.balance.lock().unwrap();
        assert!(account.balance.try_lock().is_err());
        println!("locked twice by one thread: the second time would wait forever");
    }
    account.deposit_both(10, 15);
    account.deposit(5);
    let balance = account.balance.into_inner().unwrap();
    println!("one lock, then plain functions: balance = {balance}");

    // ANCHOR: reentrant
    let reentrant = ReentrantMutex::new(Cell::new(balance));
    let first = reentrant.lock();
    let second = reentrant.lock(); // the same thread: no wait
    first.set(first.get() + 10);
    second.set(second.get() + 20); // two ways to one value, so it is a `Cell`
    // ANCHOR_END: reentrant
    println!("ReentrantMutex, locked twice: balance = {}", first.get());
    assert_eq!((balance, first.get()), (30, 60));
}
