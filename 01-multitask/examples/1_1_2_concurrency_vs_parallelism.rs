//! 1.1.2 · 并发与并行 · Concurrency against parallelism: how many are under way, and how many run at this instant.
//!
//! Python: concurrent is more tasks than cores, interleaved; parallel is several at the same
//! instant.
//! Rust: both are counted, for the same tasks on one core and on all. All are in progress the whole
//! time; on one core one of them runs, on `n` cores up to `n` do. The CPU time stays roughly the
//! same; parallelism saves wall-clock time.
//!
//! Run: `cargo run --example 1_1_2_concurrency_vs_parallelism`, with `--release` for figures that
//! count (a picture: `TIMELINE=x.svg` before it)
//! Notes: `notes/en/01-multitask.md#concurrency` · `notes/zh-CN/01-multitask.md#concurrency`
//!
//! ```output
//! build: [..]
//! tasks  cores  under way  running [..] wall [..] CPU  CPU / wall
//! 1 [..] 1 [..] 1 [..] 1 [..]
//! 1 [..] 1 [..] 1 [..]
//! [..] 1 [..] 1 [..]
//! [..]
//! [..] 1 [..] 1 [..]
//! [..]
//! [..]
//! ```

use multitask::{
    cores,
    slices::{Recorder, Slice, most_at_once},
};
use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};
use util::{
    measure::{self, Table},
    timeline,
    work::count_primes,
};

fn main() -> util::Result<()> {
    util::case!();
    if measure::thread_switches().is_none() {
        util::needs_linux("only its kernel reports how often it switches away from a thread");
        return Ok(());
    }
    println!("build: {}", multitask::build());
    let all = cores::allowed()?;
    let few = &all[..1];
    let pieces = multitask::amount(24_000) / all.len() as u32;
    let head = ["tasks", "cores", "under way", "running", "wall", "CPU", "CPU / wall"];
    let mut table = Table::new(head);
    let mut gain = 1.0;
    for tasks in [1, all.len(), 4 * all.len()] {
        let counted = [few, &all].map(|cores| (cores.len(), Cell::new((0, 0))));
        // ANCHOR: same
        let run = |cores: &[usize], counted: &Cell<(usize, usize)>| {
            let done = cores::on(cores, || run(tasks, pieces)).unwrap();
            counted.set(count(&done));
            done.iter().map(|task| task.primes).sum::<usize>()
        };
        let ways: [&dyn Fn() -> usize; 2] =
            [&|| run(few, &counted[0].1), &|| run(&all, &counted[1].1)];
        let (_primes, costs) = measure::in_turns(Duration::ZERO, ways);
        // ANCHOR_END: same
        for ((cores, counted), cost) in counted.iter().zip(costs) {
            let (under_way, running) = counted.get();
            assert_eq!(under_way, tasks, "all have begun before the first is done");
            assert!(running <= tasks.min(*cores));
            let ratio = cost.cpu.as_secs_f64() / cost.wall.as_secs_f64();
            let [tasks, cores, under_way, running] =
                [tasks, *cores, under_way, running].map(|n| n.to_string());
            let [wall, cpu] = [cost.wall, cost.cpu].map(|time| format!("{time:.1?}"));
            table.row([tasks, cores, under_way, running, wall, cpu, format!("{ratio:.2}")]);
        }
        gain = costs[0].wall.as_secs_f64() / costs[1].wall.as_secs_f64();
    }
    println!("{table}");
    match all.len() {
        1 => println!("one core: all of this is concurrent, and nothing can be parallel"),
        n => println!("{} tasks: {gain:.2} times as fast on {n} cores as on one", 4 * n),
    }

    let _timeline = timeline::start(); // of this last run only
    for (name, cores) in [("on one core", few), ("on all cores", &all)] {
        let _span = timeline::span(name);
        for (n, task) in cores::on(cores, || run(2 * all.len(), pieces))?.iter().enumerate() {
            let row = timeline::row(format_args!("task {}", n + 1));
            task.slices.iter().for_each(|slice| row.ran("", slice.from, slice.to));
        }
    }
    Ok(())
}

struct Done {
    primes: usize,
    whole: Slice,
    slices: Vec<Slice>,
}

/// How many were under way at one instant, and how many ran; at the most.
fn count(done: &[Done]) -> (usize, usize) {
    let running = most_at_once(done.iter().flat_map(|task| &task.slices));
    (most_at_once(done.iter().map(|task| &task.whole)), running)
}

/// `tasks` threads with the same work each.
fn run(tasks: usize, pieces: u32) -> Vec<Done> {
    let begun = AtomicUsize::new(0);
    let task = || {
        let from = Instant::now();
        begun.fetch_add(1, SeqCst);
        while begun.load(SeqCst) < tasks {
            thread::yield_now(); // all begin; one that slept for it might wake up on another core
        }
        let mut recorder = Recorder::start().expect("counted here");
        let piece = |_| {
            let primes = count_primes(0..300);
            recorder.look();
            primes
        };
        let primes = (0..pieces).map(piece).sum();
        Done { primes, whole: Slice { from, to: Instant::now() }, slices: recorder.finish() }
    };
    thread::scope(|s| {
        let threads: Vec<_> = (0..tasks).map(|_| s.spawn(task)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
