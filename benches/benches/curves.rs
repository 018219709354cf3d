//! The same over 1, 10, 100, 1,000 and 10,000 units, to where it breaks: starting, handing messages
//! over, pools, requests.
//!
//! Each point is a process of its own, so that what breaks there breaks nothing else; what it said
//! when it broke is kept. A point that took, or would take, too long is the end of its curve, and
//! that is said too. What the units are is said in `curves::UNITS`. Results are asserted. Not
//! criterion's: a unit is one of many at once.
//!
//! A word behind it chooses (`curve/start`); `--quick` measures fewer rounds; `--test` goes to 10
//! units; `--on` goes on to a million, which can use up the machine's process numbers, memory and
//! ports for a moment.

mod slow_server;
mod web;

use benches::curves::{self, Curves, Outcome, Point, after};
use multiproc::{Child, Pool, Queue};
use rayon::prelude::*;
use rustix::process::WaitOptions;
use servers::Model;
use slow_server::SlowServer;
use std::{
    any::Any,
    fmt::Debug,
    io::{self, Read},
    net::SocketAddr,
    os::unix::process::CommandExt,
    process::{Command, Stdio, exit},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime, sync::Semaphore};
use util::eprintln;
use web::{Client, Server, timed};

/// Seconds for so many units.
type Measure = fn(u64) -> Result<f64, Failure>;

/// Why there is no figure.
enum Failure {
    /// The system refused; that is what is looked for.
    Broke(String),
    /// What was measured gave a wrong answer, so nothing was measured.
    Wrong(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure::Broke(why)
    }
}

/// The exit status of a point whose answer was wrong.
const WRONG: i32 = 3;

fn right<T: PartialEq + Debug>(is: T, should: T) -> Result<(), Failure> {
    if is == should {
        return Ok(());
    }
    Err(Failure::Wrong(format!("the answer is {is:?}, and should be {should:?}")))
}

const QUESTIONS: [(&str, &[(&str, Measure)]); 5] = [
    ("start", &[("process", process), ("thread", thread_), ("async_task", async_task)]),
    (
        "message",
        &[
            ("queue", message_processes),
            ("threads_mpsc", message_threads),
            ("async_channel", message_tasks),
        ],
    ),
    (
        "pool",
        &[
            ("map", pool_processes),
            ("process_each", process),
            ("threads_map", pool_threads),
            ("thread_each", thread_),
            ("async_map", pool_tasks),
        ],
    ),
    (
        "io_bound",
        &[
            ("process_each", io_processes),
            ("threads", io_threads),
            ("pool_threads", io_pool),
            ("async_one_thread", io_tasks),
        ],
    ),
    (
        "serve",
        &[
            ("process", |units| serve(Model::Process, units)),
            ("thread", |units| serve(Model::Thread, units)),
            ("pool", |units| serve(Model::Pool, units)),
            ("async", |units| serve(Model::Async, units)),
            ("epoll", |units| serve(Model::Epoll, units)),
        ],
    ),
];

/// One point may take so long, with all its rounds.
const LIMIT: Duration = Duration::from_secs(30);
/// A million would take too long even for what is cheap, and 10,000 is what is asked for.
const UNITS: [u64; 5] = [1, 10, 100, 1_000, 10_000];
const ANSWER_AFTER: Duration = Duration::from_millis(20);
const MESSAGES: u64 = 10_000;
/// To the web server, by all connections together, at least.
const REQUESTS: u64 = 10_000;

fn seconds(work: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64())
}

/// So many children, all alive until they are told to end.
fn children<A: Clone + serde::Serialize + serde::de::DeserializeOwned>(
    units: u64,
    run: impl Fn((u64, A)) -> u64 + Copy + Send + 'static,
    argument: &A,
) -> Result<Vec<Child<u64>>, String> {
    let mut children = Vec::new();
    for n in 0..units {
        let child = multiproc::spawn(run, (n, argument.clone()));
        children.push(child.map_err(|e| after(e, children.len()))?);
    }
    Ok(children)
}

fn sum(children: Vec<Child<u64>>) -> Result<u64, String> {
    children.into_iter().map(|child| child.join().map_err(|e| e.to_string())).sum()
}

/// `0 + 1 + … + (n - 1)`.
fn sum_below(n: u64) -> u64 {
    n * n.saturating_sub(1) / 2
}

fn process(units: u64) -> Result<f64, Failure> {
    let end = Queue::<()>::unbounded().map_err(|e| e.to_string())?;
    let wait = |(n, end): (u64, Queue<()>)| {
        let _ = end.get(); // closed: the end
        n
    };
    seconds(|| {
        let children = children(units, wait, &end)?;
        end.close();
        right(sum(children)?, sum_below(units))
    })
}

/// So many threads in `work`; those that could be started are waited for.
fn threads(
    units: u64,
    work: impl Fn(u64) -> u64 + Clone + Send + 'static,
) -> (Vec<thread::JoinHandle<u64>>, Result<(), String>) {
    let mut threads = Vec::new();
    for n in 0..units {
        let work = work.clone();
        match thread::Builder::new().spawn(move || work(n)) {
            Ok(thread) => threads.push(thread),
            Err(e) => {
                let broke = Err(after(e, threads.len()));
                return (threads, broke);
            }
        }
    }
    (threads, Ok(()))
}

fn panicked(_: Box<dyn Any + Send>) -> String {
    "a thread panicked".into()
}

fn thread_(units: u64) -> Result<f64, Failure> {
    let end = Arc::new((Mutex::new(false), Condvar::new()));
    let wait = {
        let end = end.clone();
        move |n| {
            let (ended, changed) = &*end;
            drop(changed.wait_while(ended.lock().unwrap(), |ended| !*ended).unwrap());
            n
        }
    };
    seconds(|| {
        let (threads, started) = threads(units, wait);
        *end.0.lock().unwrap() = true;
        end.1.notify_all();
        let mut total = 0;
        for thread in threads {
            total += thread.join().map_err(panicked)?;
        }
        started?;
        right(total, sum_below(units))
    })
}

fn one_thread() -> runtime::Runtime {
    runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn async_task(units: u64) -> Result<f64, Failure> {
    one_thread().block_on(async {
        let started = Instant::now();
        // Closed: the end, also for a task that comes late.
        let end = Arc::new(Semaphore::new(0));
        let alive = Arc::new(AtomicU64::new(0));
        let wait = |n| {
            let (end, alive) = (end.clone(), alive.clone());
            tokio::spawn(async move {
                alive.fetch_add(1, Relaxed);
                _ = end.acquire().await;
                n
            })
        };
        let tasks: Vec<_> = (0..units).map(wait).collect();
        while alive.load(Relaxed) < units {
            tokio::task::yield_now().await;
        }
        end.close();
        let mut total = 0;
        for task in tasks {
            total += task.await.map_err(|e| e.to_string())?;
        }
        right(total, sum_below(units))?;
        Ok(started.elapsed().as_secs_f64())
    })
}

/// How many each of so many senders sends. What is reported is the time by this: that of one
/// message from each, so that one unit is one message.
fn share(units: u64) -> u64 {
    MESSAGES.max(units) / units
}

fn message_processes(units: u64) -> Result<f64, Failure> {
    let new = || Queue::<u64>::bounded(1000).map_err(|e| e.to_string());
    let (ready, go, queue) = (new()?, new()?, new()?);
    type Ends = (Queue<u64>, Queue<u64>, Queue<u64>, u64);
    let send = |(_, (ready, go, queue, share)): (u64, Ends)| {
        ready.put(&1).expect("room");
        let _ = go.get(); // closed: go
        (0..share).for_each(|n| queue.put(&n).expect("room"));
        0
    };
    let senders = children(units, send, &(ready.clone(), go.clone(), queue.clone(), share(units)))?;
    (0..units).for_each(|_| _ = ready.get().expect("an item"));
    let took = seconds(|| {
        go.close();
        let total: u64 = (0..units * share(units)).map(|_| queue.get().expect("an item")).sum();
        right(total, units * sum_below(share(units)))
    })?;
    sum(senders)?;
    Ok(took / share(units) as f64)
}

fn message_threads(units: u64) -> Result<f64, Failure> {
    let (sender, receiver) = mpsc::sync_channel(1000);
    let go = Arc::new((Mutex::new(false), Condvar::new()));
    let send = {
        let (go, share) = (go.clone(), share(units));
        move |_| {
            drop(go.1.wait_while(go.0.lock().unwrap(), |go| !*go).unwrap());
            (0..share).for_each(|n| sender.send(n).unwrap());
            0
        }
    };
    let (threads, started) = threads(units, send);
    let took = seconds(|| {
        *go.0.lock().unwrap() = true;
        go.1.notify_all();
        let total: u64 = receiver.iter().take(threads.len() * share(units) as usize).sum();
        right(total, threads.len() as u64 * sum_below(share(units)))
    })?;
    for thread in threads {
        thread.join().map_err(panicked)?;
    }
    started?;
    Ok(took / share(units) as f64)
}

fn message_tasks(units: u64) -> Result<f64, Failure> {
    one_thread().block_on(async {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1000);
        let share = share(units);
        for _ in 0..units {
            let sender = sender.clone();
            tokio::spawn(async move {
                for n in 0..share {
                    sender.send(n).await.expect("a receiver");
                }
            });
        }
        drop(sender);
        let started = Instant::now();
        let mut total = 0;
        while let Some(n) = receiver.recv().await {
            total += n;
        }
        right(total, units * sum_below(share))?;
        Ok(started.elapsed().as_secs_f64() / share as f64)
    })
}

fn pool_processes(units: u64) -> Result<f64, Failure> {
    seconds(|| {
        let pool = Pool::builder().workers(2).build().map_err(|e| e.to_string())?;
        let results = pool.map(|n: u64| n, 0..units).map_err(|e| e.to_string())?;
        right(results.into_iter().sum::<u64>(), sum_below(units))
    })
}

fn pool_threads(units: u64) -> Result<f64, Failure> {
    seconds(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        let pool = pool.map_err(|e| e.to_string())?;
        let total: u64 =
            pool.install(|| (0..units).into_par_iter().map(std::hint::black_box).sum());
        right(total, sum_below(units))
    })
}

fn pool_tasks(units: u64) -> Result<f64, Failure> {
    seconds(|| {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(2).build();
        runtime.map_err(|e| e.to_string())?.block_on(async {
            let tasks: Vec<_> = (0..units).map(|n| tokio::spawn(async move { n })).collect();
            let mut total = 0;
            for task in tasks {
                total += task.await.map_err(|e| e.to_string())?;
            }
            right(total, sum_below(units))
        })
    })
}

/// The number asked for is small, so that its square is one digit or two, however many ask.
fn number(n: u64) -> u32 {
    (n % 10) as u32
}

fn squares(units: u64) -> u64 {
    (0..units).map(|n| u64::from(number(n)).pow(2)).sum()
}

fn io_processes(units: u64) -> Result<f64, Failure> {
    let server = SlowServer::start(ANSWER_AFTER);
    let ask =
        |(n, address): (u64, SocketAddr)| util::work::ask(address, number(n)).expect("an answer");
    seconds(|| right(sum(children(units, ask, &server.address)?)?, squares(units)))
}

fn io_threads(units: u64) -> Result<f64, Failure> {
    let server = SlowServer::start(ANSWER_AFTER);
    let address = server.address;
    let error = Arc::new(Mutex::new(None));
    let ask = {
        let error = error.clone();
        move |n| {
            util::work::ask(address, number(n)).unwrap_or_else(|e| {
                *error.lock().unwrap() = Some(e.to_string());
                0
            })
        }
    };
    seconds(|| {
        let (threads, started) = threads(units, ask);
        let mut total = 0;
        for thread in threads {
            total += thread.join().map_err(panicked)?;
        }
        started?;
        if let Some(error) = error.lock().unwrap().take() {
            return Err(error.into());
        }
        right(total, squares(units))
    })
}

fn io_pool(units: u64) -> Result<f64, Failure> {
    let server = SlowServer::start(ANSWER_AFTER);
    let address = server.address;
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(16).build().map_err(|e| e.to_string())?;
    seconds(|| {
        let ask = |n| util::work::ask(address, number(n)).map_err(|e| e.to_string());
        let total: u64 =
            pool.install(|| (0..units).into_par_iter().map(ask).sum::<Result<_, _>>())?;
        right(total, squares(units))
    })
}

fn io_tasks(units: u64) -> Result<f64, Failure> {
    let server = SlowServer::start(ANSWER_AFTER);
    let address = server.address;
    seconds(|| {
        one_thread().block_on(async {
            let ask = |n| tokio::spawn(slow_server::ask(address, number(n)));
            let tasks: Vec<_> = (0..units).map(ask).collect();
            let mut total = 0;
            for task in tasks {
                total += task.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
            }
            right(total, squares(units))
        })
    })
}

/// So many connections at once; the time is that of one request from each, so that one unit is one
/// request.
fn serve(model: Model, units: u64) -> Result<f64, Failure> {
    web::as_client(|| serve_here(model, units)).map_err(|e| e.to_string())?
}

fn serve_here(model: Model, units: u64) -> Result<f64, Failure> {
    servers::raise_descriptor_limit();
    let share = REQUESTS.max(units) / units;
    let server = Server::start(model, units as usize).map_err(|e| e.to_string())?;
    let took = Client::connect(server.address, units as usize, true).and_then(|mut client| {
        client.settle()?;
        timed(&mut client, units * share)
    });
    let took = took.map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData => Failure::Wrong(e.to_string()),
        _ => Failure::Broke(server.why(e)),
    })?;
    Ok(took.as_secs_f64() / share as f64)
}

/// What a point's process does: prints the seconds of each round, or, on the error output, why it
/// broke; returns its exit status.
fn one_point(question: &str, way: &str, units: u64, rounds: usize) -> i32 {
    let ways = QUESTIONS.iter().find(|(name, _)| *name == question).expect("a question").1;
    let (_, measure) = ways.iter().find(|(name, _)| *name == way).expect("a way");
    for _ in 0..rounds {
        match measure(units) {
            Ok(seconds) => println!("{seconds}"),
            Err(Failure::Broke(why)) => {
                let why = serde_json::to_string(&curves::explain(&why)).expect("text is JSON");
                eprintln!("{why}");
                return 1;
            }
            Err(Failure::Wrong(why)) => {
                eprintln!("{why}");
                return WRONG;
            }
        }
    }
    0
}

/// Starts a process for one point and waits for it.
fn point(question: &str, way: &str, units: u64, rounds: usize) -> io::Result<Outcome> {
    // The process and all that it starts are one group, so that what hangs can be ended together.
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--point", question, way, &units.to_string(), &rounds.to_string()])
        .process_group(0)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut errors = child.stderr.take().expect("it is piped");
    let said = thread::spawn(move || {
        let mut text = Vec::new();
        _ = errors.read_to_end(&mut text);
        String::from_utf8_lossy(&text).trim().to_owned()
    });
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            let group = rustix::process::Pid::from_child(&child);
            _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            child.wait()?;
            let limit = LIMIT.as_secs();
            return Ok(Outcome::NotTried([
                format!("{rounds} rounds, with all they need, take more than {limit} s"),
                format!("{rounds} 轮连同准备超过 {limit} 秒"),
            ]));
        }
        thread::sleep(Duration::from_millis(5));
    };
    let mut text = String::new();
    child.stdout.take().expect("it is piped").read_to_string(&mut text)?;
    if !status.success() {
        let said = said.join().unwrap_or_default();
        // A panic's message stands on the line behind its place, before a note.
        let lines = || said.lines().filter(|line| !line.starts_with("note: "));
        let last = lines().next_back().unwrap_or_default();
        if status.code() == Some(WRONG) {
            return Err(io::Error::other(format!("curve/{question}/{way} {units}: {last}")));
        }
        let why = serde_json::from_str(last).unwrap_or_else(|_| {
            curves::explain(&if last.is_empty() { status.to_string() } else { last.to_owned() })
        });
        return Ok(Outcome::Broke(why));
    }
    let times: Result<Vec<f64>, _> = text.lines().map(str::parse).collect();
    Ok(Outcome::Took(times.map_err(io::Error::other)?))
}

/// How thoroughly.
struct Pace {
    units: Vec<u64>,
    rounds: usize,
    /// Of so many units, one round says enough.
    once_from: u64,
    /// What would take longer than this is not tried.
    most: Duration,
}

/// Waits for what a point left behind when it was ended or broke: it is on its way out, and what it
/// cost is ours.
fn wait_for_orphans() {
    let deadline = Instant::now() + LIMIT;
    while let Ok(ended) = rustix::process::wait(WaitOptions::NOHANG) {
        if ended.is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(Instant::now() < deadline, "a process that was to end did not");
    }
}

fn curve(question: &str, way: &str, pace: &Pace) -> io::Result<Vec<Point>> {
    let mut points: Vec<Point> = Vec::new();
    for &units in &pace.units {
        let rounds = if units >= pace.once_from { 1 } else { pace.rounds };
        let outcome = match points.last().map(|point| &point.outcome) {
            Some(Outcome::Took(times)) if units >= 1000 => {
                let slowest = times.iter().copied().fold(0.0, f64::max);
                let all = slowest * 10.0 * rounds as f64;
                if all > pace.most.as_secs_f64() {
                    Outcome::NotTried([
                        format!("it would take about {all:.0} s"),
                        format!("大约需要 {all:.0} 秒"),
                    ])
                } else {
                    point(question, way, units, rounds)?
                }
            }
            _ => point(question, way, units, rounds)?,
        };
        wait_for_orphans();
        let goes_on = matches!(outcome, Outcome::Took(_));
        match &outcome {
            Outcome::Took(times) => {
                let best = times.iter().copied().fold(f64::INFINITY, f64::min);
                let each = benches::language::time(best / units as f64);
                println!("curve/{question}/{way:<18} {units:>8}: {each} each");
            }
            Outcome::Broke([why, _]) => {
                println!("curve/{question}/{way:<18} {units:>8}: broke: {why}");
            }
            Outcome::NotTried([why, _]) => {
                println!("curve/{question}/{way:<18} {units:>8}: {why}");
            }
        }
        points.push(Point { units, outcome });
        if !goes_on {
            break;
        }
    }
    Ok(points)
}

fn main() -> io::Result<()> {
    multiproc::init();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [flag, question, way, units, rounds] = &arguments[..]
        && flag == "--point"
    {
        let (units, rounds) = (units.parse().expect("a number"), rounds.parse().expect("a number"));
        exit(one_point(question, way, units, rounds));
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let chosen = arguments.iter().find(|a| !a.starts_with('-')).map_or("", String::as_str);
    let mut pace = Pace {
        units: UNITS.to_vec(),
        rounds: 7,
        once_from: 10_000,
        most: 2 * LIMIT, // not quite in proportion: it may take less
    };
    if has("--on") {
        pace.units.extend([100_000, 1_000_000]);
    }
    if has("--quick") {
        (pace.rounds, pace.once_from, pace.most) = (3, 1_000, Duration::from_secs(12));
    }
    if has("--test") {
        pace.units.truncate(2);
        pace.rounds = 1;
    }
    // Two questions that ask the same of a way share its curve.
    let mut known: Vec<(Measure, Vec<Point>)> = Vec::new();
    for (question, ways) in QUESTIONS {
        if !format!("curve/{question}").contains(chosen) {
            continue;
        }
        let mut found = Curves::new();
        for &(way, measure) in ways {
            let same = known.iter().find(|(known, _)| std::ptr::fn_addr_eq(*known, measure));
            let points = match same {
                Some((_, points)) => points.clone(),
                None => curve(question, way, &pace)?,
            };
            known.push((measure, points.clone()));
            found.insert(way.into(), points);
        }
        if has("--test") {
            let broken = found.values().flatten().find(|p| !matches!(p.outcome, Outcome::Took(_)));
            assert_eq!(broken, None, "few units break nothing");
        } else {
            curves::write(question, found)?;
        }
    }
    Ok(())
}
