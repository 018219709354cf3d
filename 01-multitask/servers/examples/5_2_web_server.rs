//! 5.2 · 网络服务器 · A web server: one static file server, five models of serving many at once.
//!
//! Python: processes are the most stable and cost most, threads less, coroutines least: for network work, coroutines.
//! Rust: the same server in five models behind one flag: what differs is only who waits for a connection, a process, a thread, a pool, a task or
//! an event loop by hand; the answers are the same.
//!
//! Run: `cargo run --example 5_2_web_server -- --model epoll --root notes`, and open the address it prints
//! Notes: `notes/en/01-multitask.md#servers` · `notes/zh-CN/01-multitask.md#servers`
//!
//! ```output args="--for 1 --port 0"
//! async: serving . on http://127.0.0.1:[..]/ with [..] workers; Ctrl-C ends
//! all connections were finished
//! ```

use servers::{Model, Options, Stop};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};
use util::{args::Args, tick};

const HELP: &str = "\
Serves the files of a folder over HTTP.

Usage: 5_2_web_server [--model MODEL] [--root DIR] [--port P] [OPTIONS]

  --model MODEL      process, thread, pool, async or epoll (async)
  --root DIR         the folder; nothing outside of it is served (.)
  --port P           the port (8080; 0: any that is free)
  --bind IP          the address (127.0.0.1; 0.0.0.0 or ::, for others to reach it)
  --workers N        processes or threads that serve (process: 32, one connection each; pool: 4 a core; async, epoll: 1 a core)
  --connections N    at once; more wait until one ends (1024)
  --log              a line for each request on standard output

  --idle SECONDS     for the next request of an open connection (60)
  --head SECONDS     for the head of a request (10)
  --body SECONDS     for its body (30)
  --write SECONDS    while the client takes nothing (30)
  --grace SECONDS    for what is unfinished at the end (10)
  --for N            end after N ticks

Ctrl-C or SIGTERM ends it when all running answers are finished, a second one at once.";

fn main() -> ExitCode {
    let _output = util::output::start();
    processes::init();
    let mut args = Args::new(HELP);
    let mut options = Options::new(args.value("--model").unwrap_or(Model::Async));
    let ip = args.value("--bind").unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let address = SocketAddr::new(ip, args.value("--port").unwrap_or(8080));
    options.root = args.value::<PathBuf>("--root").unwrap_or(options.root);
    options.workers = args.value("--workers").unwrap_or(options.workers);
    options.connections = args.value("--connections").unwrap_or(options.connections);
    options.log = args.flag("--log");
    let timeouts = &mut options.timeouts;
    for (flag, limit) in [
        ("--idle", &mut timeouts.idle),
        ("--head", &mut timeouts.head),
        ("--body", &mut timeouts.body),
        ("--write", &mut timeouts.write),
        ("--grace", &mut timeouts.grace),
    ] {
        if let Some(seconds) = args.value::<f64>(flag) {
            match Duration::try_from_secs_f64(seconds) {
                Ok(time) if (0.001..=1e6).contains(&seconds) => *limit = time,
                _ => args.refuse(&format!("{flag} {seconds}: give seconds from 0.001 to 1000000")),
            }
        }
    }
    let ticks: Option<f64> = args.value("--for");
    if options.workers == 0 || options.connections == 0 {
        args.refuse("--workers and --connections need at least 1");
    }
    args.finish();
    let most = servers::raise_descriptor_limit();
    if most < options.connections + 100 {
        eprintln!(
            "warning: this system allows {most} open files (ulimit -n): too few for {} connections",
            options.connections
        );
    }
    match run(address, &options, ticks) {
        Ok(0) => {
            println!("all connections were finished");
            ExitCode::SUCCESS
        }
        Ok(cut_off) => {
            eprintln!("error: {cut_off} connections were cut off, because they took too long");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

// ANCHOR: run
fn run(address: SocketAddr, options: &Options, ticks: Option<f64>) -> io::Result<usize> {
    let because =
        |what: String| move |e: io::Error| io::Error::new(e.kind(), format!("{what}: {e}"));
    let stop = Arc::new(Stop::new()?);
    stop.at_once_on_second_signal()?;
    stop.on_signals()?;
    let listener =
        servers::listen(address).map_err(because(format!("cannot listen on {address}")))?;
    let (model, root, workers) = (options.model, options.root.display(), options.workers);
    println!(
        "{model}: serving {root} on http://{}/ with {workers} workers; Ctrl-C ends",
        listener.local_addr()?
    );
    if let Some(ticks) = ticks {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            tick::sleep(ticks);
            stop.stop();
        });
    }
    servers::serve(listener, options, &stop).map_err(because(format!("cannot serve {root}")))
}
// ANCHOR_END: run
