//! 006 · 启动顺序 · Start order is not run order: ask for an order, or have none.
//!
//! Python: a sleep between the starts makes the order come out right.
//! Rust: it would here too, by luck: let one thread take longer to its first step than the
//! sleep, and the order is wrong again. What holds is a message from each thread to the next,
//! or, if they need not run at once, `join` before the next start.
//!
//! Run: `cargo run --example 006_start_order` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#order` · `notes/zh-CN/02-threads.md#order`
//!
//! ```output
//! just started:           [..] of 100 rounds in order
//! a sleep between:        [..]
//! a sleep, and one slow:  [..]
//! join before the next:   [1, 2, 3, 4, 5]
//! each calls the next:    [1, 2, 3, 4, 5]
//! ```

use std::{
    sync::{Mutex, mpsc},
    thread,
};
use util::{tick, timeline};

const IN_ORDER: [u32; 5] = [1, 2, 3, 4, 5];

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let right = (0..100).filter(|_| run(|| (), |_| ()) == IN_ORDER).count();
    println!("just started:           {right} of 100 rounds in order");

    let _sleeping = timeline::span("sleeps between");
    println!("a sleep between:        {:?}", run(|| tick::sleep(0.5), |_| ()));
    let slow_second = |number| tick::sleep(if number == 2 { 0.9 } else { 0.0 });
    println!("a sleep, and one slow:  {:?}", run(|| tick::sleep(0.5), slow_second));

    let joined = one_after_the_other();
    println!("join before the next:   {joined:?}");
    assert_eq!(joined, IN_ORDER);
    let called = each_calls_the_next();
    println!("each calls the next:    {called:?}");
    assert_eq!(called, IN_ORDER);
}

/// Starts five threads, with `between` after each start; each takes its time, `first`, before it
/// says its number. Returns the numbers as they came.
fn run(between: impl Fn(), first: impl Fn(u32) + Copy + Send) -> Vec<u32> {
    let came = Mutex::new(Vec::new());
    thread::scope(|s| {
        for number in IN_ORDER {
            let came = &came;
            s.spawn(move || {
                first(number);
                came.lock().unwrap().push(number);
            });
            between();
        }
    });
    came.into_inner().unwrap()
}

// ANCHOR: join
fn one_after_the_other() -> Vec<u32> {
    let came = Mutex::new(Vec::new());
    for number in IN_ORDER {
        // The scope ends when its thread has: one at a time.
        thread::scope(|s| s.spawn(|| came.lock().unwrap().push(number)).join().unwrap());
    }
    came.into_inner().unwrap()
}
// ANCHOR_END: join

// ANCHOR: call
fn each_calls_the_next() -> Vec<u32> {
    let came = Mutex::new(Vec::new());
    let (call_first, mut called) = mpsc::channel();
    thread::scope(|s| {
        for number in IN_ORDER {
            let (call_next, next_called) = mpsc::channel();
            let my_turn = std::mem::replace(&mut called, next_called);
            let came = &came;
            s.spawn(move || {
                my_turn.recv().unwrap();
                came.lock().unwrap().push(number);
                let _ = call_next.send(()); // the last one calls nobody
            });
        }
        call_first.send(()).unwrap();
    });
    came.into_inner().unwrap()
}
// ANCHOR_END: call
