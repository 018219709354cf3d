//! The pool: workers that fail to start, and resources that are short.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use harness::{helper, wait_until};
use multiproc::pool::{Builder, PoolError};
use multiproc::queue::Queue;
use multiproc::{Pool, SpawnError, TaskError, active_children};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

harness::tests!([
    an_initializer_that_fails_breaks_the_pool_whatever_its_age,
    every_way_of_submitting_hears_that_the_pool_is_broken,
    a_worker_that_is_ready_keeps_the_pool_going,
    a_long_initializer_breaks_nothing,
    initializers_that_fail_at_first,
    workers_that_end_as_soon_as_they_are_ready,
    idle_workers_that_are_killed_break_nothing,
    failures_of_workers_with_a_limit_of_tasks_count,
    a_closed_pool_that_breaks_ends,
    a_breaking_pool_uses_little_time,
    a_shortage_of_descriptors_is_waited_for,
    an_argument_that_panics_leaves_no_worker,
] helpers [starved]);

fn increment(n: u32) -> u32 {
    n + 1
}

fn two() -> Builder {
    Pool::builder().workers(2)
}

/// The reason why the pool is broken.
fn reason<T: std::fmt::Debug>(result: Result<T, TaskError>) -> String {
    match result {
        Err(TaskError::Broken(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// Cannot be decoded.
#[derive(Serialize)]
struct Undecodable;

impl<'de> Deserialize<'de> for Undecodable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("never"))
    }
}

fn an_initializer_that_fails_breaks_the_pool_whatever_its_age() {
    let late = |millis: u64| {
        thread::sleep(Duration::from_millis(millis));
        panic!("not after {millis} ms")
    };
    let exit = |millis: u64| -> () {
        thread::sleep(Duration::from_millis(millis));
        std::process::exit(7)
    };
    let kill = |millis: u64| {
        thread::sleep(Duration::from_millis(millis));
        kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
        thread::sleep(Duration::from_secs(3600));
    };
    // Side by side, since each takes a while.
    let check = |builder: Builder, text: &str| {
        let pool = builder.build().unwrap();
        let waiting = pool.apply_async(increment, 1).unwrap();
        let found = reason(waiting.get());
        assert!(found.contains(text), "{found}");
        assert_eq!(reason(pool.apply(increment, 1)), found);
        pool.join();
    };
    let pool = |workers| Pool::builder().workers(workers);
    thread::scope(|scope| {
        scope.spawn(|| check(pool(1).initializer(late, 1010), "not after 1010 ms"));
        scope.spawn(|| check(pool(2).initializer(late, 0), "not after 0 ms"));
        scope.spawn(|| check(pool(2).initializer(exit, 1010), "code 7"));
        scope.spawn(|| check(pool(2).initializer(kill, 1010), "signal 9"));
        let undecodable = pool(1).initializer(|_: Undecodable| (), Undecodable);
        scope.spawn(|| check(undecodable, "cannot be decoded"));
    });
}

fn every_way_of_submitting_hears_that_the_pool_is_broken() {
    let fail = |()| -> () { panic!("no worker") };
    // Each is the first to wait.
    type Wait = fn(&Pool) -> Vec<Result<u32, TaskError>>;
    let waits: [Wait; 5] = [
        |pool| vec![pool.apply(increment, 1)],
        |pool| vec![pool.map(increment, 0..100).map(|_| 0)],
        |pool| pool.options().retry_lost().chunk(7).map_each(increment, 0..100),
        |pool| pool.imap(increment, 0..100).collect(),
        |pool| pool.options().chunk(10).imap_unordered(increment, 0..100).collect(),
    ];
    thread::scope(|scope| {
        for wait in waits {
            scope.spawn(move || {
                let pool = Pool::builder().workers(1).initializer(fail, ()).build().unwrap();
                for result in wait(&pool).into_iter().chain(wait(&pool)) {
                    assert!(reason(result).contains("no worker"));
                }
            });
        }
    });
}

fn a_worker_that_is_ready_keeps_the_pool_going() {
    // Whoever takes the token gets ready.
    let token = Queue::<()>::unbounded().unwrap();
    token.put(&()).unwrap();
    let starts = Queue::<()>::unbounded().unwrap();
    let setup = |(token, starts): (Queue<()>, Queue<()>)| {
        starts.put(&()).unwrap();
        token.try_get().expect("a token");
    };
    let pool = two().initializer(setup, (token.clone(), starts.clone())).build().unwrap();
    assert_eq!(pool.apply(increment, 1), Ok(2));
    // The other place fails more often than would break the pool.
    (0..7).for_each(|_| starts.get().unwrap());
    assert_eq!(pool.apply(increment, 1), Ok(2));
    // When the one that works is killed, the places are tried again.
    let ids = pool.worker_ids();
    token.put(&()).unwrap();
    ids.iter().for_each(|id| {
        let _ = kill_process(Pid::from_raw(*id as i32).unwrap(), Signal::KILL);
    });
    assert_eq!(pool.apply(increment, 1), Ok(2));
    drop(pool);
}

fn a_long_initializer_breaks_nothing() {
    // The token's owner takes long; the other place fails all the while.
    let token = Queue::<()>::unbounded().unwrap();
    token.put(&()).unwrap();
    let setup = |token: Queue<()>| {
        token.try_get().expect("a token");
        thread::sleep(Duration::from_secs(3));
    };
    let pool = two().initializer(setup, token).build().unwrap();
    assert_eq!(pool.map(increment, 0..10).unwrap().len(), 10);
    drop(pool);
}

fn initializers_that_fail_at_first() {
    // With one more failure in a row, the pool would be broken.
    for failures in [1, 5] {
        let tokens = Queue::<()>::unbounded().unwrap();
        (0..failures).for_each(|_| tokens.put(&()).unwrap());
        let setup = |tokens: Queue<()>| assert!(tokens.try_get().is_err(), "not yet");
        let pool = Pool::builder().workers(1).initializer(setup, tokens).build().unwrap();
        assert_eq!(pool.apply(increment, 1), Ok(2));
        pool.join();
    }
}

fn workers_that_end_as_soon_as_they_are_ready() {
    let starts = Queue::<()>::unbounded().unwrap();
    let setup = |starts: Queue<()>| {
        starts.put(&()).unwrap();
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(10));
            std::process::exit(3);
        });
    };
    let pool = two().initializer(setup, starts.clone()).build().unwrap();
    thread::sleep(Duration::from_secs(2));
    // The delay between two rounds has grown to one second; without any, there would be a hundred.
    assert!((4..=20).contains(&starts.len()), "{}", starts.len());
    // Nothing is wrong as far as tasks are concerned, but that they are short of time.
    let mut done = 0;
    while done < 3 {
        match pool.apply(increment, 1) {
            Ok(n) => done += n / 2,
            Err(error) => assert_eq!(error, TaskError::WorkerLost { signal: None }),
        }
    }
    pool.join();
}

fn idle_workers_that_are_killed_break_nothing() {
    let pool = two().build().unwrap();
    for round in 0..12 {
        // Ready, and of use once.
        assert_eq!(pool.apply(increment, round), Ok(round + 1));
        for id in pool.worker_ids() {
            let _ = kill_process(Pid::from_raw(id as i32).unwrap(), Signal::KILL);
        }
    }
    assert_eq!(pool.map(increment, 0..100).unwrap().len(), 100);
    pool.join();
    // Never of use, but ready.
    let starts = Queue::<()>::unbounded().unwrap();
    let setup = |starts: Queue<()>| starts.put(&()).unwrap();
    let pool = two().initializer(setup, starts.clone()).build().unwrap();
    for _ in 0..8 {
        (0..2).for_each(|_| starts.get().unwrap());
        thread::sleep(Duration::from_millis(30));
        for id in pool.worker_ids() {
            let _ = kill_process(Pid::from_raw(id as i32).unwrap(), Signal::KILL);
        }
    }
    assert_eq!(pool.map(increment, 0..100).unwrap().len(), 100);
    pool.join();
}

fn failures_of_workers_with_a_limit_of_tasks_count() {
    let fail = |()| -> () { panic!("no worker") };
    let pool = two().max_tasks_per_worker(1).initializer(fail, ()).build().unwrap();
    let handles: Vec<_> = (0..10).map(|n| pool.apply_async(increment, n)).collect();
    for handle in handles {
        assert!(reason(handle.and_then(multiproc::AsyncResult::get)).contains("no worker"));
    }
    pool.join();
}

fn a_closed_pool_that_breaks_ends() {
    let fail = |()| -> () { panic!("no worker") };
    let pool = two().initializer(fail, ()).build().unwrap();
    let waiting = pool.apply_async(increment, 1);
    pool.close();
    pool.join();
    assert!(reason(waiting.and_then(multiproc::AsyncResult::get)).contains("no worker"));
    assert!(active_children().is_empty());
}

fn a_breaking_pool_uses_little_time() {
    let starts = Queue::<()>::unbounded().unwrap();
    let setup = |starts: Queue<()>| -> () {
        starts.put(&()).unwrap();
        panic!("no worker")
    };
    let pool = two().initializer(setup, starts.clone()).build().unwrap();
    let _ = reason(pool.apply(increment, 1));
    pool.join();
    // Two in each of six rounds.
    assert!((6..=12).contains(&starts.len()), "{}", starts.len());
}

/// Opens files until none can be opened; they are given back when it is dropped.
fn take_all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// Kills the workers, waits with nothing left to start others with, and gives it back.
fn starved() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(100), ..limit }).unwrap();
    for workers in [1, 2] {
        let pool = Pool::builder().workers(workers).build().unwrap();
        assert_eq!(pool.map(increment, 0..100).unwrap().len(), 100);
        let taken = take_all_descriptors();
        for id in pool.worker_ids() {
            kill_process(Pid::from_raw(id as i32).unwrap(), Signal::KILL).unwrap();
        }
        assert!(wait_until(Duration::from_secs(60), || pool.worker_ids().is_empty()));
        // By every way: they wait.
        let one = pool.apply_async(increment, 1).unwrap();
        thread::scope(|scope| {
            let all = scope.spawn(|| pool.options().chunk(10).map(increment, 0..1000));
            let each = scope.spawn(|| pool.map_each(increment, 0..1000));
            let stream = scope.spawn(|| pool.imap(increment, 0..1000).all(|result| result.is_ok()));
            thread::sleep(Duration::from_millis(1500));
            assert!(!one.is_ready() && !all.is_finished() && !each.is_finished());
            drop(taken);
            assert_eq!(all.join().unwrap().unwrap().len(), 1000);
            assert!(each.join().unwrap().iter().all(Result::is_ok));
            assert!(stream.join().unwrap());
        });
        assert_eq!(one.get(), Ok(2));
        // A pool that cannot be started at all says so.
        let taken = take_all_descriptors();
        let error = Pool::builder().workers(1).build().err();
        drop(taken);
        assert!(matches!(error, Some(PoolError::Spawn(_))), "{error:?}");
        pool.join();
    }
}

fn a_shortage_of_descriptors_is_waited_for() {
    let output = helper("starved").stdout(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

static ENCODED: AtomicU32 = AtomicU32::new(0);

/// Panics at its second encoding.
#[derive(Deserialize)]
struct PanicsLater;

impl Serialize for PanicsLater {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(ENCODED.fetch_add(1, Ordering::Relaxed) == 0, "not again");
        serializer.serialize_unit()
    }
}

/// Panics at its first one.
#[derive(Deserialize)]
struct PanicsAtOnce;

impl Serialize for PanicsAtOnce {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("never")
    }
}

fn an_argument_that_panics_leaves_no_worker() {
    let build = || two().initializer(|_: PanicsAtOnce| (), PanicsAtOnce).build();
    assert!(catch_unwind(AssertUnwindSafe(build)).is_err());
    assert!(active_children().is_empty());
    // It is encoded once, for all workers, those that take another's place too.
    let pool = two().initializer(|PanicsLater| (), PanicsLater).build().unwrap();
    for _ in 0..3 {
        assert_eq!(pool.apply(increment, 1), Ok(2));
        for id in pool.worker_ids() {
            let _ = kill_process(Pid::from_raw(id as i32).unwrap(), Signal::KILL);
        }
    }
    assert_eq!(pool.apply(increment, 1), Ok(2));
    pool.join();
    assert_eq!(ENCODED.load(Ordering::Relaxed), 1);
    // An argument that refuses is an error.
    let (sender, _receiver) = multiproc::pipe::simplex::<u32>().unwrap();
    let error =
        two().initializer(|_: multiproc::pipe::Sender<u32>| (), sender).build().unwrap_err();
    assert!(matches!(error, PoolError::Spawn(SpawnError::Encode(_))), "{error}");
    assert!(active_children().is_empty());
}
