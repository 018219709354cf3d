//! A thousand pages that take 20 ms each, some at once: how near to the ideal threads and tasks
//! come, and what they cost.
//!
//! The ideal is the delay alone: with 32 at once, 32 rounds of 20 ms. Threads ask by `ureq`, one
//! thread with a connection of its own for each of those at once; tasks by the [`Client`] of the
//! cases, all on one thread. Both have their time-outs, redirects and size limits. The pages come
//! from a server in a process of its own, so the CPU time is the client's; and where there are
//! several cores the first is the server's and the others are the client's, as if it were another
//! machine. (Left to itself, the kernel runs a client's one thread on the very core of the server
//! that wakes it, while another core idles: then a page waits for other pages' answers.) The ways
//! take turns, and begin anew in each round: first each thread or task fetches one page, which
//! makes its connection, and what that takes beyond the delay stands in a column of its own (*to
//! begin*: all threads and all connections); when all have one, the thousand pages are timed. Left
//! out: TLS, look-up of names, large pages.
//!
//! `cargo bench --package fetch --bench fetch`; with `--test` one short round.

use fetch::{Answer, Client, Options, Server};
use multitask::cores;
use std::{
    env,
    error::Error,
    io::{self, BufRead, BufReader, Read},
    process::{self, Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{
            AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime, task::JoinSet};
use util::{
    eprintln,
    measure::{self, Cost, Table},
};

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

    // Of several cores the first is the server's, and the others are the client's.
    let all = cores::allowed()?;
    let (of_server, of_client) = if all.len() > 1 { all.split_at(1) } else { (&all[..], &all[..]) };
    let mut server = Command::new(env::current_exe()?);
    let server = server.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = Ended(cores::on(of_server, || server.spawn())??); // which begins with these
    let mut url = String::new();
    BufReader::new(server.0.stdout.take().expect("it is piped")).read_line(&mut url)?;
    cores::on(of_client, || compare(&Arc::from(url.trim()), pages, rounds))??;
    Ok(ExitCode::SUCCESS)
}

/// Prints the table: up to so many pages a round.
fn compare(url: &Arc<str>, pages: usize, rounds: usize) -> Result<(), Box<dyn Error>> {
    let mut table = Table::new([
        "at once",
        "way",
        "ms",
        "ideal, ms",
        "of the ideal",
        "CPU, ms",
        "to begin, ms",
    ]);
    for at_once in [1, 8, 32, 64, 128, 256, 512, 1000] {
        // As many rounds of the delay at most: one at a time, a thousand would take 20 s.
        let pages = pages.min(50 * at_once);
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            costs[0].push(threads(url, pages, at_once));
            // It reads the system's certificates, which is no part of fetching.
            let client = Client::new(&Options { proxies: false, ..Options::default() })?;
            costs[1].push(tasks(&client, url, pages, at_once)?);
        }
        for (way, mut rounds) in ["threads", "tasks"].into_iter().zip(costs) {
            assert!(rounds.iter().all(|round| round.bytes == pages * BODY), "not all came");
            rounds.sort_by_key(|round| round.cost.wall);
            let median = &rounds[rounds.len() / 2];
            let ideal = DELAY * pages.div_ceil(at_once) as u32;
            let share = 100.0 * ideal.as_secs_f64() / median.cost.wall.as_secs_f64();
            let ms = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e3);
            table.row([
                at_once.to_string(),
                way.into(),
                ms(median.cost.wall),
                ms(ideal),
                format!("{share:.0} %"),
                ms(median.cost.cpu),
                ms(median.begin.saturating_sub(DELAY)),
            ]);
        }
    }
    println!("up to {pages} pages of {DELAY:?} each, median of {rounds}\n{table}");
    Ok(())
}

struct Round {
    /// Until each had its first page.
    begin: Duration,
    /// Of the pages after that, and how many bytes they had.
    cost: Cost,
    bytes: usize,
}

/// One thread for each page that is on its way at once; each takes the next page when it is done
/// with one.
fn threads(url: &str, pages: usize, at_once: usize) -> Round {
    let (next, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (main, step, arrived) = (thread::current(), AtomicUsize::new(0), AtomicUsize::new(0));
    // Each is woken by itself and wakes nobody: at a `Barrier` all would wake together, and wait
    // for its lock.
    let wait_for = |number| {
        while step.load(SeqCst) < number {
            thread::park();
        }
    };
    let arrive = || {
        arrived.fetch_add(1, SeqCst);
        main.unpark();
    };
    let started = Instant::now();
    thread::scope(|s| {
        let work = || {
            let agent = agent();
            let get = || {
                let mut page = agent.get(url).call().unwrap_or_else(failed);
                let body = page.body_mut().with_config().limit(Options::default().most);
                body.read_to_vec().unwrap_or_else(failed).len()
            };
            assert_eq!(get(), BODY);
            arrive();
            wait_for(1);
            while next.fetch_add(1, Relaxed) < pages {
                bytes.fetch_add(get(), Relaxed);
            }
            arrive();
            wait_for(2); // to end is work too, and would be in the way of the others
        };
        let workers: Vec<_> = (0..at_once).map(|_| s.spawn(work)).collect();
        let all_arrive = |times: usize| {
            while arrived.load(SeqCst) < times * at_once {
                thread::park();
            }
        };
        let go_on = || {
            step.fetch_add(1, SeqCst);
            workers.iter().for_each(|worker| worker.thread().unpark());
        };
        all_arrive(1);
        let begin = started.elapsed();
        let (_, cost) = measure::cost(|| {
            go_on();
            all_arrive(2);
        });
        go_on();
        Round { begin, cost, bytes: bytes.load(Relaxed) }
    })
}

/// Ends the program: the other threads would wait for this one.
fn failed<T>(error: ureq::Error) -> T {
    eprintln!("error: a page did not come: {error}");
    process::exit(1)
}

/// One thread's: it has one connection, so nothing is shared, and nobody waits for a lock. A
/// time-out a step, since one for all would start a thread for each page, to look its name up.
fn agent() -> ureq::Agent {
    let timeout = Some(Options::default().timeout);
    ureq::Agent::config_builder()
        .proxy(None)
        .timeout_connect(timeout)
        .timeout_send_request(timeout)
        .timeout_recv_response(timeout)
        .timeout_recv_body(timeout)
        .build()
        .into()
}

/// The same by tasks on this one thread.
fn tasks(client: &Client, url: &Arc<str>, pages: usize, at_once: usize) -> io::Result<Round> {
    // Both on one runtime: the connections belong to it.
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    let first = runtime.block_on(in_tasks(client, url, at_once, at_once));
    assert_eq!(first, at_once * BODY);
    let begin = started.elapsed();
    let work = || runtime.block_on(in_tasks(client, url, pages, at_once));
    let (bytes, cost) = measure::cost(work);
    Ok(Round { begin, cost, bytes })
}

async fn in_tasks(client: &Client, url: &Arc<str>, pages: usize, at_once: usize) -> usize {
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
