//! 1.1.7 · 任务的代价 · The cost of a task: what a process, a thread and an async task take to start, to keep and to switch.
//!
//! Python: a process costs more than a thread, a thread more than a coroutine, by far.
//! Rust: the same, measured: 1,000 tasks, 1,000 threads and a tenth as many processes (fewer with a
//! tick under 100 ms), all figures for one. Memory is what they have written and what the kernel
//! holds: page tables, a stack for each thread, sockets.
//!
//! Run: `cargo run --example 1_1_7_cost_of_a_task`, with `--release` for figures that count
//! Notes: `notes/en/01-multitask.md#cost` · `notes/zh-CN/01-multitask.md#cost`
//!
//! ```output
//! build: [..]
//! ...
//! one of  [..] create and finish [..] memory [..] page tables [..] stack [..] sockets [..] ratio
//! async task  [..]
//! thread  [..]
//! process  [..]
//!
//! one switch  [..] time [..] ratio
//! tasks, by yield  [..] 1.0
//! threads, spinning  [..]
//! threads, condvar, one core  [..]
//! threads, condvar  [..]
//! processes, pipe, one core  [..]
//! processes, pipe  [..]
//! ```

mod common;
mod hold;

use common::{LIMIT, on_one_thread};
use multiproc::pipe;
use multitask::{cores, switches};
use std::{
    process, thread,
    time::{Duration, Instant},
};
use tokio::task::yield_now;
use util::{
    eprintln,
    measure::{self, Table},
    tick,
};

/// Its name, how to create and finish so many, how to hold so many at once.
type Kind = (&'static str, fn(u32), hold::Hold);

const KINDS: [Kind; 3] = [
    ("async task", create_tasks, hold::tasks),
    ("thread", create_threads, hold::threads),
    ("process", create_processes, hold::processes),
];

fn main() -> util::Result<()> {
    util::case!("main.rs");
    multiproc::init();
    thread::spawn(|| {
        thread::sleep(LIMIT);
        eprintln!("error: not over after {LIMIT:?}");
        process::exit(1); // which ends its child processes as well
    });
    println!("build: {}", multitask::build());
    let processes = (tick::length().as_millis() as u32).clamp(10, 100);
    let mut table = Table::new([
        "one of",
        "held at once",
        "create and finish",
        "ratio",
        "memory",
        "page tables",
        "stack",
        "sockets",
        "all",
        "ratio",
    ]);
    let (mut first, mut least) = (None, 0.0);
    for (kind, count) in [10 * processes, 10 * processes, processes].into_iter().enumerate() {
        let (name, create, _) = KINDS[kind];
        let (_, [cost]) = measure::in_turns(Duration::ZERO, [&|| create(count)]);
        let time = cost.wall.as_secs_f64() * 1e6 / f64::from(count);
        // In a fresh process: memory that was freed before would hide what is taken.
        let hold = |(kind, count): (usize, u32)| KINDS[kind].2(count);
        let mut tries = 0;
        let (had, one) = loop {
            let (had, bytes) = multiproc::spawn(hold, (kind, count))?.join_timeout(LIMIT)?;
            if had == 0 {
                Err(format!("not one {name} could be had (see `ulimit -a`)"))?;
            }
            // the last is the sum
            let one = bytes.map(|bytes| bytes as f64 / 1024.0 / f64::from(had));
            if one[4] > least {
                break (had, one);
            }
            // The kernel counts memory in batches, so a reading can be too low.
            tries += 1;
            assert!(tries < 5, "{name}: {one:?} KiB each, and more than {least} expected");
        };
        if had < count {
            println!("only {had} of {count} could be had (a limit, see `ulimit -u`): {name}");
        }
        least = one[4];
        let (first_time, first_sum) = *first.get_or_insert((time, one[4]));
        let [user, page_tables, stack, sockets, sum] = one.map(|each| format!("{each:.2} KiB"));
        table.row([
            name.into(),
            had.to_string(),
            format!("{time:.2} µs"),
            format!("{:.1}", time / first_time),
            user,
            page_tables,
            stack,
            sockets,
            sum,
            format!("{:.1}", one[4] / first_sum),
        ]);
    }
    println!("{table}\n");

    let all = cores::allowed()?;
    let one = &all[..1];
    let count = multitask::amount(160_000).clamp(2, 10_000);
    let turns = u64::from(count);
    let times = [
        ("tasks, by yield", yielding(count)),
        ("threads, spinning", switches::by_spinning(turns)),
        ("threads, condvar, one core", cores::on(one, || switches::by_condition(turns))?),
        ("threads, condvar", switches::by_condition(turns)),
        ("processes, pipe, one core", cores::on(one, || piped(count, one))?),
        ("processes, pipe", piped(count, &all)),
    ];
    let mut table = Table::new(["one switch", "time", "ratio"]);
    for (name, time) in times {
        let one = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(count);
        let ratio = one(time) / one(times[0].1);
        table.row([name.into(), format!("{:.0} ns", one(time)), format!("{ratio:.1}")]);
    }
    println!("{table}");
    Ok(())
}

fn create_tasks(count: u32) {
    on_one_thread(async {
        for _ in 0..count {
            tokio::spawn(async {}).await.unwrap();
        }
    });
}

fn create_threads(count: u32) {
    (0..count).for_each(|_| thread::spawn(|| ()).join().unwrap());
}

fn create_processes(count: u32) {
    (0..count).for_each(|_| multiproc::spawn(|()| (), ()).unwrap().join_timeout(LIMIT).unwrap());
}

/// `count` turns of two tasks on one thread.
fn yielding(count: u32) -> Duration {
    on_one_thread(async {
        let started = Instant::now();
        let turns = || async move {
            for _ in 0..count / 2 {
                yield_now().await;
            }
        };
        let two = [tokio::spawn(turns()), tokio::spawn(turns())];
        for task in two {
            task.await.unwrap();
        }
        started.elapsed()
    })
}

/// `count` messages there and back between two processes. A process does not begin with the cores
/// of the thread that starts it: it is told them.
fn piped(count: u32, on_cores: &[usize]) -> Duration {
    let (here, there) = pipe::duplex::<u32, u32>().unwrap();
    let child = multiproc::spawn(echo, (there, count / 2, on_cores.to_vec())).unwrap();
    let answer = || here.recv_timeout(LIMIT).unwrap();
    assert_eq!(answer() as usize, on_cores.len(), "it is there, on these cores");
    let started = Instant::now();
    for n in 0..count / 2 {
        here.send(&n).unwrap();
        assert_eq!(answer(), n);
    }
    let time = started.elapsed();
    child.join_timeout(LIMIT).unwrap();
    time
}

fn echo((there, pairs, on_cores): (pipe::Duplex<u32, u32>, u32, Vec<usize>)) {
    let work = || {
        there.send(&(cores::allowed().unwrap().len() as u32)).unwrap();
        (0..pairs).for_each(|_| there.send(&there.recv_timeout(LIMIT).unwrap()).unwrap());
    };
    cores::on(&on_cores, work).unwrap();
}
