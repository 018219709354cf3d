//! 012 · 用 yield 实现多任务 · Multitasking by yielding: generators that take turns, and a scheduler for any number of them.
//!
//! Python: two functions with `yield`; an endless loop calls `next` on one, then on the other.
//! Rust: the same. A scheduler is a queue: take the first, let it run to its next yield, put it at
//! the end. No kernel is asked, and nobody is interrupted: a task that does not yield keeps all
//! others waiting.
//!
//! Run: `cargo run --example 012_yield_multitask` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/04-coroutines.md#round-robin` · `notes/zh-CN/04-coroutines.md#round-robin`
//!
//! ```output
//! two take turns: sing 1, dance 1, sing 2, dance 2, sing 3, dance 3
//! round robin: a 1, b 1, c 1, a 2, b 2, c 2, b 3, c 3, b 4
//! ```

use coroutines::Generator;
use std::{collections::VecDeque, iter};
use util::{tick, timeline};

/// Some steps of work, which yield after each.
fn task(name: &'static str, steps: u32) -> Box<dyn Iterator<Item = String>> {
    Box::new(Box::pin(Generator::new(move |co| async move {
        let row = timeline::row(name);
        for step in 1..=steps {
            let span = row.span(step);
            tick::sleep(0.5);
            drop(span);
            co.yield_(format!("{name} {step}")).await;
        }
    })))
}

fn main() {
    util::case!();
    let _timeline = timeline::start();

    // ANCHOR: turns
    let (mut sing, mut dance) = (task("sing", 3), task("dance", 3));
    let mut done = Vec::new();
    while let (Some(sung), Some(danced)) = (sing.next(), dance.next()) {
        done.extend([sung, danced]);
    }
    // ANCHOR_END: turns
    println!("two take turns: {}", done.join(", "));
    assert_eq!(done.len(), 6);

    // ANCHOR: scheduler
    let mut ready = VecDeque::from([task("a", 2), task("b", 4), task("c", 3)]);
    let scheduler = iter::from_fn(|| {
        while let Some(mut task) = ready.pop_front() {
            if let Some(step) = task.next() {
                ready.push_back(task);
                return Some(step);
            } // else it has ended, and is dropped
        }
        None
    });
    // ANCHOR_END: scheduler
    let order: Vec<String> = scheduler.collect();
    println!("round robin: {}", order.join(", "));
    assert_eq!(order.len(), 2 + 4 + 3);
}
