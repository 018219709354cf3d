//! 28.14 · 进程类 · A struct that runs in a process: its fields travel to the child.
//!
//! Python: a subclass of `Process` that overrides `run`; with spawn its fields are pickled behind
//! the scenes.
//! Rust: a struct that `serde` can encode, and a `run(self)`: the child works on a copy, and what
//! it has to tell comes back as the result.
//!
//! Run: `cargo run --example 28_14_process_struct` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#struct` · `notes/zh-CN/03-processes.md#struct`
//!
//! ```output
//! clock: it is 1
//! clock: it is 2
//! clock: it is 3
//! main: clock counted to 3, in another process: true
//! ```

use serde::{Deserialize, Serialize};
use util::{tick, timeline};

// ANCHOR: struct
#[derive(Serialize, Deserialize)]
struct Clock {
    name: String,
    interval: f64,
    time: u32,
}

impl Clock {
    /// The clock as it was when it stopped, and the process that ran it.
    fn run(mut self) -> (Clock, u32) {
        while self.time < 3 {
            let _span = timeline::span(self.time + 1);
            tick::sleep(self.interval);
            self.time += 1;
            println!("{}: it is {}", self.name, self.time);
        }
        (self, multiproc::current().id)
    }
}
// ANCHOR_END: struct

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    // ANCHOR: run
    let clock = Clock { name: "clock".into(), interval: 1.0, time: 0 };
    let (clock, by) = multiproc::spawn(Clock::run, clock)?.join()?;
    // ANCHOR_END: run
    let elsewhere = by != std::process::id();
    println!("main: {} counted to {}, in another process: {elsewhere}", clock.name, clock.time);
    assert!(elsewhere && clock.time == 3);
    Ok(())
}
