//! 1.4.7 · 任务管理者 · A manager: two queues on the network; it puts ten numbers and collects ten squares.
//!
//! Python: a `BaseManager` with two registered queues and an authkey. A worker that dies takes its
//! task with it.
//! Rust: the same two queues. Each side proves that it has the key before anything is read; a task
//! is on lease until its worker acknowledges it, so one that dies gives it back. Not encrypted:
//! between machines, use a tunnel.
//!
//! Run: `cargo run --example 1_4_7_task_manager`, and in other terminals, or on other machines,
//! `cargo run --example 1_4_8_task_worker`
//! Notes: `notes/en/03-processes.md#manager` · `notes/zh-CN/03-processes.md#manager`
//!
//! ```output args="--listen 127.0.0.1:0 --workers 2"
//! listening on 127.0.0.1:[..]
//! put 10 tasks: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
//! ...
//! got 10 results: [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]
//! ```

use multiproc_manager::{Client, Manager, ManagerError, RemoteQueue};
use std::{
    collections::BTreeMap,
    error::Error,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};
use util::{args::Args, eprintln, tick, timeline};

const HELP: &str = "\
Serves two queues, tasks and results; puts numbers into one and collects their squares from the other

Usage: 1_4_7_task_manager [--listen <IP:PORT>] [--tasks <N>] [--workers <N>]

  --listen <IP:PORT>  address; port 0 for any free one [default: 127.0.0.1:5000]
  --tasks <N>         how many numbers, 0 to 1000000 [default: 10]
  --workers <N>       workers to start on this machine, 0 to 1024 [default: 0: start 1_4_8_task_worker yourself]
  -h, --help          print this help
  -V, --version       print the version

The environment variable MANAGER_KEY holds the key that both sides must have [default: \"abc\", on the loopback address only].
It must not be empty. Nothing is encrypted: between machines, use a tunnel (WireGuard, ssh -L).

A result that cannot be decoded, or is wrong, is reported and ignored; a task that is done without a right result is put again.";

/// How long to wait for a result before looking whether a task has none.
const LOOK: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let _output = util::output::start();
    multiproc::init();
    let mut args = Args::new(HELP);
    let listen = args.value("--listen").unwrap_or(SocketAddr::from(([127, 0, 0, 1], 5000)));
    let tasks = args.number("--tasks", 0..=1_000_000).unwrap_or(10);
    let workers = args.number("--workers", 0..=1024).unwrap_or(0);
    let key = args.variable("MANAGER_KEY");
    if key.is_none() && !listen.ip().is_loopback() {
        args.refuse("to listen on other addresses than loopback, set MANAGER_KEY, as in MANAGER_KEY=$(openssl rand -hex 32)");
    }
    args.finish();
    let key = key.unwrap_or_else(|| "abc".into()); // 1_4_8_task_worker tries the same one
    let _timeline = timeline::start();
    match manage(listen, key, tasks, workers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

// ANCHOR: manage
fn manage(listen: SocketAddr, key: String, count: u32, workers: u32) -> Result<(), Box<dyn Error>> {
    let manager = Manager::builder(key.as_bytes()).listen(listen)?;
    let manager = manager.queue("tasks", None).queue("results", None).start();
    let manager = manager.map_err(|e| format!("cannot listen on {listen}: {e}"))?;
    println!("listening on {}", manager.address());

    let client = Client::new(manager.address(), key.as_bytes())?;
    let mut tasks = client.queue::<u32>("tasks")?;
    let mut results = client.queue::<(u32, u64)>("results")?;
    let numbers: Vec<u32> = (0..count).collect();
    for number in &numbers {
        tasks.put(number)?;
    }
    println!("put {count} tasks: {numbers:?}");
    let _workers: Vec<_> = (0..workers)
        .map(|_| multiproc::spawn(work, (manager.address(), key.clone())))
        .collect::<Result<_, _>>()?; // they end with this process at the latest

    let squares = collect(count, &mut tasks, &mut results)?;
    // Some may do a task once more, and the last one has answered but not acknowledged yet.
    let end = Instant::now() + tick::ticks(20);
    while tasks.count()?.1 > 0 && Instant::now() < end {
        tick::sleep(0.1);
    }
    tasks.close()?; // now the workers end
    while let Ok(lease) = tasks.get_timeout(Duration::ZERO) {
        lease.acknowledge()?; // what is left is done already
    }
    tick::sleep(1); // a worker that is just about to ask would find nobody otherwise, and say so
    println!("got {count} results: {squares:?}");
    Ok(())
}
// ANCHOR_END: manage

/// Waits until each number below `count` has its right square. Whoever has the key can put
/// anything: nothing of that ends the manager.
fn collect(
    count: u32,
    tasks: &mut RemoteQueue<u32>,
    results: &mut RemoteQueue<(u32, u64)>,
) -> Result<Vec<u64>, ManagerError> {
    let mut squares = BTreeMap::new();
    while squares.len() < count as usize {
        // Before looking for a result: a worker puts it before it acknowledges the task.
        let are_done = tasks.count()? == (0, 0);
        let waiting = timeline::wait("for a result");
        let result = results.get_timeout(LOOK).and_then(|lease| lease.acknowledge());
        drop(waiting);
        match result {
            Ok((number, square)) if number < count && square == u64::from(number).pow(2) => {
                println!("{number} squared is {square}");
                // It is there already if a worker died before it could acknowledge.
                squares.insert(number, square);
            }
            Ok(wrong) => eprintln!("ignored a wrong result: {wrong:?}"),
            Err(error @ ManagerError::Decode(_)) => eprintln!("ignored a result: {error}"),
            Err(ManagerError::Empty) if are_done => {
                for number in (0..count).filter(|number| !squares.contains_key(number)) {
                    eprintln!("put task {number} again: it was done without a right result");
                    tasks.put(&number)?;
                }
            }
            Err(ManagerError::Empty) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(squares.into_values().collect())
}

/// What 1_4_8_task_worker does as well.
fn work((address, key): (SocketAddr, String)) {
    let done = || -> Result<(), ManagerError> {
        let client = Client::new(address, key.as_bytes()).map_err(ManagerError::Disconnected)?;
        let mut tasks = client.queue::<u32>("tasks")?;
        let mut results = client.queue("results")?;
        loop {
            let task = match tasks.get() {
                Err(ManagerError::Decode(_)) => continue, // somebody else's
                task => task?,
            };
            let _span = timeline::span(*task);
            tick::sleep(0.5);
            results.put(&(*task, u64::from(*task).pow(2)))?;
            task.acknowledge()?;
        }
    };
    match done() {
        Err(ManagerError::Closed | ManagerError::Disconnected(_)) | Ok(()) => {}
        Err(error) => eprintln!("error: a worker ends: {error}"),
    }
}
