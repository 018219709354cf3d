//! IO-bound work: 32 requests to a local server that answers each after 5 ms. So one after the
//! other takes 160 ms, and all at once 5.
//!
//! Measured: from the first request to the last answer, a connection each. Threads are started
//! within the time; the pools, rayon's threads and the runtimes before. The answers' sum is
//! asserted. The server is a process of its own on the same machine, and what it needs counts for
//! all ways. Left out: what a request costs when there is nothing to wait for (`serve`), and more
//! at once (the curves).

mod slow_server;

use criterion::{Criterion, Throughput};
use multiproc::Pool;
use rayon::prelude::*;
use slow_server::SlowServer;
use std::{net::SocketAddr, thread, time::Duration};
use tokio::runtime::{self, Runtime};
use util::work::ask;

const REQUESTS: u32 = 32;
const DELAY: Duration = Duration::from_millis(5);
/// Of the squares below `REQUESTS`.
const SUM: u64 = 10_416;

fn by_tasks(runtime: &Runtime, address: SocketAddr) -> u64 {
    runtime.block_on(async {
        let ask = |n| tokio::spawn(slow_server::ask(address, n));
        let tasks: Vec<_> = (0..REQUESTS).map(ask).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap().unwrap();
        }
        sum
    })
}

fn main() {
    multiproc::init();
    let mut criterion = Criterion::default().configure_from_args();
    let server = SlowServer::start(DELAY);
    let address = server.address;
    let mut group = criterion.benchmark_group("io_bound");
    group.throughput(Throughput::Elements(REQUESTS.into()));
    group.sample_size(10);

    group.bench_function("serial", |b| {
        b.iter(|| assert_eq!((0..REQUESTS).map(|n| ask(address, n).unwrap()).sum::<u64>(), SUM));
    });
    group.bench_function("threads", |b| {
        b.iter(|| {
            let sum: u64 = thread::scope(|s| {
                let ask = |n| s.spawn(move || ask(address, n).unwrap());
                let threads: Vec<_> = (0..REQUESTS).map(ask).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(sum, SUM);
        });
    });
    for (name, threads) in
        [("pool_threads", 16), ("rayon", thread::available_parallelism().unwrap().get())]
    {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        group.bench_function(name, |b| {
            let all = || (0..REQUESTS).into_par_iter().map(|n| ask(address, n).unwrap()).sum();
            b.iter(|| assert_eq!(pool.install::<_, u64>(all), SUM));
        });
    }
    let pool = Pool::builder().workers(8).build().unwrap();
    group.bench_function("processes", |b| {
        let ask_one = |(address, n): (SocketAddr, u32)| ask(address, n).unwrap();
        b.iter(|| {
            let requests = (0..REQUESTS).map(|n| (address, n));
            let answers = pool.options().chunk(1).map(ask_one, requests).unwrap();
            assert_eq!(answers.into_iter().sum::<u64>(), SUM);
        });
    });
    for (name, mut builder) in [
        ("async_one_thread", runtime::Builder::new_current_thread()),
        ("async_threads", runtime::Builder::new_multi_thread()),
    ] {
        let runtime = builder.enable_all().build().unwrap();
        group.bench_function(name, |b| b.iter(|| assert_eq!(by_tasks(&runtime, address), SUM)));
    }
    group.finish();
    criterion.final_summary();
}
