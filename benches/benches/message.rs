//! Handing a message over: from one process to another by the queue of `processes`, its pipe, its single-writer ring and `ipc-channel`;
//! and, for scale, from one thread to another by `std`'s channel.
//!
//! Measured: messages received one after the other while the other side sends as fast as it can. So this is throughput, not
//! latency. Each is asserted to be the right one. Left out: several on a side (`scripts/compare-python` has two and
//! two), a receiver that has to be woken for each message.

use criterion::{Criterion, Throughput, measurement::WallTime};
use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};
use processes::{Child, Queue, pipe, ring};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// What is sent: a number that says which message it is, and how much with it.
trait Message: Serialize + DeserializeOwned + Send + PartialEq + std::fmt::Debug + 'static {
    fn number(n: u64) -> Self;
}

impl Message for u64 {
    fn number(n: u64) -> u64 {
        n
    }
}

/// `Queue` and `ipc-channel` both copy a `String` in one piece, other sequences of bytes one by one.
fn text<const N: usize>(n: u64) -> String {
    let mut text = "x".repeat(N);
    text.replace_range(..8, &format!("{:08}", n % 100_000_000));
    text
}

type Group<'a> = criterion::BenchmarkGroup<'a, WallTime>;

/// Asks for as many messages as are wanted, and times their arrival.
fn receive<M: PartialEq + std::fmt::Debug>(
    go: &Queue<u64>,
    count: u64,
    make: fn(u64) -> M,
    mut next: impl FnMut() -> M,
) -> Duration {
    go.put(&count).unwrap();
    let first = next(); // the other side is at it now
    assert_eq!(first, make(0));
    let started = Instant::now();
    let mut last = first;
    for _ in 1..=count {
        last = next();
    }
    let took = started.elapsed();
    assert_eq!(last, make(count), "the last one is the last one sent");
    took
}

/// Sends one more than asked for, each time it is asked, until nobody will ask again.
fn send_all<M>(go: &Queue<u64>, make: fn(u64) -> M, mut send: impl FnMut(M)) {
    while let Ok(count) = go.get() {
        (0..=count).for_each(|n| send(make(n)));
    }
}

fn main() {
    processes::init();
    let mut criterion = Criterion::default().configure_from_args();
    for (size, bytes) in [("number", 8), ("64_bytes", 64), ("1_MiB", 1 << 20)] {
        let mut group = criterion.benchmark_group(format!("message/{size}"));
        group.throughput(if bytes > 8 {
            Throughput::Bytes(bytes)
        } else {
            Throughput::Elements(1)
        });
        match size {
            "number" => numbers(&mut group),
            "64_bytes" => texts::<64>(&mut group),
            _ => texts::<{ 1 << 20 }>(&mut group),
        }
        group.finish();
    }
    criterion.final_summary();
}

/// One benchmark: `start` starts the other side, which reads `go`, and returns how to receive.
macro_rules! bench {
    ($group:expr, $name:literal, $make:expr, $message:ty, $start:expr) => {
        $group.bench_function($name, |b| {
            let go = Queue::<u64>::unbounded().unwrap();
            let (child, mut next): (Child<()>, _) = $start(go.clone());
            b.iter_custom(|count| receive::<$message>(&go, count, $make, &mut next));
            go.close();
            child.join().unwrap();
        });
    };
}

macro_rules! all_ways {
    ($group:expr, $make:expr, $message:ty) => {{
        bench!($group, "queue", $make, $message, |go: Queue<u64>| {
            let queue = Queue::<$message>::bounded(1000).unwrap();
            let child = processes::spawn(
                |(go, queue): (Queue<u64>, Queue<$message>)| {
                    send_all(&go, $make, |m| queue.put(&m).unwrap())
                },
                (go, queue.clone()),
            );
            (child.unwrap(), move || queue.get().unwrap())
        });
        bench!($group, "pipe", $make, $message, |go: Queue<u64>| {
            let (sender, receiver) = pipe::simplex::<$message>().unwrap();
            let child = processes::spawn(
                |(go, sender): (Queue<u64>, pipe::Sender<$message>)| {
                    send_all(&go, $make, |m| sender.send(&m).unwrap());
                },
                (go, sender),
            );
            (child.unwrap(), move || receiver.recv().unwrap())
        });
        bench!($group, "ipc_channel", $make, $message, |go: Queue<u64>| {
            let (server, name) = IpcOneShotServer::<IpcReceiver<$message>>::new().unwrap();
            let child = processes::spawn(
                |(go, name): (Queue<u64>, String)| {
                    let (sender, receiver) = ipc::channel::<$message>().unwrap();
                    IpcSender::connect(name).unwrap().send(receiver).unwrap();
                    send_all(&go, $make, |m| sender.send(m).unwrap());
                },
                (go, name),
            );
            let (_, receiver) = server.accept().unwrap();
            (child.unwrap(), move || receiver.recv().unwrap())
        });
        $group.bench_function("threads_mpsc", |b| {
            let go = Queue::<u64>::unbounded().unwrap();
            let (sender, receiver) = mpsc::sync_channel(1000);
            thread::scope(|s| {
                s.spawn(|| send_all(&go, $make, |m| sender.send(m).unwrap()));
                b.iter_custom(|count| {
                    receive::<$message>(&go, count, $make, || receiver.recv().unwrap())
                });
                go.close();
            });
        });
    }};
}

fn numbers(group: &mut Group) {
    all_ways!(group, u64::number, u64);
    // Bytes that are nobody's message yet: what a queue can at best come near to.
    group.bench_function("ring_bytes", |b| {
        let go = Queue::<u64>::unbounded().unwrap();
        let (sender, mut receiver) = ring::create(1 << 16).unwrap();
        let child = processes::spawn(
            |(go, mut sender): (Queue<u64>, ring::Sender)| {
                send_all(&go, u64::number, |m| sender.send(&m.to_le_bytes(), None).unwrap());
            },
            (go.clone(), sender),
        );
        let mut next = || u64::from_le_bytes(receiver.recv(None).unwrap().try_into().unwrap());
        b.iter_custom(|count| receive(&go, count, u64::number, &mut next));
        go.close();
        child.unwrap().join().unwrap();
    });
}

fn texts<const N: usize>(group: &mut Group) {
    all_ways!(group, text::<N>, String);
}
