//! Handing a message over: from one process to another by the queue of `multiproc`, its pipe, its
//! single-writer ring and `ipc-channel`; from one thread to another by `std`'s channel,
//! `crossbeam`'s, a pipe and two sockets of the system; from one async task to another by `tokio`'s
//! channel.
//!
//! Measured: messages received one after the other while the other side sends as fast as it can. So
//! this is throughput, not latency. The last one is asserted to be the last one sent. Left out:
//! several on a side (`scripts/compare-python` has two and two), a receiver that has to be woken
//! for each message.

use criterion::{Criterion, Throughput, measurement::WallTime};
use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};
use multiproc::{Child, Queue, pipe, ring};
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use tokio::runtime;

/// What is sent.
trait Message: Send + PartialEq + std::fmt::Debug + 'static {
    fn send(&self, to: &mut impl Write) -> io::Result<()>;
    /// One as long as `room`, which it is read into.
    fn receive(from: &mut impl Read, room: &mut [u8]) -> io::Result<Self>
    where
        Self: Sized;
}

impl Message for u64 {
    fn send(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.to_le_bytes())
    }

    fn receive(from: &mut impl Read, room: &mut [u8]) -> io::Result<u64> {
        from.read_exact(room)?;
        Ok(u64::from_le_bytes(room.try_into().map_err(io::Error::other)?))
    }
}

impl Message for String {
    fn send(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(self.as_bytes())
    }

    fn receive(from: &mut impl Read, room: &mut [u8]) -> io::Result<String> {
        from.read_exact(room)?;
        str::from_utf8(room).map(String::from).map_err(io::Error::other)
    }
}

fn number(n: u64) -> u64 {
    n
}

/// `Queue` and `ipc-channel` both copy a `String` in one piece, other sequences of bytes one by
/// one.
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

/// How many messages a queue or a channel may hold: about as many bytes of large ones as of small
/// ones.
fn room<M: Message>(make: fn(u64) -> M) -> usize {
    let mut one = Vec::new();
    make(0).send(&mut one).unwrap();
    if one.len() < 1 << 20 { 1000 } else { 4 }
}

/// Sends one more than asked for, each time it is asked, until nobody will ask again.
fn send_all<M>(go: &Queue<u64>, make: fn(u64) -> M, mut send: impl FnMut(M)) {
    while let Ok(count) = go.get() {
        (0..=count).for_each(|n| send(make(n)));
    }
}

fn main() {
    multiproc::init();
    let mut criterion = Criterion::default().configure_from_args();
    for (size, bytes) in [("number", 8), ("64_bytes", 64), ("1_MiB", 1 << 20)] {
        let mut group = criterion.benchmark_group(format!("message/{size}"));
        group.throughput(if bytes > 8 {
            Throughput::Bytes(bytes)
        } else {
            Throughput::Elements(1)
        });
        if bytes > 64 {
            group.sample_size(10);
        }
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
            let queue = Queue::<$message>::bounded(room($make)).unwrap();
            let child = multiproc::spawn(
                |(go, queue): (Queue<u64>, Queue<$message>)| {
                    send_all(&go, $make, |m| queue.put(&m).unwrap())
                },
                (go, queue.clone()),
            );
            (child.unwrap(), move || queue.get().unwrap())
        });
        bench!($group, "pipe", $make, $message, |go: Queue<u64>| {
            let (sender, receiver) = pipe::simplex::<$message>().unwrap();
            let child = multiproc::spawn(
                |(go, sender): (Queue<u64>, pipe::Sender<$message>)| {
                    send_all(&go, $make, |m| sender.send(&m).unwrap());
                },
                (go, sender),
            );
            (child.unwrap(), move || receiver.recv().unwrap())
        });
        bench!($group, "ipc_channel", $make, $message, |go: Queue<u64>| {
            let (server, name) = IpcOneShotServer::<IpcReceiver<$message>>::new().unwrap();
            let child = multiproc::spawn(
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
        between_threads($group, "threads_mpsc", $make, || {
            let (sender, receiver) = mpsc::sync_channel(room($make));
            (move |m| sender.send(m).unwrap(), move || receiver.recv().unwrap())
        });
        between_threads($group, "threads_crossbeam", $make, || {
            let (sender, receiver) = crossbeam_channel::bounded(room($make));
            (move |m| sender.send(m).unwrap(), move || receiver.recv().unwrap())
        });
        between_threads($group, "threads_pipe", $make, || {
            let (receiver, sender) = io::pipe().unwrap();
            by_bytes($make, sender, receiver)
        });
        between_threads($group, "threads_socket", $make, || {
            let (sender, receiver) = UnixStream::pair().unwrap();
            by_bytes($make, sender, receiver)
        });
        between_threads($group, "threads_tcp", $make, || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            sender.set_nodelay(true).unwrap();
            by_bytes($make, sender, listener.accept().unwrap().0)
        });
        between_tasks($group, $make);
    }};
}

/// The same between threads of this process: `connect` makes the two ends.
fn between_threads<M: Message, S: FnMut(M) + Send, R: FnMut() -> M>(
    group: &mut Group,
    name: &str,
    make: fn(u64) -> M,
    connect: impl Fn() -> (S, R),
) {
    group.bench_function(name, |b| {
        let go = Queue::<u64>::unbounded().unwrap();
        let (send, mut next) = connect();
        thread::scope(|s| {
            s.spawn(|| send_all(&go, make, send));
            b.iter_custom(|count| receive(&go, count, make, &mut next));
            go.close();
        });
    });
}

/// A system call a message on each side.
fn by_bytes<M: Message>(
    make: fn(u64) -> M,
    mut sender: impl Write + Send,
    mut receiver: impl Read,
) -> (impl FnMut(M) + Send, impl FnMut() -> M) {
    let mut one = Vec::new();
    make(0).send(&mut one).unwrap();
    let mut room = one;
    (
        move |m: M| m.send(&mut sender).unwrap(),
        move || M::receive(&mut receiver, &mut room).unwrap(),
    )
}

/// Two tasks on one thread: they take turns, nobody is woken.
fn between_tasks<M: Message>(group: &mut Group, make: fn(u64) -> M) {
    group.bench_function("async_channel", |b| {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        b.iter_custom(|count| {
            runtime.block_on(async {
                let (sender, mut receiver) = tokio::sync::mpsc::channel(room(make));
                // From here on: the sender fills all the room before the receiver has its first
                // turn.
                let started = Instant::now();
                tokio::spawn(async move {
                    for n in 0..=count {
                        sender.send(make(n)).await.unwrap();
                    }
                });
                let first = receiver.recv().await;
                let mut last = first;
                for _ in 1..=count {
                    last = receiver.recv().await;
                }
                let took = started.elapsed();
                assert_eq!(last, Some(make(count)), "the last one is the last one sent");
                took.mul_f64(count as f64 / (count + 1) as f64)
            })
        });
    });
}

fn numbers(group: &mut Group) {
    all_ways!(group, number, u64);
    // Bytes that are nobody's message yet: what a queue can at best come near to.
    group.bench_function("ring_bytes", |b| {
        let go = Queue::<u64>::unbounded().unwrap();
        let (sender, mut receiver) = ring::create(1 << 16).unwrap();
        let child = multiproc::spawn(
            |(go, mut sender): (Queue<u64>, ring::Sender)| {
                send_all(&go, number, |m| sender.send(&m.to_le_bytes(), None).unwrap());
            },
            (go.clone(), sender),
        );
        let mut next = || u64::from_le_bytes(receiver.recv(None).unwrap().try_into().unwrap());
        b.iter_custom(|count| receive(&go, count, number, &mut next));
        go.close();
        child.unwrap().join().unwrap();
    });
}

fn texts<const N: usize>(group: &mut Group) {
    all_ways!(group, text::<N>, String);
}
