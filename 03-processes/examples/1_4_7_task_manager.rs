//! 1.4.7 · 任务管理者 · A manager: two queues on the network; it puts ten numbers and collects ten squares.
//!
//! Python: a `BaseManager` with two registered queues and an authkey. A worker that dies takes its task with it.
//! Rust: the same two queues. Each side proves that it has the key before anything is read; a task is on lease until its worker
//! acknowledges it, so one that dies gives it back. Not encrypted: between machines, use a tunnel.
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

use processes::manager::{Client, Manager, ManagerError};
use std::{env, error::Error, net::SocketAddr, process::ExitCode, time::Duration};
use util::{args::Args, tick, timeline};

const HELP: &str = "\
Serves two queues, tasks and results; puts numbers into the one and collects their squares from the other.

Usage: 1_4_7_task_manager [--listen IP:PORT] [--tasks N] [--workers N]

  --listen IP:PORT  where (127.0.0.1:5000; port 0: any that is free)
  --tasks N         how many numbers (10)
  --workers N       start that many workers here (0: start 1_4_8_task_worker yourself)

The environment variable MANAGER_KEY holds the key that both sides must have (\"abc\" on the loopback address; to listen
on others you have to set one). Nothing is encrypted: between machines, use a tunnel (WireGuard, ssh -L).";

fn main() -> ExitCode {
    let _output = util::output::start();
    processes::init();
    let mut args = Args::new(HELP);
    let listen = args.value("--listen").unwrap_or(SocketAddr::from(([127, 0, 0, 1], 5000)));
    let tasks: u32 = args.value("--tasks").unwrap_or(10);
    let workers: u32 = args.value("--workers").unwrap_or(0);
    let key = env::var("MANAGER_KEY").ok().filter(|key| !key.is_empty());
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
        .map(|_| processes::spawn(work, (manager.address(), key.clone())))
        .collect::<Result<_, _>>()?; // they end with this process at the latest

    let mut squares = Vec::new();
    while squares.len() < numbers.len() {
        let waiting = timeline::wait("for a result");
        let (number, square) = results.get()?.acknowledge()?;
        drop(waiting);
        println!("{number} squared is {square}");
        // A worker that died between its answer and its acknowledgement had its task done twice.
        if !squares.contains(&(number, square)) {
            squares.push((number, square));
        }
    }
    while tasks.count()? != (0, 0) {
        tick::sleep(0.1); // the last one has answered, but not acknowledged yet
    }
    tasks.close()?; // the workers hear it and go home
    tick::sleep(1); // one that is just about to ask finds nobody otherwise, and says so
    squares.sort_unstable();
    assert!(
        squares
            .iter()
            .zip(&numbers)
            .all(|((n, s), number)| n == number && *s == u64::from(*n).pow(2))
    );
    let squares: Vec<u64> = squares.into_iter().map(|(_, square)| square).collect();
    println!("got {count} results: {squares:?}");
    Ok(())
}
// ANCHOR_END: manage

/// What 1_4_8_task_worker does as well.
fn work((address, key): (SocketAddr, String)) {
    let done = || -> Result<(), ManagerError> {
        let client = Client::new(address, key.as_bytes()).map_err(ManagerError::Disconnected)?;
        let mut tasks = client.queue::<u32>("tasks")?;
        let mut results = client.queue("results")?;
        loop {
            let task = tasks.get_timeout(Duration::from_secs(60))?;
            let _span = timeline::span(*task);
            tick::sleep(0.5);
            results.put(&(*task, u64::from(*task).pow(2)))?;
            task.acknowledge()?;
        }
    };
    match done() {
        Err(ManagerError::Closed | ManagerError::Disconnected(_)) | Ok(()) => {}
        Err(error) => panic!("{error}"),
    }
}
