//! 006 · 启动顺序 · Start order is not execution order: enforce an order if you need one.
//!
//! Python: a sleep between the starts makes the order come out right.
//! Rust: it would here too, by luck: let one thread take longer to its first step than the sleep,
//! and the order is wrong again. Two ways are right. If the threads need not run at once, `join`
//! each before the next start. If they do, each waits until it is its turn.
//!
//! Run: `cargo run --example 006_start_order`
//! Notes: `notes/en/02-threads.md#order` · `notes/zh-CN/02-threads.md#order`
//!
//! ```output
//! just started:                  [..] of 100 rounds in order
//! sleep between, one is slow:    [..]
//! join before the next start:    [1, 2, 3, 4, 5]
//! each waits for its turn:       [1, 2, 3, 4, 5]
//! ```

use std::{
    sync::{Condvar, Mutex},
    thread,
};
use util::tick;

const IN_ORDER: [usize; 5] = [1, 2, 3, 4, 5];

fn main() {
    util::case!();
    let right = (0..100).filter(|_| just_started() == IN_ORDER).count();
    println!("just started:                  {right} of 100 rounds in order");
    println!("sleep between, one is slow:    {:?}", sleep_between());
    let (joined, by_turns) = (join_before_the_next(), each_waits_for_its_turn());
    println!("join before the next start:    {joined:?}");
    println!("each waits for its turn:       {by_turns:?}");
    assert_eq!((joined.as_slice(), by_turns.as_slice()), (&IN_ORDER[..], &IN_ORDER[..]));
}

fn just_started() -> Vec<usize> {
    let came = Mutex::new(Vec::new());
    thread::scope(|s| {
        for number in IN_ORDER {
            let came = &came;
            s.spawn(move || came.lock().unwrap().push(number));
        }
    });
    came.into_inner().unwrap()
}

fn sleep_between() -> Vec<usize> {
    let came = Mutex::new(Vec::new());
    thread::scope(|s| {
        for number in IN_ORDER {
            let came = &came;
            s.spawn(move || {
                if number == 2 {
                    tick::sleep(1); // longer to its first step than the sleep below
                }
                came.lock().unwrap().push(number);
            });
            tick::sleep(0.5);
        }
    });
    came.into_inner().unwrap()
}

// ANCHOR: join
fn join_before_the_next() -> Vec<usize> {
    let came = Mutex::new(Vec::new());
    for number in IN_ORDER {
        thread::scope(|s| {
            s.spawn(|| came.lock().unwrap().push(number));
        }); // the thread has ended here
    }
    came.into_inner().unwrap()
}
// ANCHOR_END: join

// ANCHOR: turn
fn each_waits_for_its_turn() -> Vec<usize> {
    let (came, changed) = (Mutex::new(Vec::new()), Condvar::new());
    thread::scope(|s| {
        for number in IN_ORDER {
            let (came, changed) = (&came, &changed);
            s.spawn(move || {
                let came = came.lock().unwrap();
                // Sleeps, without the lock, until all before it have come.
                let mut came = changed.wait_while(came, |came| came.len() < number - 1).unwrap();
                came.push(number);
                changed.notify_all();
            });
        }
    });
    came.into_inner().unwrap()
}
// ANCHOR_END: turn
