//! Every time-out of the library takes every duration: none, a nanosecond, more than the clock can
//! represent, and what lies between.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use multiproc::pipe::{self, RecvError, SendError};
use multiproc::queue::{GetError, PutError, Queue};
use multiproc::ring::{self, EventCount, RingError};
use multiproc::sync::{Barrier, BarrierError, Condvar, Event, Mutex, Semaphore};
use multiproc::{JoinError, Pool, TaskError, spawn};

harness::tests!([
    every_function_with_a_duration_is_tested,
    a_wait_that_has_something_to_return_takes_any_duration,
    a_short_wait_for_nothing_ends,
    an_endless_wait_lasts_until_there_is_something,
] helpers []);

/// The public functions that take a duration or a deadline, as they stand in the source: the layer,
/// and the name.
const TESTED: &[(&str, &str)] = &[
    ("ipc", "recv_timeout"),
    ("ipc", "send_timeout"),
    ("ipc", "wait"),
    ("pool", "get_timeout"),
    ("pool", "time_limit"),
    ("process", "join_timeout"),
    ("queue", "get_timeout"),
    ("queue", "put_timeout"),
    ("shm", "recv"),
    ("shm", "send"),
    ("shm", "wait"),
    ("sync", "acquire_timeout"),
    ("sync", "lock_timeout"),
    ("sync", "wait_timeout"),
    ("sync", "wait_timeout_while"),
];

fn every_function_with_a_duration_is_tested() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let tested = TESTED.iter().map(|(layer, name)| (layer.to_string(), name.to_string()));
    let tested = tested.collect::<BTreeSet<_>>();
    assert_eq!(harness::functions_with_a_duration(&source), tested);
}

/// Durations, from none to more than any clock can represent.
fn durations() -> Vec<Duration> {
    // What the milliseconds of `poll`, the seconds of a `timespec`, and nanoseconds in 64 bits can
    // hold, and a little more.
    let limits = [i32::MAX as u64, u64::from(u32::MAX), i64::MAX as u64, u64::MAX];
    let seconds = limits.iter().flat_map(|limit| {
        [*limit, limit / 1000, limit / 1_000_000_000, limit / 1_000_000]
            .into_iter()
            .flat_map(|n| [n.saturating_sub(1), n, n.saturating_add(1)])
    });
    let nanoseconds = [0, 1, 999, 1000, 999_999, 1_000_000, 999_999_999];
    let mut all: Vec<Duration> = seconds.map(Duration::from_secs).collect();
    all.extend(limits.map(Duration::from_nanos));
    all.extend(limits.map(|limit| Duration::new(limit, 999_999_999)));
    all.extend(nanoseconds.map(Duration::from_nanos));
    all.push(Duration::MAX);
    all
}

/// The deadlines that can be made of them, and no deadline.
fn deadlines() -> Vec<Option<Instant>> {
    let mut all: Vec<_> =
        durations().iter().map(|time| Instant::now().checked_add(*time)).collect();
    // The latest instant there is, to the second.
    let mut step = Duration::from_secs(1 << 62);
    let mut latest = Instant::now();
    while step >= Duration::from_secs(1) {
        latest = latest.checked_add(step).unwrap_or(latest);
        step /= 2;
    }
    all.extend([Some(latest), Some(Instant::now())]);
    all
}

fn a_wait_that_has_something_to_return_takes_any_duration() {
    let queue = Queue::<u32>::bounded(1).unwrap();
    let (here, there) = pipe::duplex::<u32, u32>().unwrap();
    let (sender, receiver) = pipe::simplex::<u32>().unwrap();
    let child = spawn(|n: u32| n, 5).unwrap();
    child.join().unwrap();
    let pool = Pool::builder().workers(1).build().unwrap();
    for time in durations() {
        queue.put_timeout(&1, time).unwrap();
        assert_eq!(queue.get_timeout(time).unwrap(), 1, "{time:?}");
        here.send_timeout(&2, time).unwrap();
        assert_eq!(there.recv_timeout(time).unwrap(), 2, "{time:?}");
        sender.send_timeout(&3, time).unwrap();
        assert_eq!(pipe::wait(&[&receiver], time).unwrap(), [0], "{time:?}");
        assert_eq!(receiver.recv_timeout(time).unwrap(), 3, "{time:?}");
        assert_eq!(child.join_timeout(time), Ok(5), "{time:?}");
        let result = pool.apply_async(|n: u32| n, 6).unwrap();
        while !result.is_ready() {
            thread::yield_now();
        }
        assert!(matches!(result.get_timeout(time), Ok(Ok(6))), "{time:?}");
        // The shortest limits run out before the task has ended, or not.
        let limited = pool.options().time_limit(time).apply(|n: u32| n, 7);
        let is_short = time < Duration::from_secs(1) && limited == Err(TaskError::TimedOut);
        assert!(limited == Ok(7) || is_short, "{time:?}: {limited:?}");
    }
    let (mutex, changed) = (Mutex::new(7_u32).unwrap(), Condvar::new().unwrap());
    let (semaphore, event) = (Semaphore::new(1).unwrap(), Event::new().unwrap());
    let barrier = Barrier::new(1).unwrap();
    event.set();
    for time in durations() {
        let value = mutex.lock_timeout(time).unwrap();
        let waited = changed.wait_timeout_while(value, time, |value| *value != 7).unwrap();
        assert_eq!((*waited.0, waited.1), (7, false), "{time:?}");
        assert!(semaphore.acquire_timeout(time).is_some(), "{time:?}");
        assert!(event.wait_timeout(time), "{time:?}");
        assert_eq!(barrier.wait_timeout(time), Ok(true), "{time:?}");
    }
    let (mut sender, mut receiver) = ring::create(4096).unwrap();
    let events = EventCount::new().unwrap();
    for deadline in deadlines() {
        sender.send(b"x", deadline).unwrap();
        assert_eq!(receiver.recv(deadline).unwrap(), b"x", "{deadline:?}");
        let key = events.prepare();
        events.notify_all();
        events.wait(key, deadline);
    }
}

fn park_for_ever(_: ()) {
    loop {
        thread::park();
    }
}

fn a_short_wait_for_nothing_ends() {
    let full = Queue::<u32>::bounded(1).unwrap();
    full.put(&1).unwrap();
    let empty = Queue::<u32>::unbounded().unwrap();
    let (here, there) = pipe::duplex::<Vec<u8>, u32>().unwrap();
    while here.send_timeout(&vec![0; 30_000], Duration::ZERO).is_ok() {}
    let running = spawn(park_for_ever, ()).unwrap();
    let pool = Pool::builder().workers(1).build().unwrap();
    let limited = Pool::builder().workers(1).build().unwrap();
    let mut result = pool.apply_async(park_for_ever, ()).unwrap();
    let (mut ring, mut from_ring) = ring::create(4096).unwrap();
    ring.try_send(&[0; 4000]).unwrap();
    from_ring.recv(None).unwrap();
    let (mutex, changed) = (Mutex::new(7_u32).unwrap(), Condvar::new().unwrap());
    let (semaphore, event) = (Semaphore::new(0).unwrap(), Event::new().unwrap());
    for time in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_micros(1),
        Duration::from_millis(3),
    ] {
        assert!(matches!(full.put_timeout(&2, time), Err(PutError::TimedOut)), "{time:?}");
        assert!(matches!(empty.get_timeout(time), Err(GetError::TimedOut)), "{time:?}");
        assert!(matches!(here.send_timeout(&vec![0; 30_000], time), Err(SendError::TimedOut)));
        assert!(matches!(here.recv_timeout(time), Err(RecvError::TimedOut)), "{time:?}");
        assert!(pipe::wait(&[&here], time).unwrap().is_empty(), "{time:?}");
        assert_eq!(running.join_timeout(time), Err(JoinError::TimedOut), "{time:?}");
        result = result.get_timeout(time).expect_err("it has none");
        let ended = limited.options().time_limit(time).apply(park_for_ever, ());
        assert_eq!(ended, Err(TaskError::TimedOut), "{time:?}");
        let deadline = Instant::now().checked_add(time);
        assert_eq!(from_ring.recv(deadline), Err(RingError::TimedOut), "{time:?}");
        let held = mutex.lock().unwrap();
        thread::scope(|scope| {
            let other = scope.spawn(|| mutex.lock_timeout(time).is_err());
            assert!(other.join().unwrap(), "{time:?}");
        });
        let waited = changed.wait_timeout_while(held, time, |_| true).unwrap();
        assert!(waited.1, "{time:?}");
        assert!(semaphore.acquire_timeout(time).is_none(), "{time:?}");
        assert!(!event.wait_timeout(time), "{time:?}");
        let barrier = Barrier::new(2).unwrap();
        assert_eq!(barrier.wait_timeout(time), Err(BarrierError::TimedOut), "{time:?}");
    }
    drop((there, result, pool));
    running.kill().unwrap();
    running.join().unwrap_err();
}

/// With the longest duration each of them waits, and is woken by what it waits for.
fn an_endless_wait_lasts_until_there_is_something() {
    let max = Duration::MAX;
    let full = Queue::<u32>::bounded(1).unwrap();
    full.put(&1).unwrap();
    let empty = Queue::<u32>::unbounded().unwrap();
    let (here, there) = pipe::duplex::<u32, u32>().unwrap();
    let (go, gate) = pipe::simplex::<()>().unwrap();
    let child = spawn(|gate: pipe::Receiver<()>| gate.recv().is_err(), gate).unwrap();
    let pool = Pool::builder().workers(1).build().unwrap();
    let queue = Queue::<u32>::unbounded().unwrap();
    let result = pool.apply_async(|queue: Queue<u32>| queue.get().unwrap(), queue.clone()).unwrap();
    let (mutex, changed) = (Mutex::new(7_u32).unwrap(), Condvar::new().unwrap());
    let (semaphore, event) = (Semaphore::new(1).unwrap(), Event::new().unwrap());
    let barrier = Barrier::new(2).unwrap();
    let (ended, ends) = mpsc::channel();
    let permit = semaphore.acquire();
    thread::scope(|scope| {
        let waits: Vec<Box<dyn FnOnce() + Send + '_>> = vec![
            Box::new(|| full.put_timeout(&2, max).unwrap()),
            Box::new(|| assert_eq!(empty.get_timeout(max).unwrap(), 3)),
            Box::new(|| assert_eq!(there.recv_timeout(max).unwrap(), 4)),
            Box::new(|| assert_eq!(pipe::wait(&[&child], max).unwrap(), [0])),
            Box::new(|| assert_eq!(child.join_timeout(max), Ok(true))),
            Box::new(|| assert!(matches!(result.get_timeout(max), Ok(Ok(5))))),
            Box::new(|| {
                let value = mutex.lock().unwrap();
                let waited = changed.wait_timeout_while(value, max, |value| *value == 7).unwrap();
                assert!(!waited.1);
            }),
            Box::new(|| assert!(semaphore.acquire_timeout(max).is_some())),
            Box::new(|| assert!(event.wait_timeout(max))),
            Box::new(|| assert!(barrier.wait_timeout(max).is_ok())),
        ];
        let count = waits.len();
        for wait in waits {
            let ended = ended.clone();
            scope.spawn(move || {
                wait();
                ended.send(()).unwrap();
            });
        }
        assert!(ends.recv_timeout(Duration::from_millis(200)).is_err(), "all of them wait");
        assert_eq!(full.get().unwrap(), 1);
        empty.put(&3).unwrap();
        here.send(&4).unwrap();
        drop(go);
        queue.put(&5).unwrap();
        *mutex.lock_timeout(max).unwrap() = 8;
        changed.notify_all();
        drop(permit);
        event.set();
        barrier.wait().unwrap();
        (0..count).for_each(|_| ends.recv_timeout(Duration::from_secs(60)).unwrap());
    });
    pool.join();
}
