//! 1.1.1 · 时间片 · Time slicing: one core runs three busy threads, one slice after the other.
//!
//! Python: in words: task 1 for 10 ms, then task 2 for 10 ms, so fast that it looks as if all ran
//! at once.
//! Rust: the slices themselves. Each thread records when it ran; on one core no two slices overlap,
//! and everybody gets on. Then the same on all cores: as many run at once as there are cores, and
//! no more.
//!
//! Run: `cargo run --example 1_1_1_time_slicing` (a picture: `TIMELINE=1` before it, or
//! `TIMELINE=x.html` to look closer)
//! Notes: `notes/en/01-multitask.md#time-slicing` · `notes/zh-CN/01-multitask.md#time-slicing`
//!
//! ```output
//! on core [..] alone:
//!   busy 1: [..] slices, [..] on average, [..] pieces of work
//!   busy 2: [..] slices, [..] on average, [..] pieces of work
//!   busy 3: [..] slices, [..] on average, [..] pieces of work
//!   switches: [..] voluntary, [..] involuntary
//!   at most 1 at once
//! on all [..]:
//!   busy 1: [..] slices, [..] on average, [..] pieces of work
//!   busy 2: [..] slices, [..] on average, [..] pieces of work
//!   busy 3: [..] slices, [..] on average, [..] pieces of work
//!   switches: [..] voluntary, [..] involuntary
//!   at most [..] at once[..]
//! ```

use multitask::{
    cores,
    slices::{Recorder, Slice, most_at_once},
};
use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};
use util::{
    measure::{self, Switches},
    tick, timeline,
    work::count_primes,
};

const THREADS: usize = 3;

fn main() -> util::Result<()> {
    util::case!();
    if measure::thread_switches().is_none() {
        util::needs_linux("only its kernel reports how often it switches away from a thread");
        return Ok(());
    }
    let _timeline = timeline::start();
    let all = cores::allowed()?;

    println!("on core {} alone:", all[0]);
    // Until each has had three turns, so until the kernel has taken the core from each.
    let at_once = cores::on(&all[..1], || run("on one core", 3))?;
    println!("  at most {at_once} at once");
    assert_eq!(at_once, 1);

    println!("on all {}:", all.len());
    let at_once = run("on all cores", 1);
    let remark = match (all.len(), at_once) {
        (1, _) => ": there is one core, so this machine has no more to show",
        (_, 1) => ": the other cores were busy with something else; try again",
        _ => "",
    };
    println!("  at most {at_once} at once{remark}");
    assert!(at_once <= all.len());
    Ok(())
}

/// Three busy threads, for a tick and until each has had its `turns`. How many of them ran at one
/// instant?
fn run(name: &str, turns: usize) -> usize {
    let _span = timeline::span(name);
    let waiting = AtomicUsize::new(THREADS);
    let (busy, cost) = measure::cost(|| {
        thread::scope(|s| {
            let waiting = &waiting;
            let threads = [1, 2, 3].map(|n| s.spawn(move || be_busy(n, turns, waiting)));
            threads.map(|thread| thread.join().unwrap())
        })
    });
    for (n, (pieces, slices)) in busy.iter().enumerate() {
        let sum: Duration = slices.iter().map(|slice| slice.to - slice.from).sum();
        let (count, average) = (slices.len(), sum / slices.len() as u32);
        println!(
            "  busy {}: {count} slices, {average:.1?} on average, {pieces} pieces of work",
            n + 1
        );
        assert!(count >= turns);
    }
    let Switches { voluntary, involuntary } = cost.switches.expect("they are reported");
    println!("  switches: {voluntary} voluntary, {involuntary} involuntary");
    let slices: Vec<Slice> = busy.into_iter().flat_map(|(_, slices)| slices).collect();
    // Every slice but a thread's last was ended by a switch, so the kernel has counted at least
    // those.
    assert!((slices.len() - THREADS) as u64 <= voluntary + involuntary);
    most_at_once(&slices)
}

// ANCHOR: busy
/// The pieces of work done, and the slices in which they were. `waiting` is how many have not had
/// their turns yet.
fn be_busy(n: u32, turns: usize, waiting: &AtomicUsize) -> (u32, Vec<Slice>) {
    let row = timeline::row(format_args!("busy {n}"));
    let end = Instant::now() + tick::length();
    let (mut recorder, mut pieces, mut satisfied) =
        (Recorder::start().expect("counted here"), 0, false);
    while Instant::now() < end || waiting.load(SeqCst) > 0 {
        count_primes(0..300); // some microseconds
        recorder.look(); // has the kernel switched to another thread meanwhile?
        pieces += 1;
        if !satisfied && recorder.count() >= turns {
            satisfied = true;
            waiting.fetch_sub(1, SeqCst);
        }
    }
    let slices = recorder.finish();
    slices.iter().for_each(|slice| row.ran(n, slice.from, slice.to));
    (pieces, slices)
}
// ANCHOR_END: busy
