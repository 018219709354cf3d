//! The pool: no task waits while a worker has nothing to do.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use harness::wait_until;
use multiproc::queue::{GetError, Queue};
use multiproc::{AsyncResult, Pool};
use rustix::process::{Pid, Signal, kill_process};

harness::tests!([
    a_worker_in_its_initializer_gets_no_task,
    tasks_behind_a_long_one_at_a_retiring_worker_move_on,
    tasks_of_a_chunk_behind_a_long_one_move_on,
    a_chunk_that_is_divided_runs_every_task_once,
    tasks_of_a_stopped_worker_move_on,
    a_chunk_of_a_stopped_worker_moves_on,
    results_in_a_log_do_not_wait_for_other_traffic,
] helpers []);

/// Longer than a test may take: nothing may wait for it.
const LONG: Duration = Duration::from_secs(3600);

/// A task that waits until the queue is closed, or does nothing.
type Task = (Queue<()>, u32, bool);

/// Returns the number, and the process that it ran in.
fn run((gate, n, waits): Task) -> (u32, u32) {
    if waits {
        assert!(matches!(gate.get(), Err(GetError::Closed)));
    }
    (n, std::process::id())
}

fn gate() -> Queue<()> {
    Queue::unbounded().unwrap()
}

fn pool(workers: usize) -> Pool {
    let pool = Pool::builder().workers(workers).build().unwrap();
    all_ready(&pool);
    pool
}

/// Waits until all workers have run a task.
fn all_ready(pool: &Pool) {
    let (gate, arrived) = (gate(), Queue::<u32>::unbounded().unwrap());
    let meet = |(gate, arrived): (Queue<()>, Queue<u32>)| {
        arrived.put(&std::process::id()).unwrap();
        let _ = gate.get();
    };
    let tasks: Vec<_> = (0..pool.workers())
        .map(|_| pool.apply_async(meet, (gate.clone(), arrived.clone())).unwrap())
        .collect();
    let ids: BTreeSet<u32> = (0..pool.workers()).map(|_| arrived.get().unwrap()).collect();
    assert_eq!(ids.len(), pool.workers());
    gate.close();
    tasks.into_iter().for_each(|task| task.get().unwrap());
}

fn signal(id: u32, signal: Signal) {
    kill_process(Pid::from_raw(id as i32).unwrap(), signal).unwrap();
}

fn a_worker_in_its_initializer_gets_no_task() {
    // One worker gets ready; the other one's initializer never ends.
    let setup = |token: Queue<()>| {
        if token.try_get().is_err() {
            thread::sleep(LONG);
        }
    };
    let token = gate();
    token.put(&()).unwrap();
    let builder = Pool::builder().workers(2).max_tasks_per_worker(1);
    let pool = builder.initializer(setup, token.clone()).build().unwrap();
    for n in 0..5 {
        // For the worker that takes the place of the one that runs this.
        token.put(&()).unwrap();
        assert_eq!(pool.apply(|n: u32| n, n), Ok(n));
    }
    drop(pool);

    let token = gate();
    token.put(&()).unwrap();
    let pool = Pool::builder().workers(2).initializer(setup, token).build().unwrap();
    let double = |n: u32| 2 * n;
    let handles: Vec<_> = (0..10).map(|n| pool.apply_async(double, n).unwrap()).collect();
    assert!(handles.into_iter().map(|handle| handle.get().unwrap()).eq((0..10).map(double)));
    for chunk in [1, 3, 100] {
        let doubled: Vec<u32> = (0..10).map(double).collect();
        let options = pool.options().chunk(chunk);
        assert_eq!(options.map(double, 0..10).unwrap(), doubled);
        assert!(options.imap(double, 0..10).map(Result::unwrap).eq(doubled.clone()));
        let unordered: BTreeSet<u32> =
            options.imap_unordered(double, 0..10).map(Result::unwrap).collect();
        assert!(unordered.into_iter().eq(doubled));
    }
}

fn tasks_behind_a_long_one_at_a_retiring_worker_move_on() {
    // The first task occupies one worker, which has reached its limit by the other tasks it was
    // given.
    let pool = Pool::builder().workers(2).max_tasks_per_worker(6).build().unwrap();
    let gate = gate();
    let handles: Vec<AsyncResult<_>> =
        (0..60).map(|n| pool.apply_async(run, (gate.clone(), n, n == 0)).unwrap()).collect();
    let mut handles = handles.into_iter();
    let first = handles.next().unwrap();
    let results: Vec<(u32, u32)> = handles.map(|handle| handle.get().unwrap()).collect();
    assert!(results.iter().map(|(n, _)| *n).eq(1..60));
    assert!(!first.is_ready());
    gate.close();
    assert_eq!(first.get().unwrap().0, 0);
    pool.join();
}

fn tasks_of_a_chunk_behind_a_long_one_move_on() {
    for workers in [2, 3] {
        for (chunk, limit) in [(8, None), (100, None), (100, Some(10_000))] {
            let mut builder = Pool::builder().workers(workers);
            if let Some(limit) = limit {
                builder = builder.max_tasks_per_worker(limit);
            }
            let pool = builder.build().unwrap();
            all_ready(&pool);
            // The first of the chunk, one in the middle, and its last but one.
            for waits in [0, chunk / 2, chunk - 2] {
                let gate = gate();
                let theirs = gate.clone();
                let arguments = (0..chunk).map(move |n| (theirs.clone(), n, n == waits));
                let mut results =
                    pool.options().chunk(chunk as usize).imap_unordered(run, arguments);
                let others: BTreeSet<u32> = results
                    .by_ref()
                    .take(chunk as usize - 1)
                    .map(|result| result.unwrap().0)
                    .collect();
                assert!(others.into_iter().eq((0..chunk).filter(|n| *n != waits)));
                gate.close();
                assert_eq!(results.next().unwrap().unwrap().0, waits);
            }
            pool.join();
        }
    }
}

fn a_chunk_that_is_divided_runs_every_task_once() {
    let pool = pool(3);
    let runs = Queue::<u32>::unbounded().unwrap();
    let count = |(runs, n): (Queue<u32>, u32)| {
        runs.put(&n).unwrap();
        // Some take long enough that the chunk is divided.
        thread::sleep(Duration::from_micros(if n.is_multiple_of(7) { 1500 } else { 20 }));
        n
    };
    for round in 0..6 {
        let tasks = 600;
        let results =
            pool.options().chunk(600).map_each(count, (0..tasks).map(|n| (runs.clone(), n)));
        assert!(results.into_iter().map(Result::unwrap).eq(0..tasks), "{round}");
        let mut ran: Vec<u32> = (0..runs.len()).map(|_| runs.get().unwrap()).collect();
        ran.sort_unstable();
        assert!(ran.into_iter().eq(0..tasks), "{round}");
    }
    pool.join();
}

fn tasks_of_a_stopped_worker_move_on() {
    let pool = pool(2);
    let ids = pool.worker_ids();
    signal(ids[0], Signal::STOP);
    // The other one has nothing to do, and gets them all.
    for _ in 0..3 {
        let handles: Vec<_> =
            (0..20).map(|n| pool.apply_async(run, (gate(), n, false)).unwrap()).collect();
        for (n, handle) in (0..).zip(handles) {
            assert_eq!(handle.get(), Ok((n, ids[1])));
        }
    }
    signal(ids[0], Signal::CONT);
    // It goes on, and is used again.
    assert!(wait_until(Duration::from_secs(60), || {
        let results = pool.options().chunk(1).map(
            |n: u32| {
                thread::sleep(Duration::from_millis(1));
                (n, std::process::id())
            },
            0..20,
        );
        results.unwrap().iter().any(|(_, id)| *id == ids[0])
    }));
    assert_eq!(pool.worker_ids(), ids);
    pool.join();
}

fn a_chunk_of_a_stopped_worker_moves_on() {
    let pool = pool(2);
    let ids = BTreeSet::from_iter(pool.worker_ids());
    // It stops itself in the middle of a chunk.
    let stop_at = |(n, at): (u32, u32)| {
        if n == at {
            kill_process(rustix::process::getpid(), Signal::STOP).unwrap();
        }
        (n, std::process::id())
    };
    for at in [0, 5, 98] {
        let mut results =
            pool.options().chunk(100).imap_unordered(stop_at, (0..100).map(move |n| (n, at)));
        let others: BTreeSet<u32> =
            results.by_ref().take(99).map(|result| result.unwrap().0).collect();
        assert!(others.into_iter().eq((0..100).filter(|n| *n != at)));
        ids.iter().for_each(|id| signal(*id, Signal::CONT));
        assert_eq!(results.next().unwrap().unwrap().0, at);
        assert!(results.next().is_none());
    }
    assert_eq!(BTreeSet::from_iter(pool.worker_ids()), ids);
    pool.join();
}

fn results_in_a_log_do_not_wait_for_other_traffic() {
    let pool = pool(2);
    let gate = gate();
    let theirs = gate.clone();
    // The first result of a chunk whose second task waits, while another thread keeps the pool
    // busy.
    let arguments = (0..2).map(move |n| (theirs.clone(), n, n == 1));
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(pool.apply(|n: u32| n, 1), Ok(1));
            }
        });
        let mut results = pool.options().chunk(2).imap(run, arguments);
        assert_eq!(results.next().unwrap().unwrap().0, 0);
        gate.close();
        assert_eq!(results.next().unwrap().unwrap().0, 1);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    pool.join();
}
