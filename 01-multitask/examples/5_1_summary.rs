//! 5.1 · 总结 · Summary: two processes of two threads of three tasks each, as a tree and as one timeline.
//!
//! Python: a table in words: a process owns resources, a thread is what is scheduled, a coroutine
//! is switched by the program.
//! Rust: all three in one program. A process has an id and memory of its own; its threads share
//! that memory, and the kernel runs them at once; the tasks of a thread take turns where they wait,
//! so they count in a plain variable, without a lock.
//!
//! Run: `cargo run --example 5_1_summary` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/01-multitask.md#summary` · `notes/zh-CN/01-multitask.md#summary`
//!
//! ```output
//! main, process [..]
//! ├─ Process-1, process [..]
//! │  ├─ thread 1, id [..]
//! │  │  └─ 3 tasks, 6 steps
//! │  └─ thread 2, id [..]
//! │     └─ 3 tasks, 6 steps
//! └─ Process-2, process [..]
//!    ├─ thread 1, id [..]
//!    │  └─ 3 tasks, 6 steps
//!    └─ thread 2, id [..]
//!       └─ 3 tasks, 6 steps
//! each process counted 12 steps in a global of its own, main 0; 24 sleeps of a tick took [..] ticks
//! ```

use serde::{Deserialize, Serialize};
use std::{
    cell::Cell,
    collections::BTreeSet,
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
};
use tokio::{runtime, task::LocalSet, time};
use util::{tick, timeline};

/// All threads of a process share it; each process has its own.
static STEPS: AtomicU32 = AtomicU32::new(0);

#[derive(Serialize, Deserialize)]
struct Process {
    name: String,
    id: u32,
    steps: u32,
    threads: Vec<Thread>,
}

#[derive(Serialize, Deserialize)]
struct Thread {
    id: i32,
    steps: u32,
    /// The threads that its tasks were run by.
    seen: BTreeSet<i32>,
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    tick::elapsed();
    // ANCHOR: levels
    let started = [multiproc::spawn(process, ())?, multiproc::spawn(process, ())?];
    let tree = [started[0].join()?, started[1].join()?];
    // ANCHOR_END: levels
    let took = tick::elapsed();

    println!("main, process {}", std::process::id());
    for (process, (fork, line)) in tree.iter().zip([("├─", "│ "), ("└─", "  ")]) {
        println!("{fork} {}, process {}", process.name, process.id);
        for (i, thread) in process.threads.iter().enumerate() {
            let (fork, inner) = if i == 0 { ("├─", "│ ") } else { ("└─", "  ") };
            println!("{line} {fork} thread {}, id {}", i + 1, thread.id);
            println!("{line} {inner} └─ 3 tasks, {} steps", thread.steps);
            assert_eq!(thread.seen, BTreeSet::from([thread.id]), "its tasks never leave it");
        }
        assert_eq!(process.steps, 12);
    }
    let main = STEPS.load(SeqCst);
    println!(
        "each process counted 12 steps in a global of its own, main {main}; 24 sleeps of a tick took {took:.1} ticks"
    );
    let threads: BTreeSet<i32> = tree.iter().flat_map(|p| &p.threads).map(|t| t.id).collect();
    assert_eq!((threads.len(), main), (4, 0));
    assert_ne!(tree[0].id, tree[1].id);
    Ok(())
}

// ANCHOR: process
/// Two threads, which the kernel may run at once.
fn process((): ()) -> Process {
    let threads = thread::scope(|s| {
        let start = |n| {
            let named = thread::Builder::new().name(format!("thread {n}"));
            named.spawn_scoped(s, move || thread_of_tasks(n)).unwrap()
        };
        [1, 2].map(start).into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let me = multiproc::current();
    Process { name: me.name, id: me.id, steps: STEPS.load(SeqCst), threads }
}
// ANCHOR_END: process

// ANCHOR: tasks
/// Three tasks, which take turns on this thread. Only between two `await`s does one run, so a
/// `Cell` is enough for what they share; the compiler would let no second thread near it.
fn thread_of_tasks(n: u32) -> Thread {
    let runtime = runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (steps, id) = (Rc::new(Cell::new(0)), nix::unistd::gettid().as_raw());
    let tasks = LocalSet::new();
    let started = ["a", "b", "c"].map(|name| {
        let steps = steps.clone();
        tasks.spawn_local(async move {
            let row = timeline::row(format_args!("task {n}{name}"));
            for step in 1..=2 {
                let spans = (timeline::span(name), row.span(step)); // the thread runs this task
                tick::sleep(0.2); // busy: nobody else on this thread runs meanwhile
                steps.set(steps.get() + 1);
                STEPS.fetch_add(1, SeqCst);
                drop(spans);
                let _waiting = row.wait("");
                time::sleep(tick::length()).await; // the thread goes on with the next task
            }
            nix::unistd::gettid().as_raw()
        })
    });
    let seen = runtime.block_on(tasks.run_until(async {
        let mut seen = BTreeSet::new();
        for task in started {
            seen.insert(task.await.unwrap());
        }
        seen
    }));
    Thread { id, steps: steps.get(), seen }
}
// ANCHOR_END: tasks
