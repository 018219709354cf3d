//! 1.4.8 · 任务执行者 · A worker: takes a number from the manager, squares it, answers; several at once.
//!
//! Python: connects with the authkey, `task.get`, `result.put`, until a time-out.
//! Rust: the same. The task is acknowledged only when its answer is in: killed before that, another
//! worker gets it. The end is told (`Closed`), not guessed from a time-out.
//!
//! Run: `cargo run --example 1_4_8_task_worker -- --connect 127.0.0.1:5000`, with
//! 1_4_7_task_manager in another terminal
//! Notes: `notes/en/03-processes.md#manager` · `notes/zh-CN/03-processes.md#manager`
//!
//! ```output status=1 args="--connect 127.0.0.1:1"
//! connecting to 127.0.0.1:1
//! ```

use multiproc_manager::{Client, ManagerError};
use std::{error::Error, process::ExitCode};
use util::{args::Args, eprintln, text::visible, tick, timeline};

const HELP: &str = "\
Takes numbers from a manager's queue and answers with their squares, until the manager has no more

Usage: 1_4_8_task_worker [--connect <HOST:PORT>]

  --connect <HOST:PORT>  the manager [default: 127.0.0.1:5000]
  -h, --help             print this help
  -V, --version          print the version

The environment variable MANAGER_KEY holds the key that both sides must have [default: \"abc\"]. It must not be empty.";

fn main() -> ExitCode {
    let _output = util::output::start();
    let mut args = Args::new(HELP);
    let address: String = args.value("--connect").unwrap_or_else(|| "127.0.0.1:5000".into());
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none_or(|port| port == 0) {
        args.refuse(&format!("--connect {:?}: expected HOST:PORT", visible(&address)));
    }
    let key = args.variable("MANAGER_KEY");
    args.finish();
    let key = key.unwrap_or_else(|| "abc".into()); // what 1_4_7_task_manager takes on loopback
    let _timeline = timeline::start();
    println!("connecting to {}", visible(&address));
    match work(&address, &key) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}"));
            eprintln!("error: {}: {error}{}", visible(&address), cause.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

// ANCHOR: work
fn work(address: &str, key: &str) -> Result<(), ManagerError> {
    let client = Client::new(address, key.as_bytes()).map_err(ManagerError::Disconnected)?;
    let mut tasks = client.queue::<u32>("tasks")?;
    let mut results = client.queue("results")?;
    let mut done = 0;
    loop {
        let task = match tasks.get() {
            Ok(task) => task, // on lease: ours as long as this connection lives
            Err(ManagerError::Closed) => break,
            Err(error @ ManagerError::Decode(_)) => {
                eprintln!("ignored a task: {error}"); // somebody else with the key has put it
                continue;
            }
            Err(error) => return Err(error),
        };
        let number = *task;
        let _span = timeline::span(number);
        println!("{number} * {number}");
        tick::sleep(5);
        results.put(&(number, u64::from(number).pow(2)))?;
        task.acknowledge()?;
        done += 1;
    }
    println!("no more tasks; {done} done");
    Ok(())
}
// ANCHOR_END: work
