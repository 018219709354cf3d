//! 28.4 · 主线程死循环等待 · Main waits forever: parked, not spinning.
//!
//! Python: `while True: pass` in main keeps the program alive, and one core busy.
//! Rust: `thread::park` sleeps until somebody unparks it, and costs nothing. Ctrl-C ends the
//! program, or `--for N` ticks: 5 unless told otherwise.
//!
//! Run: `cargo run --example 28_4_main_waits_forever -- --for 50` (a picture: `TIMELINE=1` before
//! it)
//! Notes: `notes/en/02-threads.md#main-ends` · `notes/zh-CN/02-threads.md#main-ends`
//!
//! ```output
//! main waits
//! ...
//! main waited [..] ticks, and used [..] of CPU time
//! ```

use std::{io, mem, sync::mpsc, thread, time::Instant};
use util::{args::Args, measure, tick, timeline};

const HELP: &str = "\
Two loops that never end, and a main that waits for them.

Usage: 28_4_main_waits_forever [--for N]

  --for N  end after N ticks, 0 to 1000000 [default: 5]; Ctrl-C ends it as well";

fn main() {
    let _output = util::output::start();
    let mut args = Args::new(HELP);
    let ticks = args.number("--for", 0..=1_000_000_u32).unwrap_or(5);
    args.finish();
    let _timeline = timeline::start();

    println!("main waits");
    let (alive, heard) = mpsc::channel();
    for (name, period) in [("loop 1", 1), ("loop 2", 2)] {
        let alive = alive.clone();
        thread::spawn(move || {
            for round in 1.. {
                let _span = timeline::span(format_args!("{name}, {round}"));
                println!("{name}: round {round}");
                let _ = alive.send(name);
                tick::sleep(period);
            }
        });
    }

    let started = tick::elapsed();
    let ((), cost) = measure::cost(|| wait(ticks));
    let waited = tick::elapsed() - started;
    assert!(heard.recv().is_ok(), "the loops did run");
    mem::forget(io::stdout().lock()); // never given back: the loops print no line after this one
    println!("main waited {waited:.1} ticks, and used {:?} of CPU time", cost.cpu);
    assert!(cost.wall >= tick::ticks(ticks));
} // both loops are cut off here

// ANCHOR: park
fn wait(ticks: u32) {
    let _span = timeline::wait("parked");
    let until = Instant::now() + tick::ticks(ticks);
    // `park` may return for no reason: whoever parks looks again.
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        thread::park_timeout(left); // for ever would be `thread::park()`
    }
}
// ANCHOR_END: park
