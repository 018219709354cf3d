//! What one holds that does nothing: a process, a thread, an async task; and a million numbers in a
//! list against an iterator over them. And how long a busy thread's turn is when it shares a
//! processor.
//!
//! Measured in bytes: what this process and its children have written, and what the kernel holds
//! for their stacks, page tables and sockets (`util::held`), before they are there and while they
//! wait. Each round is a process of its own, because what an earlier round freed would hide what
//! this one needs. A turn lasts from one switch that the kernel counts to the next
//! (`multitask::slices`). Left out: the kernel's smaller records, and what they hold when they do
//! something.
//!
//! Not criterion's: it measures times. A word behind it chooses, `--quick` measures fewer rounds,
//! `--test` one.

use benches::results::Record;
use benches::sample::{Sample, Unit};
use multiproc::Queue;
use multitask::{
    cores,
    slices::{Recorder, Slice},
};
use std::{
    hint::black_box,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use util::held::Held;

/// One measurement, in a process of its own.
type Measure = fn(usize) -> f64;

const MILLION: u64 = 1_000_000;

const WAYS: [(&str, Measure, usize); 5] = [
    ("process", process, 20),
    ("thread", thread, 200),
    ("async_task", async_task, 10_000),
    ("list", list, 1),
    ("iterator", iterator, 1),
];

/// What this process and these children hold, the kernel's part with it.
fn held(children: &[u32]) -> f64 {
    Held::by(&[&[std::process::id()], children].concat()).unwrap().all() as f64
}

fn process(count: usize) -> f64 {
    let (ready, end) = (Queue::<()>::unbounded().unwrap(), Queue::<()>::unbounded().unwrap());
    let wait = |(ready, end): (Queue<()>, Queue<()>)| {
        ready.put(&()).unwrap();
        let _ = end.get(); // closed: the end
    };
    let before = held(&[]);
    let start = || multiproc::spawn(wait, (ready.clone(), end.clone())).unwrap();
    let children: Vec<_> = (0..count).map(|_| start()).collect();
    children.iter().for_each(|_| ready.get().unwrap());
    let ids: Vec<u32> = children.iter().map(|child| child.id()).collect();
    let after = held(&ids);
    end.close();
    children.iter().for_each(|child| child.join().unwrap());
    (after - before) / count as f64
}

fn thread(count: usize) -> f64 {
    let (ready, end) = (Barrier::new(count + 1), Barrier::new(count + 1));
    let before = held(&[]);
    thread::scope(|s| {
        for _ in 0..count {
            s.spawn(|| {
                ready.wait();
                end.wait();
            });
        }
        ready.wait();
        let after = held(&[]);
        end.wait();
        (after - before) / count as f64
    })
}

fn async_task(count: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let end = Arc::new(Semaphore::new(0)); // closed: the end, also for a task that comes late
        let mut tasks = Vec::with_capacity(count);
        let before = held(&[]);
        for _ in 0..count {
            let end = end.clone();
            tasks.push(tokio::spawn(async move { end.acquire().await.is_err() }));
        }
        let after = held(&[]);
        end.close();
        for task in tasks {
            assert!(task.await.unwrap());
        }
        (after - before) / count as f64
    })
}

fn list(_: usize) -> f64 {
    let before = held(&[]);
    let numbers: Vec<u64> = black_box((0..MILLION).collect());
    let after = held(&[]);
    assert_eq!(numbers.into_iter().sum::<u64>(), MILLION * (MILLION - 1) / 2);
    after - before
}

fn iterator(_: usize) -> f64 {
    let before = held(&[]);
    let mut numbers = black_box(0..MILLION);
    let first = numbers.next().unwrap();
    let after = held(&[]);
    assert_eq!(first + numbers.sum::<u64>(), MILLION * (MILLION - 1) / 2);
    after - before
}

/// The lengths of the turns, in seconds, of three threads that are busy on one processor, as the
/// kernel counts them.
fn time_slices(duration: Duration) -> Vec<f64> {
    let start = Instant::now();
    let busy = || {
        let mut recorder = Recorder::start().expect("counted on Linux");
        while start.elapsed() < duration {
            recorder.look();
        }
        let mut turns = recorder.finish();
        turns.pop(); // it was not over
        turns
    };
    let three = || -> Vec<Slice> {
        thread::scope(|s| {
            let threads: Vec<_> = (0..3).map(|_| s.spawn(busy)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        })
    };
    let turns = cores::on(&cores::allowed().unwrap()[..1], three).unwrap();
    turns.into_iter().map(|turn| (turn.to - turn.from).as_secs_f64()).collect()
}

fn main() {
    multiproc::init();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let chosen = arguments.iter().find(|a| !a.starts_with('-')).map_or("", String::as_str);
    let rounds = if has("--test") {
        1
    } else if has("--quick") {
        5
    } else {
        11
    };
    let mut record = Record::default();
    for (way, ..) in WAYS {
        let name = format!("memory/{way}");
        if !name.contains(chosen) {
            continue;
        }
        let run = |way: String| {
            let (_, measure, count) = *WAYS.iter().find(|(name, ..)| *name == way).unwrap();
            held(&[]); // warm: what looking takes is there from now on
            measure(count)
        };
        let values: Vec<f64> = (0..rounds)
            .map(|_| multiproc::spawn(run, way.to_string()).unwrap().join().unwrap())
            .collect();
        let sample = Sample { unit: Unit::Bytes, values };
        println!("{name:<24} {:>12.0} bytes", sample.median());
        record.samples.insert(name, sample);
    }
    let name = "scheduler/time_slice";
    if name.contains(chosen) {
        let turns = time_slices(Duration::from_millis(if has("--test") { 60 } else { 1000 }));
        assert!(turns.len() >= 3, "three threads took turns: {turns:?}");
        let sample = Sample::seconds(turns);
        println!("{name:<24} {:>12.2} ms", sample.median() * 1e3);
        record.samples.insert(name.into(), sample);
    }
    if !has("--test") && !record.samples.is_empty() {
        record.write("memory").expect("the target folder can be written");
    }
}
