//! How much faster than Python's `multiprocessing`, and than `ipc-channel`: processes, queues and
//! pools, as ratios. And than greenlet and gevent: switching between coroutines, and between tasks.
//!
//! Run by `scripts/compare-python`; a word behind it chooses the rows whose names contain it.
//!
//! The sides are measured in turns, because a machine's speed drifts from minute to minute, and the
//! best of each side's turns counts. Python's side is one small program a row, in
//! `scripts/compare-python.d`. Left out: starting what is measured, except where that is the row.
//! What arrives is asserted on every side.

use corosensei::{Coroutine, Yielder};
use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};
use multiproc::{Child, Pool, Queue, pipe, ring, spawn};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Seconds for one, measured with so many.
type Measure = fn(usize) -> f64;

/// One comparison.
struct Row {
    name: &'static str,
    script: &'static str,
    /// How many, so that a turn takes about a second.
    count: usize,
    /// What Python's program is told: how many, or how large an item is.
    python_argument: usize,
    ours: Measure,
    ipc: Option<Measure>,
    /// The ratios that are promised, to Python and to `ipc-channel`.
    floors: (f64, Option<f64>),
}

impl Row {
    const fn new(
        name: &'static str,
        script: &'static str,
        counts: (usize, usize),
        ours: Measure,
        floor: f64,
    ) -> Row {
        Row {
            name,
            script,
            count: counts.0,
            python_argument: counts.1,
            ours,
            ipc: None,
            floors: (floor, None),
        }
    }

    const fn beside(self, ipc: Measure, floor: f64) -> Row {
        Row { ipc: Some(ipc), floors: (self.floors.0, Some(floor)), ..self }
    }
}

const ROWS: [Row; 11] = [
    Row::new("start and join a process", "process_start_join.py", (300, 10), start_and_join, 15.0),
    Row::new("queue, small integers", "queue_int.py", (2_000_000, 0), queue::<u64>, 25.0)
        .beside(ipc::<u64>, 20.0),
    Row::new("queue, 64 bytes", "queue_bytes.py", (2_000_000, 64), queue::<Text<64>>, 50.0)
        .beside(ipc::<Text<64>>, 20.0),
    Row::new("queue, 1 MiB", "queue_bytes.py", (3000, MIB), queue::<Text<MIB>>, 4.0)
        .beside(ipc::<Text<MIB>>, 1.0),
    Row::new("queue, two and two", "queue_two.py", (1_000_000, 0), queue_two, 15.0),
    Row::new(
        "pool, map one task a message",
        "pool_map_single.py",
        (500_000, 20_000),
        map_single,
        15.0,
    ),
    Row::new(
        "pool, map in chunks",
        "pool_map_chunked.py",
        (10_000_000, 1_000_000),
        map_chunked,
        15.0,
    ),
    Row::new("pool, one round trip", "pool_apply.py", (5_000, 3_000), apply, 1.0),
    Row::new(
        "queue handed to pool workers",
        "pool_queue.py",
        (1_000_000, 10_000),
        queue_to_workers,
        100.0,
    ),
    Row::new(
        "coroutine, resume and yield",
        "greenlet_switch.py",
        (100_000_000, 1_000_000),
        resume_and_yield,
        30.0,
    ),
    Row::new(
        "task, yield among 1,000",
        "gevent_yield.py",
        (20_000_000, 500_000),
        yield_among_tasks,
        15.0,
    ),
];

/// Turns of each side.
const TURNS: usize = 5;
const MIB: usize = 1 << 20;

/// What goes through a queue.
trait Item: Serialize + DeserializeOwned + Send + 'static {
    fn new() -> Self;
    fn check(&self);
    /// The queue's capacity: about as many bytes for large items as for small ones.
    const CAPACITY: usize;
}

impl Item for u64 {
    const CAPACITY: usize = 1000;

    fn new() -> u64 {
        42
    }

    fn check(&self) {
        assert_eq!(*self, 42);
    }
}

/// Both libraries copy text in one piece.
#[derive(Serialize, serde::Deserialize)]
#[serde(transparent)]
struct Text<const N: usize>(String);

impl<const N: usize> Item for Text<N> {
    const CAPACITY: usize = if N < MIB { 1000 } else { 4 };

    fn new() -> Self {
        Text("x".repeat(N))
    }

    fn check(&self) {
        assert_eq!(self.0.len(), N);
    }
}

fn seconds_for_one(count: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() / count as f64
}

fn start_and_join(count: usize) -> f64 {
    seconds_for_one(count, || {
        for n in 0..count {
            assert_eq!(spawn(increment, n).expect("a process").join(), Ok(n + 1));
        }
    })
}

/// One puts, one gets, from the first item on.
fn receive<I: Item>(
    count: usize,
    sender: Result<Child<()>, multiproc::SpawnError>,
    mut next: impl FnMut() -> I,
) -> f64 {
    next().check();
    let time = seconds_for_one(count, || (0..count).for_each(|_| next().check()));
    sender.expect("a process").join().expect("all were sent");
    time
}

fn queue<I: Item>(count: usize) -> f64 {
    let queue = Queue::<I>::bounded(I::CAPACITY).expect("a queue");
    let put = |(queue, count): (Queue<I>, usize)| {
        let item = I::new();
        (0..=count).for_each(|_| queue.put(&item).expect("room"));
    };
    receive(count, spawn(put, (queue.clone(), count)), || queue.get().expect("an item"))
}

fn ipc<I: Item>(count: usize) -> f64 {
    let count = count / 5; // it takes that much longer
    let (server, name) = IpcOneShotServer::<IpcReceiver<I>>::new().expect("a server");
    let send = |(name, count): (String, usize)| {
        let (sender, receiver) = ipc::channel::<I>().expect("a channel");
        IpcSender::connect(name).expect("a server").send(receiver).expect("a receiver");
        (0..=count).for_each(|_| sender.send(I::new()).expect("room"));
    };
    let sender = spawn(send, (name, count));
    let (_, receiver) = server.accept().expect("a sender");
    receive(count, sender, || receiver.recv().expect("an item"))
}

/// Two put, two get; from the moment all four are ready until both getters are done.
fn queue_two(count: usize) -> f64 {
    type Ends = (Queue<u64>, Queue<()>, Queue<()>, usize);
    let queue = Queue::bounded(1000).expect("a queue");
    let (ready, go) = (Queue::unbounded().expect("a queue"), Queue::unbounded().expect("a queue"));
    let put = |(queue, ready, go, count): Ends| {
        ready.put(&()).expect("room");
        let _ = go.get(); // closed: go
        (0..count as u64).for_each(|n| queue.put(&n).expect("room"));
        0
    };
    let get = |(queue, ready, go, count): Ends| {
        ready.put(&()).expect("room");
        let _ = go.get();
        (0..count).map(|_| queue.get().expect("an item")).sum::<u64>()
    };
    let ends = || (queue.clone(), ready.clone(), go.clone(), count);
    let putters = [(); 2].map(|()| spawn(put, ends()).expect("a process"));
    let getters = [(); 2].map(|()| spawn(get, ends()).expect("a process"));
    (0..4).for_each(|_| ready.get().expect("an item"));
    let time = seconds_for_one(2 * count, || {
        go.close();
        let total: u64 = getters.iter().map(|getter| getter.join().expect("its half")).sum();
        assert_eq!(total, (count * (count - 1)) as u64);
    });
    putters.iter().for_each(|putter| assert_eq!(putter.join(), Ok(0)));
    time
}

fn increment(n: usize) -> usize {
    n + 1
}

fn nothing(_: u32) {}

fn pool() -> Pool {
    let pool = Pool::builder().workers(2).build().expect("a pool of two");
    // The workers are ready, and their pages touched.
    pool.map(nothing, 0..100).expect("tasks that do nothing");
    pool
}

fn map_single(count: usize) -> f64 {
    let pool = pool();
    seconds_for_one(count, || {
        let results = pool.options().chunk(1).map(nothing, 0..count as u32);
        assert_eq!(results.expect("results").len(), count);
    })
}

fn map_chunked(count: usize) -> f64 {
    let pool = pool();
    seconds_for_one(count, || {
        assert_eq!(pool.map(nothing, 0..count as u32).expect("results").len(), count);
    })
}

fn apply(count: usize) -> f64 {
    let pool = pool();
    seconds_for_one(count, || {
        (0..count).for_each(|n| assert_eq!(pool.apply(increment, n), Ok(n + 1)));
    })
}

fn queue_to_workers(count: usize) -> f64 {
    let pool = pool();
    let queue = Queue::unbounded().expect("shared memory");
    let put =
        |(queue, count): (Queue<u64>, u64)| (0..count).for_each(|n| queue.put(&n).expect("room"));
    let half = count as u64 / 2;
    seconds_for_one(count, || {
        let putters =
            [(); 2].map(|()| pool.apply_async(put, (queue.clone(), half)).expect("a task"));
        let total: u64 = (0..half * 2).map(|_| queue.get().expect("an item")).sum();
        putters.into_iter().for_each(|putter| putter.get().expect("all were put"));
        assert_eq!(total, half * (half - 1));
    })
}

/// A stack of its own, there and back.
fn resume_and_yield(count: usize) -> f64 {
    let mut coroutine = Coroutine::new(|yielder: &Yielder<(), usize>, ()| {
        for turn in 1.. {
            yielder.suspend(turn);
        }
    });
    let mut turns = 0;
    let time = seconds_for_one(count, || {
        (0..count).for_each(|_| turns = coroutine.resume(()).as_yield().expect("it has no end"));
    });
    assert_eq!(turns, count);
    time
}

/// A thousand of `tokio`'s tasks on one thread that give way to each other.
fn yield_among_tasks(count: usize) -> f64 {
    const TASKS: usize = 1000;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let rounds = count / TASKS;
    seconds_for_one(rounds * TASKS, || {
        let turns = runtime.block_on(async {
            let task = || async move {
                for _ in 0..rounds {
                    tokio::task::yield_now().await;
                }
                rounds
            };
            let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(task())).collect();
            let mut turns = 0;
            for task in tasks {
                turns += task.await.expect("it ends");
            }
            turns
        });
        assert_eq!(turns, rounds * TASKS);
    })
}

/// What a queue can at best come near to: bytes from one process to one other, without a lock.
fn ring_bytes(count: usize) -> f64 {
    let (sender, mut receiver) = ring::create(1 << 16).expect("a ring");
    let send = |(mut sender, count): (ring::Sender, usize)| {
        (0..=count as u64).for_each(|_| sender.send(&42_u64.to_le_bytes(), None).expect("room"));
    };
    receive(count, spawn(send, (sender, count)), || {
        u64::from_le_bytes(receiver.recv(None).expect("an item").try_into().expect("eight bytes"))
    })
}

/// The pipe, for scale: a system call a message on each side.
fn pipe_messages(count: usize) -> f64 {
    let (sender, receiver) = pipe::simplex::<u64>().expect("a pipe");
    let send = |(sender, count): (pipe::Sender<u64>, usize)| {
        (0..=count).for_each(|_| sender.send(&42).expect("room"));
    };
    receive(count, spawn(send, (sender, count)), || receiver.recv().expect("an item"))
}

/// The exit status of a program of Python's side that misses a package.
const NOT_INSTALLED: i32 = 3;

/// Seconds for one on Python's side; `None` if there is no Python, or not the package it takes.
fn python(row: &Row) -> Option<f64> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/compare-python.d");
    let mut command = Command::new("python3");
    let output =
        command.arg(folder.join(row.script)).arg(row.python_argument.to_string()).output().ok()?;
    if output.status.code() == Some(NOT_INSTALLED) {
        return None;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", row.script);
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// The best of each side's turns: ours, Python's, `ipc-channel`'s.
fn compare(row: &Row, turns: usize, count: usize) -> (f64, Option<f64>, Option<f64>) {
    let (mut ours, mut python_best, mut ipc_best) = (f64::INFINITY, None, None);
    let better =
        |best: &mut Option<f64>, time: f64| *best = Some(best.map_or(time, |best| best.min(time)));
    for _ in 0..turns {
        if let Some(time) = python(row) {
            better(&mut python_best, time);
        }
        ours = ours.min((row.ours)(count));
        if let Some(ipc) = row.ipc {
            better(&mut ipc_best, ipc(count));
        }
    }
    (ours, python_best, ipc_best)
}

/// Processor time, in seconds, of a process so far.
fn processor_time(id: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("a living process");
    let after_name = text.rsplit_once(')').expect("a name in parentheses").1;
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}

fn idle_pool() {
    let pool = pool();
    thread::sleep(Duration::from_millis(200));
    let ids = || pool.worker_ids().into_iter().chain([std::process::id()]);
    let before: f64 = ids().map(processor_time).sum();
    thread::sleep(Duration::from_secs(10));
    let used = ids().map(processor_time).sum::<f64>() - before;
    println!("idle pool of 2 workers: {used:.2} CPU-seconds in 10 s (promised: 0.0)");
}

fn main() {
    multiproc::init();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    // As other benchmarks have it: `cargo bench -- --test` runs each once, and only looks whether
    // it is right.
    if arguments.iter().any(|argument| argument == "--test") {
        ROWS.iter().for_each(|row| _ = compare(row, 1, 2_000.min(row.count)));
        return;
    }
    let chosen =
        arguments.iter().find(|argument| !argument.starts_with('-')).cloned().unwrap_or_default();
    let has_python = Command::new("python3").arg("--version").output().is_ok();
    if !has_python {
        println!("python3 is not here: its columns stay empty");
    }
    println!(
        "{:<30} {:>10}  {:>24}  {:>24}",
        "", "here", "times Python (promised)", "times ipc-channel"
    );
    let ratio = |ours: f64, other: Option<f64>, floor: Option<f64>| match (other, floor) {
        (Some(other), Some(floor)) => format!("{:.1} ({floor})", other / ours),
        _ => "-".into(),
    };
    for row in ROWS.iter().filter(|row| row.name.contains(&chosen)) {
        let (ours, python, ipc) = compare(row, TURNS, row.count);
        let (to_python, to_ipc) =
            (ratio(ours, python, Some(row.floors.0)), ratio(ours, ipc, row.floors.1));
        println!("{:<30} {:>7.3} µs  {to_python:>24}  {to_ipc:>24}", row.name, ours * 1e6);
        if has_python && python.is_none() {
            println!("    NOT COMPARED: {} needs a package that python3 lacks", row.script);
        }
    }
    for (name, measure, count) in [
        ("ring, 8 bytes", ring_bytes as Measure, 4_000_000),
        ("pipe, integers", pipe_messages, 300_000),
    ] {
        if name.contains(&chosen) {
            let best = (0..TURNS).map(|_| measure(count)).fold(f64::INFINITY, f64::min);
            println!("{name:<30} {:>7.3} µs", best * 1e6);
        }
    }
    if "idle pool".contains(&chosen) {
        idle_pool();
    }
}
