//! 003 · 单任务 · One task after the other: first sing three times, then dance three times.
//!
//! Python: two functions called in turn.
//! Rust: the same: nobody dances while the song lasts.
//!
//! Run: `cargo run --example 003_single_task` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#one-thread` · `notes/zh-CN/02-threads.md#one-thread`
//!
//! ```output
//! singing 1
//! singing 2
//! singing 3
//! dancing 1
//! dancing 2
//! dancing 3
//! 6 steps, [..] ticks
//! ```

use util::{tick, timeline};

fn main() {
    util::case!();
    let _timeline = timeline::start();
    let started = tick::elapsed();
    let mut steps = Vec::new();
    perform("singing", &mut steps);
    perform("dancing", &mut steps);
    println!("6 steps, {:.1} ticks", tick::elapsed() - started);
    assert_eq!(steps, ["singing", "singing", "singing", "dancing", "dancing", "dancing"]);
}

fn perform(what: &'static str, steps: &mut Vec<&str>) {
    for number in 1..=3 {
        let _span = timeline::span(format_args!("{what} {number}"));
        println!("{what} {number}");
        steps.push(what);
        tick::sleep(1);
    }
}
