//! 5.2 · 网络服务器 · A web server: one static file server, five models of serving many at once.
//!
//! Python: processes are the most stable and cost most, threads less, coroutines least: for network
//! work, coroutines.
//! Rust: the same server in five models behind one flag: what differs is only who waits for a
//! connection, a process, a thread, a pool, a task or an event loop by hand; the answers are the
//! same.
//!
//! Run: `cargo run --example 5_2_web_server -- --model epoll --root notes`, and open the address it
//! prints
//! Notes: `notes/en/01-multitask.md#servers` · `notes/zh-CN/01-multitask.md#servers`
//!
//! ```output args="--for 1 --port 0"
//! async: serving . on http://127.0.0.1:[..]/ with [..] workers; Ctrl-C ends
//! all connections were finished
//! ```

use rustix::stdio::stdout;
use servers::{Model, Options, Stop, log};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    thread,
};
use util::{args::Args, text::visible, tick};

const HELP: &str = "\
Serves the files of a directory over HTTP

Usage: 5_2_web_server [--model <MODEL>] [--root <DIR>] [--port <PORT>] [OPTIONS]

  --model <MODEL>      process, thread, pool, async or epoll [default: async]
  --root <DIR>         directory to serve; symlinks are followed if they stay inside, absolute ones if they
                       begin with the path of DIR [default: .]
  --port <PORT>        port; 0 for any free one [default: 8080]
  --bind <IP>          address; 0.0.0.0 or :: to be reachable from other machines [default: 127.0.0.1]
  --workers <N>        processes or threads that serve, 1 to 1024 [default: process: 32, one connection
                       each; pool: 4 per core; async and epoll: 1 per core]
  --connections <N>    most connections at once, 1 to 1000000 (process: as many as workers); if all are in use, a new one
                       takes the place of the one that has been idle longest, at least 0.2 seconds, or else of the one
                       whose client has been slower than --rate for longest, at least 3 seconds [default: 1024]
  --log                write a line in the Common Log Format for each request to standard output; at most 4096 bytes each,
                       non-printable characters escaped; lines that nobody reads in time are dropped and counted

  --idle <SECONDS>     time for the next request on an open connection [default: 60]
  --head <SECONDS>     time for the head of a request [default: 10]
  --body <SECONDS>     time for the body of a request [default: 30]
  --write <SECONDS>    period over which --rate is measured while an answer is being sent [default: 30]
  --rate <N>           bytes per second that a client must take of an answer, 1 to 1000000000 [default: 500]
  --grace <SECONDS>    time for unfinished answers at the end [default: 10]
  --for <N>            end after N ticks, 0 to 1000000
  -h, --help           print this help
  -V, --version        print the version

All SECONDS are from 0.001 to 1000000.

Files have strong entity tags, and If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, Range and If-Range
are honored as in RFC 9110; of several ranges in one request, at most one is served. A date is trusted for a part of a
file only if the file was not changed in any way since.

Ctrl-C or SIGTERM ends the server when all running answers are finished, a second one at once.";

fn main() -> ExitCode {
    let _output = util::output::start();
    multiproc::init();
    let mut args = Args::new(HELP);
    let mut options = Options::new(args.value("--model").unwrap_or(Model::Async));
    let ip = args.value("--bind").unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let address = SocketAddr::new(ip, args.number("--port", 0..=u16::MAX).unwrap_or(8080));
    options.root = args.path("--root").unwrap_or(options.root);
    options.workers = args.number("--workers", 1..=1024).unwrap_or(options.workers);
    let connections = args.number("--connections", 1..=1_000_000);
    options.connections = connections.unwrap_or(options.connections);
    options.rate = args.number("--rate", 1..=1_000_000_000).unwrap_or(options.rate);
    options.log = args.flag("--log");
    let timeouts = &mut options.timeouts;
    for (flag, limit) in [
        ("--idle", &mut timeouts.idle),
        ("--head", &mut timeouts.head),
        ("--body", &mut timeouts.body),
        ("--write", &mut timeouts.write),
        ("--grace", &mut timeouts.grace),
    ] {
        *limit = args.seconds(flag, 0.001..=1e6).unwrap_or(*limit);
    }
    let ticks = args.number("--for", 0..=1_000_000_u32);
    args.finish();
    let files = servers::raise_descriptor_limit();
    let most = servers::most_connections(options.workers);
    if options.model != Model::Process && most < options.connections {
        log::report(
            "files",
            &format!(
                "{most} connections at once instead of {}: this system allows {files} open files (ulimit -n)",
                options.connections
            ),
        );
    }
    match run(address, &options, ticks) {
        Ok(0) => {
            // Whether anybody reads it or not: the server has done its work.
            let _ = log::write_now(stdout(), b"all connections were finished\n");
            ExitCode::SUCCESS
        }
        Ok(cut_off) => fail(&format!("{cut_off} connections were cut off after the grace period")),
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(error: &str) -> ExitCode {
    let _ = log::write_now(rustix::stdio::stderr(), format!("error: {error}\n").as_bytes());
    ExitCode::FAILURE
}

// ANCHOR: run
fn run(address: SocketAddr, options: &Options, ticks: Option<u32>) -> io::Result<usize> {
    let because =
        |what: String| move |e: io::Error| io::Error::new(e.kind(), format!("{what}: {e}"));
    let stop = Arc::new(Stop::new()?);
    stop.at_once_on_second_signal()?;
    stop.on_signals()?;
    let listener =
        servers::listen(address).map_err(because(format!("cannot listen on {address}")))?;
    let address = listener.local_addr()?;
    if let Some(ticks) = ticks {
        let stop = Arc::clone(&stop);
        let end = move || {
            tick::sleep(ticks);
            stop.stop();
        };
        thread::Builder::new().spawn(end).map_err(because("cannot start a thread".into()))?;
    }
    let (model, root, workers) = (options.model, visible(&options.root), options.workers);
    let announce = || {
        if log::is_writable(stdout()) {
            println!(
                "{model}: serving {root} on http://{address}/ with {workers} workers; Ctrl-C ends"
            );
        }
    };
    servers::serve_and_tell(listener, options, &stop, announce)
        .map_err(because(format!("cannot serve {root}")))
}
// ANCHOR_END: run
