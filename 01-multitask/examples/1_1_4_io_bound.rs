//! 1.1.4 · IO 密集型 · IO-bound work: a hundred requests in four ways, and which of them to choose.
//!
//! Python: use threads or coroutines: the interpreter lock is released while one waits.
//! Rust: the same, without the lock. One way asks one request after the other; the other three wait
//! for a hundred answers at once. They differ in what one waiting unit costs: a process costs the
//! most, a task the least. The last line is derived from this machine's figures, and changes when
//! they do.
//!
//! Run: `cargo run --example 1_1_4_io_bound`, with `--release` for figures that count (a quarter of
//! a minute: one after the other takes a hundred ticks)
//! Notes: `notes/en/01-multitask.md#io-bound` · `notes/zh-CN/01-multitask.md#io-bound`
//!
//! ```output
//! build: [..]
//! 100 requests  [..] wall  requests a second  [..] CPU  memory for all
//! one after the other  [..]
//! async tasks  [..]
//! threads  [..]
//! processes  [..]
//! advice: [..]
//! ```

use multiproc::Queue;
use multitask::advice::{IoBound, io_bound};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use util::{
    measure::{self, Cost, Table, memory},
    tick,
    work::{SlowServer, ask},
};

const REQUESTS: u32 = 100;

fn main() -> util::Result<()> {
    util::case!();
    multiproc::init();
    println!("build: {}", multitask::build());
    // In a process of its own, so that only the asking is measured.
    let address = Queue::unbounded()?;
    let server = multiproc::spawn(serve, (address.clone(), tick::length()))?;
    let address: SocketAddr = address.get()?;

    ask(address, 0)?; // warm
    let one_after_the_other = || (0..REQUESTS).map(|n| answer(ask(address, n))).sum();
    // once: it is a hundred times the same
    let (sum, alone): (u64, Cost) = measure::cost(one_after_the_other);
    assert_eq!(sum, (0..u64::from(REQUESTS)).map(|n| n * n).sum());
    let ways: [&dyn Fn() -> u64; 3] =
        [&|| tasks(address, REQUESTS), &|| threads(address, REQUESTS), &|| {
            processes(address, REQUESTS)
        }];
    let (same, costs) = measure::in_turns(Duration::ZERO, ways);
    assert_eq!(same, sum);

    let head =
        [&format!("{REQUESTS} requests"), "wall", "requests a second", "CPU", "memory for all"];
    let mut table = Table::new(head);
    let rate = |cost: &Cost| f64::from(REQUESTS) / cost.wall.as_secs_f64();
    let mut row = |name: &str, cost: &Cost, memory: String| {
        let [wall, cpu] = [cost.wall, cost.cpu].map(|time| format!("{time:.1?}"));
        table.row([name.into(), wall, format!("{:.0}", rate(cost)), cpu, memory]);
    };
    row("one after the other", &alone, "-".into());
    let mut figures = Vec::new();
    for (n, (name, cost)) in ["async tasks", "threads", "processes"].iter().zip(&costs).enumerate()
    {
        // In a fresh process: one that has had a hundred threads keeps some of their memory.
        let memory = multiproc::spawn(most_memory, (n, address))?.join()?;
        row(name, cost, format!("{} KiB", memory / 1024));
        figures.push(IoBound { name, rate: rate(cost), cpu: cost.cpu.as_secs_f64(), memory });
    }
    println!("{table}");
    println!("advice: {}", io_bound(rate(&alone), &figures));
    server.kill()?;
    Ok(())
}

// ANCHOR: ways
fn threads(address: SocketAddr, requests: u32) -> u64 {
    thread::scope(|s| {
        let start = |n| s.spawn(move || answer(ask(address, n)));
        let started: Vec<_> = (0..requests).map(start).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

fn processes(address: SocketAddr, requests: u32) -> u64 {
    let one = |(address, n)| answer(ask(address, n));
    let started: Vec<_> =
        (0..requests).map(|n| multiproc::spawn(one, (address, n)).unwrap()).collect();
    started.into_iter().map(|process| process.join().unwrap()).sum()
}

/// All on this thread.
fn tasks(address: SocketAddr, requests: u32) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let started: Vec<_> = (0..requests).map(|n| tokio::spawn(ask_async(address, n))).collect();
        let mut sum = 0;
        for task in started {
            sum += answer(task.await.unwrap());
        }
        sum
    })
}

/// `ask` once more; at each `await` the thread goes on with another task.
async fn ask_async(address: SocketAddr, number: u32) -> io::Result<u64> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(format!("{number}\n").as_bytes()).await?;
    let mut answer = String::new();
    if BufReader::with_capacity(64, connection).read_line(&mut answer).await? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server sent no answer"));
    }
    answer.trim().parse().map_err(io::Error::other)
}
// ANCHOR_END: ways

/// An answer that does not come ends the program: a hundred connections may be more than a limit
/// allows.
fn answer(answer: io::Result<u64>) -> u64 {
    answer.unwrap_or_else(|e| util::fail(format_args!("a request failed (see `ulimit -a`): {e}")))
}

/// The other side: says where it is, and answers until it is killed.
fn serve((address, delay): (Queue<SocketAddr>, Duration)) {
    let server = SlowServer::start(delay).unwrap();
    address.put(&server.address()).unwrap();
    loop {
        thread::park();
    }
}

/// How much more memory this process and its children held while the `n`th way ran, at the most.
fn most_memory((n, address): (usize, SocketAddr)) -> u64 {
    let held = || {
        let children = multiproc::active_children();
        let ids = children.iter().map(|child| child.id()).chain([std::process::id()]);
        ids.filter_map(|id| memory(id).ok()).sum::<u64>() // one may have ended meanwhile
    };
    let (ready, over) = (Barrier::new(2), AtomicBool::new(false));
    thread::scope(|s| {
        let more = s.spawn(|| {
            held(); // warm: to ask takes a little memory itself, the first time
            ready.wait();
            let before = held();
            ready.wait();
            let mut most = before;
            while !over.load(SeqCst) {
                most = most.max(held());
            }
            most - before
        });
        let way = [tasks, threads, processes][n];
        way(address, 1); // warm: the code is there, and the first thread's memory
        ready.wait();
        ready.wait();
        way(address, REQUESTS);
        over.store(true, SeqCst);
        more.join().unwrap()
    })
}
