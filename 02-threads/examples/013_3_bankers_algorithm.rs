//! 013.3 · 银行家算法 · The banker's algorithm: lend only if all can still finish.
//!
//! Python: the notes tell it in words: from the present state, find an order in which everybody
//! finishes.
//! Rust: the algorithm stands in `src/banker.rs`. First the classic table of five customers
//! and three resources (A. Silberschatz et al., "Operating System Concepts"), then five
//! threads that borrow bit by bit. Any of them may have to wait; together they never get stuck.
//!
//! Run: `cargo run --example 013_3_bankers_algorithm` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#banker` · `notes/zh-CN/02-threads.md#banker`
//!
//! ```output
//! customer   limit      holds      may ask for
//!        0  [7, 5, 3]  [0, 1, 0]  [7, 4, 3]
//!        1  [3, 2, 2]  [2, 0, 0]  [1, 2, 2]
//!        2  [9, 0, 2]  [3, 0, 2]  [6, 0, 0]
//!        3  [2, 2, 2]  [2, 1, 1]  [0, 1, 1]
//!        4  [4, 3, 3]  [0, 0, 2]  [4, 3, 1]
//! left: [3, 3, 2], safe sequence: [1, 3, 4, 0, 2]
//! 1 asks for [1, 0, 2]: granted, safe sequence: [1, 3, 4, 0, 2]
//! 4 asks for [3, 3, 0]: denied: not so much is left
//! 0 asks for [0, 2, 0]: denied: no safe sequence would remain
//! ```
//! ```output unordered
//! 0 had all of [7, 5, 3]
//! 1 had all of [3, 2, 2]
//! 2 had all of [9, 0, 2]
//! 3 had all of [2, 2, 2]
//! 4 had all of [4, 3, 3]
//! ```
//! ```output
//! all finished, all is back: [10, 5, 7]
//! ```

use std::{
    sync::{Condvar, Mutex},
    thread,
};
use threads::banker::{Amounts, Banker, Denied};
use util::{tick, timeline};

const TOTAL: Amounts<3> = [10, 5, 7];
const LIMITS: [Amounts<3>; 5] = [[7, 5, 3], [3, 2, 2], [9, 0, 2], [2, 2, 2], [4, 3, 3]];
const HELD: [Amounts<3>; 5] = [[0, 1, 0], [2, 0, 0], [3, 0, 2], [2, 1, 1], [0, 0, 2]];

fn main() -> util::Result<()> {
    util::case!();
    let _timeline = timeline::start();
    classic_table()?;

    let (banker, given_back) = (Mutex::new(Banker::new(TOTAL, &LIMITS)), Condvar::new());
    thread::scope(|s| {
        for (customer, limit) in LIMITS.into_iter().enumerate() {
            let (banker, given_back) = (&banker, &given_back);
            s.spawn(move || borrow_all(banker, given_back, customer, limit));
        }
    });
    let available = banker.into_inner().unwrap().available();
    println!("all finished, all is back: {available:?}");
    assert_eq!(available, TOTAL);
    Ok(())
}

fn classic_table() -> Result<(), Denied> {
    let mut banker = Banker::new(TOTAL, &LIMITS);
    println!("customer   limit      holds      may ask for");
    for (customer, (limit, held)) in LIMITS.into_iter().zip(HELD).enumerate() {
        banker.request(customer, held)?;
        println!("{customer:8}  {limit:?}  {held:?}  {:?}", banker.need(customer));
    }
    let sequence = banker.safe_sequence().unwrap();
    println!("left: {:?}, safe sequence: {sequence:?}", banker.available());
    for (customer, amounts, expected) in [
        (1, [1, 0, 2], Ok(())),
        (4, [3, 3, 0], Err(Denied::NotAvailable)),
        (0, [0, 2, 0], Err(Denied::Unsafe)),
    ] {
        let answer = banker.request(customer, amounts);
        let said = match answer {
            Ok(()) => format!("granted, safe sequence: {:?}", banker.safe_sequence().unwrap()),
            Err(reason) => format!("denied: {reason}"),
        };
        println!("{customer} asks for {amounts:?}: {said}");
        assert_eq!(answer, expected);
    }
    Ok(())
}

// ANCHOR: borrow
/// Borrows one piece after the other up to the limit, keeping what it has: without the
/// banker, five threads that do so get stuck sooner or later.
fn borrow_all(banker: &Mutex<Banker<3>>, given_back: &Condvar, customer: usize, limit: Amounts<3>) {
    for resource in 0..3 {
        for _ in 0..limit[resource] {
            let mut one = [0; 3];
            one[resource] = 1;
            let waiting = timeline::wait("for a grant");
            let mut banker = banker.lock().unwrap();
            while banker.request(customer, one).is_err() {
                banker = given_back.wait(banker).unwrap(); // denied now is not denied for ever
            }
            drop(banker);
            drop(waiting);
            let _span = timeline::span("uses it");
            tick::sleep(0.05);
        }
    }
    println!("{customer} had all of {limit:?}");
    banker.lock().unwrap().give_back(customer, limit);
    given_back.notify_all();
}
// ANCHOR_END: borrow
