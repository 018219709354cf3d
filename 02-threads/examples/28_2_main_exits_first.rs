//! 28.2 · 主线程先退出 · Main is over first: what its threads had yet to do is lost.
//!
//! Python: raw `_thread`: the program is over before a loop has printed a line.
//! Rust: a `JoinHandle` that is dropped detaches its thread, and nothing waits for it. A child
//! process does it, so that we can count what it did not do.
//!
//! Run: `cargo run --example 28_2_main_exits_first` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#main-ends` · `notes/zh-CN/02-threads.md#main-ends`
//!
//! ```output unordered
//! loop 1: step 1 of 2
//! loop 2: step 1 of 3
//! ```
//! ```output
//! main is over
//! 2 of 5 steps were begun, none was ended
//! ```

use std::{
    env,
    sync::{Arc, Barrier},
    thread,
};
use util::{tick, timeline};

fn main() -> util::Result<()> {
    util::case!(args);
    let is_child = args.flag("--child"); // what this program is started as below
    args.finish();
    let _timeline = timeline::start();
    if is_child {
        start_and_return();
        return Ok(());
    }
    let said = util::printed_by(["--child"])?; // an error if it failed: to lose work is none
    print!("{said}");
    let count = |what| said.lines().filter(|line| line.contains(what)).count();
    let (begun, ended) = (count("step"), count("ended"));
    println!("{begun} of 5 steps were begun, none was ended");
    assert_eq!((begun, ended), (2, 0));
    Ok(())
}

fn start_and_return() {
    let begun = Arc::new(Barrier::new(3));
    for (number, steps) in [(1, 2), (2, 3)] {
        let begun = Arc::clone(&begun);
        // ANCHOR: detached
        thread::spawn(move || run_loop(number, steps, &begun)); // its handle is dropped here
        // ANCHOR_END: detached
    }
    begun.wait();
    println!("main is over");
}

fn run_loop(number: u32, steps: u32, begun: &Barrier) {
    for step in 1..=steps {
        let _span = timeline::span(format_args!("step {step}"));
        println!("loop {number}: step {step} of {steps}");
        if step == 1 {
            begun.wait();
        }
        tick::sleep(1000); // so long that main is certainly over before
        println!("loop {number}: step {step} ended");
    }
}
