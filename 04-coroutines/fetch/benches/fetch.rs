//! A thousand pages that take 20 ms each, some at once: how near to the ideal threads and tasks come, and what they cost.
//!
//! The ideal is the delay alone: with 32 at once, 32 rounds of 20 ms. Threads ask by `ureq`, one thread for each of those at once; tasks
//! by the [`Client`] of the cases, all on one thread. The pages come from a server in a process of its own, so the CPU time is
//! the client's. Both make their connections anew in each round, and take turns. Left out: TLS, look-up of names, large pages.
//!
//! `cargo bench --package fetch`; with `--test` one short round.

use fetch::{Answer, Client, Options, Server};
use std::{
    env,
    error::Error,
    io::{self, BufRead, BufReader, Read},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::task::JoinSet;
use util::measure::{self, Cost, Table};

const DELAY: Duration = Duration::from_millis(20);
const BODY: usize = 1000;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "serve") {
        return serve();
    }
    // What `cargo bench -- NAME` asks of every benchmark.
    if arguments.iter().any(|word| !word.starts_with('-') && !"fetch".contains(word.as_str())) {
        return Ok(ExitCode::SUCCESS);
    }
    let test = arguments.iter().any(|word| word == "--test");
    let (pages, rounds) = if test { (64, 1) } else { (1000, 7) };

    let mut server = Command::new(env::current_exe()?);
    let server = server.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut server = Ended(server);
    let mut url = String::new();
    BufReader::new(server.0.stdout.take().expect("it is piped")).read_line(&mut url)?;
    let url = Arc::<str>::from(url.trim());

    let mut table = Table::new(["at once", "way", "ms", "ideal, ms", "of the ideal", "CPU, ms"]);
    for at_once in [32, 64, 128, 256, 512, 1000] {
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            costs[0].push(measure::cost(|| threads(&url, pages, at_once)));
            // It reads the system's certificates, which is no part of fetching.
            let client = Client::new(&Options { proxies: false, ..Options::default() })?;
            costs[1].push(measure::cost(|| tasks(&client, &url, pages, at_once)));
        }
        for (way, rounds) in ["threads", "tasks"].into_iter().zip(costs) {
            assert!(rounds.iter().all(|(bytes, _)| *bytes == pages * BODY), "not all came");
            let mut costs: Vec<Cost> = rounds.into_iter().map(|(_, cost)| cost).collect();
            costs.sort_by_key(|cost| cost.wall);
            let median = costs[costs.len() / 2];
            let ideal = DELAY * pages.div_ceil(at_once) as u32;
            let share = 100.0 * ideal.as_secs_f64() / median.wall.as_secs_f64();
            let ms = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e3);
            let (wall, ideal, cpu) = (ms(median.wall), ms(ideal), ms(median.cpu));
            table.row([at_once.to_string(), way.into(), wall, ideal, format!("{share:.0} %"), cpu]);
        }
    }
    println!("{pages} pages of {DELAY:?} each, median of {rounds}\n{table}");
    Ok(ExitCode::SUCCESS)
}

/// One thread for each page that is on its way at once; each takes the next page when it is done with one.
fn threads(url: &str, pages: usize, at_once: usize) -> usize {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .proxy(None)
        .max_idle_connections(at_once)
        .max_idle_connections_per_host(at_once)
        .build()
        .into();
    let (next, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|s| {
        for _ in 0..at_once.min(pages) {
            s.spawn(|| {
                while next.fetch_add(1, Relaxed) < pages {
                    let mut page = agent.get(url).call().expect("it answers");
                    let body = page.body_mut().read_to_vec().expect("it comes whole");
                    bytes.fetch_add(body.len(), Relaxed);
                }
            });
        }
    });
    bytes.into_inner()
}

/// The same by tasks on this one thread.
fn tasks(client: &Client, url: &Arc<str>, pages: usize, at_once: usize) -> usize {
    let all = async {
        let (next, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for _ in 0..at_once.min(pages) {
            let (url, client, next) = (Arc::clone(url), client.clone(), Arc::clone(&next));
            tasks.spawn(async move {
                let mut bytes = 0;
                while next.fetch_add(1, Relaxed) < pages {
                    bytes += client.get(&url).await.expect("it comes whole").body.len();
                }
                bytes
            });
        }
        tasks.join_all().await.into_iter().sum()
    };
    fetch::run(all).expect("an event queue can be had")
}

/// The other process: a server, until the one who started it is gone.
fn serve() -> Result<ExitCode, Box<dyn Error>> {
    let server = Server::start(|_| Answer::page([b'x'; BODY]).after(DELAY))?;
    println!("{}", server.url("/"));
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(ExitCode::SUCCESS)
}

/// A process that ends when this does.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
