//! 1.1.7 · 任务的代价 · The cost of a task: what a process, a thread and an async task take to start, to keep and to switch.
//!
//! Python: a process costs more than a thread, a thread more than a coroutine, by far.
//! Rust: the same, measured: 1,000 tasks, 1,000 threads and a tenth as many processes (fewer with a tick under 100 ms), all figures for one. Memory is
//! the proportional set size and what the kernel holds: page tables, and a kernel stack of 16 KiB a thread (x86-64 and arm64).
//!
//! Run: `cargo run --example 1_1_7_cost_of_a_task`, with `--release` for figures that count
//! Notes: `notes/en/01-multitask.md#cost` · `notes/zh-CN/01-multitask.md#cost`
//!
//! ```output
//! build: [..]
//! ...
//! one of  [..] create and finish [..] memory [..] kernel [..] ratio
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

use multitask::cores;
use processes::{Queue, pipe};
use std::{
    error::Error,
    fs, hint, process,
    sync::{
        Condvar, Mutex, RwLock,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime, sync::Semaphore, task::yield_now};
use util::{
    measure::{self, Table},
    tick,
};

const KERNEL_STACK: u64 = 16 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    processes::init();
    println!("build: {}", multitask::build());
    let processes = (tick::length().as_millis() as u32).clamp(10, 100);
    let counts = [10 * processes, 10 * processes, processes];

    let names = ["async task", "thread", "process"];
    let create: [fn(u32); 3] = [create_tasks, create_threads, create_processes];
    let (mut times, mut memory) = (vec![], vec![]);
    for n in 0..3 {
        let (_, [cost]) = measure::in_turns(Duration::ZERO, [&|| create[n](counts[n])]);
        times.push(cost.wall.as_secs_f64() * 1e6 / f64::from(counts[n]));
        // In a fresh process: memory that was freed before would hide what is taken.
        let (had, user, kernel) = processes::spawn(hold, (n, counts[n]))?.join()?;
        if had < counts[n] {
            println!(
                "only {had} of {} could be had (a limit, see `ulimit -u`): {}",
                counts[n], names[n]
            );
        }
        assert!(had > 0);
        memory.push((had, [user + kernel, kernel].map(|b| b as f64 / 1024.0 / f64::from(had))));
    }
    let mut table = Table::new([
        "one of",
        "held at once",
        "create and finish",
        "ratio",
        "memory",
        "of it kernel",
        "ratio",
    ]);
    for (n, (had, [all, kernel])) in memory.iter().enumerate() {
        table.row([
            names[n].into(),
            had.to_string(),
            format!("{:.2} µs", times[n]),
            format!("{:.1}", times[n] / times[0]),
            format!("{all:.2} KiB"),
            format!("{kernel:.2} KiB"),
            format!("{:.1}", all / memory[0].1[0]),
        ]);
    }
    println!("{table}\n");
    assert!(memory[0].1[0] < memory[1].1[0] && memory[1].1[0] < memory[2].1[0]);

    let all = cores::allowed()?;
    let one = &all[..1];
    let pairs = multitask::amount(80_000).min(5_000); // each is two switches
    let times = [
        ("tasks, by yield", yielding(pairs)),
        ("threads, spinning", spinning(pairs)),
        ("threads, condvar, one core", cores::on(one, || condvar(pairs))?),
        ("threads, condvar", condvar(pairs)),
        ("processes, pipe, one core", cores::on(one, || piped(pairs, one))?),
        ("processes, pipe", piped(pairs, &all)),
    ];
    let mut table = Table::new(["one switch", "time", "ratio"]);
    for (name, time) in times {
        let one = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(2 * pairs);
        let ratio = one(time) / one(times[0].1);
        table.row([name.into(), format!("{:.0} ns", one(time)), format!("{ratio:.1}")]);
    }
    println!("{table}");
    Ok(())
}

fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
    runtime::Builder::new_current_thread().build().unwrap().block_on(work)
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
    (0..count).for_each(|_| processes::spawn(|()| (), ()).unwrap().join().unwrap());
}

/// How many there were at once, and the bytes they held together: in user space, in the kernel.
type Held = (u32, u64, u64);

/// What process `id` holds: its proportional set size; its page tables and kernel stacks.
fn held(id: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let number = |key| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let kernel = number("VmPTE:") * 1024 + number("Threads:") * KERNEL_STACK;
    (measure::memory(id).unwrap(), kernel)
}

/// What this process holds more than `before`.
fn more_than(before: (u64, u64)) -> (u64, u64) {
    let now = held(process::id());
    (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1))
}

fn hold((n, count): (usize, u32)) -> Held {
    [hold_tasks, hold_threads, hold_processes][n](count)
}

// ANCHOR: hold
fn hold_tasks(count: u32) -> Held {
    on_one_thread(async {
        let gate = Semaphore::const_new(0);
        let gate: &'static Semaphore = Box::leak(Box::new(gate));
        held(process::id()); // warm
        let before = held(process::id());
        let wait = || tokio::spawn(async { gate.acquire().await.is_err() });
        let tasks: Vec<_> = (0..count).map(|_| wait()).collect();
        yield_now().await; // each has begun to wait
        let (user, kernel) = more_than(before);
        gate.close();
        for task in tasks {
            assert!(task.await.unwrap());
        }
        (count, user, kernel)
    })
}

fn hold_threads(count: u32) -> Held {
    let (gate, waiting) = (RwLock::new(()), AtomicU32::new(0));
    held(process::id()); // warm
    let before = held(process::id());
    thread::scope(|s| {
        let closed = gate.write().unwrap();
        let wait = || {
            waiting.fetch_add(1, SeqCst);
            drop(gate.read().unwrap());
        };
        let start = |_| thread::Builder::new().spawn_scoped(s, wait).ok();
        let had = (0..count).map_while(start).count() as u32;
        while waiting.load(SeqCst) < had {
            thread::yield_now();
        }
        let (user, kernel) = more_than(before);
        drop(closed);
        (had, user, kernel)
    })
}

fn hold_processes(count: u32) -> Held {
    let (waiting, gate) = (Queue::unbounded().unwrap(), Queue::<()>::unbounded().unwrap());
    let wait = |(waiting, gate): (Queue<()>, Queue<()>)| {
        waiting.put(&()).unwrap();
        gate.get().is_err()
    };
    let start = |_| {
        let child = processes::spawn(wait, (waiting.clone(), gate.clone())).ok()?;
        while waiting.get_timeout(Duration::from_millis(100)).is_err() {
            if !child.is_alive() {
                return None; // it began, and a limit ended it
            }
        }
        Some(child)
    };
    let children: Vec<_> = (0..count).map_while(start).collect();
    let each = children.iter().map(|child| held(child.id()));
    let (user, kernel) = each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    gate.close();
    assert!(children.iter().all(|child| child.join().unwrap()));
    (children.len() as u32, user, kernel)
}
// ANCHOR_END: hold

fn yielding(pairs: u32) -> Duration {
    on_one_thread(async {
        let started = Instant::now();
        let turns = || async move {
            for _ in 0..pairs {
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

/// `turn(me)` waits for its turn and hands on, `pairs` times on each of two threads.
fn two_threads(pairs: u32, turn: impl Fn(u32) + Sync) -> Duration {
    let started = Instant::now();
    thread::scope(|s| {
        for me in 0..2 {
            let turn = &turn;
            s.spawn(move || (0..pairs).for_each(|_| turn(me)));
        }
    });
    started.elapsed()
}

/// Spins for its turn; gives the core up now and then, or with one core free neither would get on.
fn spinning(pairs: u32) -> Duration {
    let turns = AtomicU32::new(0);
    let time = two_threads(pairs, |me| {
        let mut spins = 0;
        while turns.load(SeqCst) % 2 != me {
            spins += 1;
            if spins % 1000 == 0 { thread::yield_now() } else { hint::spin_loop() }
        }
        turns.fetch_add(1, SeqCst);
    });
    assert_eq!(turns.into_inner(), 2 * pairs);
    time
}

fn condvar(pairs: u32) -> Duration {
    let (turns, changed) = (Mutex::new(0), Condvar::new());
    let time = two_threads(pairs, |me| {
        let mut turns = changed.wait_while(turns.lock().unwrap(), |t| *t % 2 != me).unwrap();
        *turns += 1;
        changed.notify_one();
    });
    assert_eq!(turns.into_inner().unwrap(), 2 * pairs);
    time
}

/// A process does not begin with the cores of the thread that starts it: it is told them.
fn piped(pairs: u32, on_cores: &[usize]) -> Duration {
    let (here, there) = pipe::duplex::<u32, u32>().unwrap();
    let child = processes::spawn(echo, (there, pairs, on_cores.to_vec())).unwrap();
    assert_eq!(here.recv().unwrap() as usize, on_cores.len(), "it is there, on these cores");
    let started = Instant::now();
    for n in 0..pairs {
        here.send(&n).unwrap();
        assert_eq!(here.recv().unwrap(), n);
    }
    let time = started.elapsed();
    child.join().unwrap();
    time
}

fn echo((there, pairs, on_cores): (pipe::Duplex<u32, u32>, u32, Vec<usize>)) {
    let work = || {
        there.send(&(cores::allowed().unwrap().len() as u32)).unwrap();
        (0..pairs).for_each(|_| there.send(&there.recv().unwrap()).unwrap());
    };
    cores::on(&on_cores, work).unwrap();
}
