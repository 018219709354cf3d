//! 28.3 · 主线程休眠 · Main sleeps long enough: right by luck, until the work takes longer.
//!
//! Python: main sleeps 6 s for loops that take 5.
//! Rust: the same bet. Three child processes: it goes well; it goes wrong without a word
//! (exit status 0); and with `join` there is nothing to bet on.
//!
//! Run: `cargo run --example 28_3_main_sleeps` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#main-ends` · `notes/zh-CN/02-threads.md#main-ends`
//!
//! ```output
//! work of 1 tick, main sleeps 4:     [..]
//! work of 1000 ticks, main sleeps 4: cut off, and the exit status is 0
//! work of 5 ticks, main joins:       done
//! ```

use std::{env, io, thread};
use util::{tick, timeline};

fn main() -> util::Result<()> {
    util::case!(args);
    let work = args.number("--child", 1..=1000_u32); // what this program is started as below
    let join = args.flag("--join");
    args.finish();
    let _timeline = timeline::start();
    if let Some(work) = work {
        child(work, join);
        return Ok(());
    }
    let lucky = finishes(&["--child", "1"])?;
    println!("work of 1 tick, main sleeps 4:     {}", if lucky { "done" } else { "cut off" });
    assert!(!finishes(&["--child", "1000"])?);
    println!("work of 1000 ticks, main sleeps 4: cut off, and the exit status is 0");
    assert!(finishes(&["--child", "5", "--join"])?);
    println!("work of 5 ticks, main joins:       done");
    Ok(())
}

// ANCHOR: bet
fn child(work: u32, join: bool) {
    let thread = thread::spawn(move || {
        let _span = timeline::span("work");
        tick::sleep(work);
        println!("done");
    });
    let _span = timeline::wait(if join { "join" } else { "sleep" });
    if join {
        thread.join().unwrap();
    } else {
        tick::sleep(4); // it should be enough, shouldn't it?
    }
}
// ANCHOR_END: bet

/// Runs `child` in a process of its own and says whether its work was done.
fn finishes(arguments: &[&str]) -> io::Result<bool> {
    Ok(util::printed_by(arguments)? == "done\n") // it succeeds also when the work is cut off
}
