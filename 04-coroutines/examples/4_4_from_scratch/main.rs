//! 4.4 · 从零写执行器 · From scratch: an executor in a hundred lines, with a waker, a queue of what is ready, and timers.
//!
//! Python: "a coroutine is a saved state that its program resumes": greenlet and gevent do it out
//! of sight.
//! Rust: the compiler makes the saved state of an `async` block; who resumes it, and when, is a
//! library. This is one (`executor.rs`): a task that cannot go on leaves its waker with what it
//! waits for, and is not looked at again before that wakes it.
//!
//! Run: `cargo run --example 4_4_from_scratch` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/04-coroutines.md#from-scratch` · `notes/zh-CN/04-coroutines.md#from-scratch`
//!
//! ```output
//! a begins
//! b begins
//! c begins
//! a slept 1
//! b slept 2
//! a slept 3
//! c slept 4
//! c spawned d, which runs
//! 4 tasks, polled 8 times; [..] ticks on the clock, [..] % of them on the processor
//!
//! one that waits [..] heap, bytes  stack and kernel [..] together
//! iterator [..]
//! generator [..]
//! async task [..]
//! coroutine with a stack [..]
//! thread [..]
//! ```

mod executor;
mod idle;

use executor::Executor;
use std::{cell::Cell, future::poll_fn, pin::pin, rc::Rc, time::Instant};
use util::{heap, measure, tick, timeline};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

fn main() {
    util::case!("main.rs");
    let _timeline = timeline::start();
    let polls = Rc::new(Cell::new(0));
    let executor = Executor::default();
    let start = Instant::now();
    // ANCHOR: tasks
    let at = move |ticks: u32| start + tick::ticks(ticks);
    for (name, naps) in [("a", vec![1, 3]), ("b", vec![2]), ("c", vec![4])] {
        let here = executor.clone();
        let task = async move {
            println!("{name} begins");
            for until in naps {
                let _span = timeline::row(name).wait(until);
                here.sleep_until(at(until)).await;
                println!("{name} slept {until}");
            }
            if name == "c" {
                here.spawn(async { println!("c spawned d, which runs") });
            }
        };
        executor.spawn(counted(task, Rc::clone(&polls)));
    }
    let ((), cost) = measure::cost(|| executor.run());
    // ANCHOR_END: tasks

    let share = 100.0 * cost.cpu.as_secs_f64() / cost.wall.as_secs_f64();
    let ticks = cost.wall.as_secs_f64() / tick::length().as_secs_f64();
    println!(
        "4 tasks, polled {} times; {ticks:.1} ticks on the clock, {share:.1} % of them on the processor",
        polls.get() + 1
    );
    // Once at first, and once for each nap: nobody was asked for nothing. (And `d` once,
    // uncounted.)
    assert_eq!(polls.get(), 3 + 4);

    // What it costs to be one that waits: the saved state, and where a stack is kept for it, that.
    println!("\n{}", idle::table());
}

/// The same task, which counts how often it is polled.
async fn counted(task: impl Future<Output = ()>, polls: Rc<Cell<u32>>) {
    let mut task = pin!(task);
    poll_fn(|context| {
        polls.set(polls.get() + 1);
        task.as_mut().poll(context)
    })
    .await;
}
