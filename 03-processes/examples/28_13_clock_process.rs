//! 28.13 · 时钟进程 · A clock in a child: it ticks while the parent goes on, and ends when the parent does.
//!
//! Python: `Process(target=clock)`; a parent killed by SIGKILL leaves the clock ticking, an orphan.
//! Rust: a child ends with its parent, however the parent ended. Here a middle process starts the
//! clock and is then killed by SIGKILL: the clock is gone a moment later.
//!
//! Run: `cargo run --example 28_13_clock_process` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#die-with-parent` · `notes/zh-CN/03-processes.md#die-with-parent`
//!
//! ```output
//! the clock has ticked 3 times
//! its parent is killed
//! the clock is gone: true
//! ```

use multiproc::pipe::{self, RecvError, Sender};
use util::{tick, timeline};

fn clock(ticks: Sender<u32>) {
    for time in 1.. {
        let _span = timeline::span(time);
        tick::sleep(0.5);
        ticks.send(&time).unwrap();
    }
}

/// Starts the clock and then has other things to do.
fn parent(ticks: Sender<u32>) {
    let _clock = multiproc::Builder::new(clock).name("clock").spawn(ticks).unwrap();
    let _span = timeline::span("other things");
    tick::sleep(10_000);
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    let (sender, ticks) = pipe::simplex()?;
    let middle = multiproc::Builder::new(parent).name("parent").spawn(sender)?;
    for time in 1..=3 {
        assert_eq!(ticks.recv()?, time);
    }
    println!("the clock has ticked 3 times");

    // ANCHOR: kill
    println!("its parent is killed");
    middle.kill()?;
    let _ = middle.join();
    // Nobody but the clock has the other end of the pipe: the end of the file comes when it is
    // gone.
    let end = loop {
        match ticks.recv() {
            Ok(_) => {} // it ticked until now
            Err(end) => break end,
        }
    };
    // ANCHOR_END: kill
    let gone = matches!(end, RecvError::Closed);
    println!("the clock is gone: {gone}");
    assert!(gone);
    Ok(())
}
