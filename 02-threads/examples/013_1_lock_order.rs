//! 013.1 · 加锁顺序 · Lock order: if all take the locks in one order, no circle can close.
//!
//! Python: discipline, in every place where two locks are taken.
//! Rust: the same discipline, in one place: a function that takes both, by their number. Two
//! threads move money in opposite directions, a thousand times each.
//!
//! Run: `cargo run --example 013_1_lock_order` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#deadlock` · `notes/zh-CN/02-threads.md#deadlock`
//!
//! ```output
//! 2000 transfers, no deadlock
//! account 0 has 1000, account 1 has 1000
//! ```

use std::{
    sync::{Mutex, MutexGuard},
    thread,
};
use util::timeline;

const ROUNDS: i64 = 1000;

struct Account {
    number: u32,
    balance: Mutex<i64>,
}

// ANCHOR: both
/// The balances of both, in the order asked for; locked in the order of their numbers.
fn lock_both<'a>(a: &'a Account, b: &'a Account) -> (MutexGuard<'a, i64>, MutexGuard<'a, i64>) {
    assert_ne!(a.number, b.number, "one mutex cannot be locked twice");
    if a.number < b.number {
        let a = a.balance.lock().unwrap();
        (a, b.balance.lock().unwrap())
    } else {
        let b = b.balance.lock().unwrap();
        (a.balance.lock().unwrap(), b)
    }
}
// ANCHOR_END: both

fn transfer(from: &Account, to: &Account, amount: i64) {
    let (mut from, mut to) = lock_both(from, to);
    *from -= amount;
    *to += amount;
}

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let accounts = [0, 1].map(|number| Account { number, balance: Mutex::new(1000) });
    let [a, b] = &accounts;
    thread::scope(|s| {
        for (name, from, to) in [("0 to 1", a, b), ("1 to 0", b, a)] {
            s.spawn(move || {
                let _span = timeline::span(name);
                (0..ROUNDS).for_each(|_| transfer(from, to, 1));
            });
        }
    });
    println!("{} transfers, no deadlock", 2 * ROUNDS);
    let balances = accounts.map(|account| account.balance.into_inner().unwrap());
    println!("account 0 has {}, account 1 has {}", balances[0], balances[1]);
    assert_eq!(balances, [1000, 1000]);
}
