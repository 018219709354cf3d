//! Ten things that hang Python's `multiprocessing`, or lose items or leave orphans in it. Each has
//! a hard deadline here.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use harness::{helper, is_gone, wait_until};
use multiproc::queue::{GetError, PutError, Queue};
use multiproc::{JoinError, Pool, TaskError, active_children, spawn};
use rustix::process::{Pid, Signal, getpid, kill_process};
use serde::{Deserialize, Serialize, Serializer};

harness::tests!([
    a_worker_killed_in_a_task,
    both_idle_workers_killed,
    a_blocked_getter_terminated,
    a_putter_killed,
    join_with_unread_items,
    the_parent_killed,
    started_while_another_thread_holds_a_lock,
    one_death_and_the_innocent_tasks,
    a_value_that_cannot_be_encoded,
    put_then_get_at_once,
] helpers [owner_of_everything]);

/// Longer than anything here takes, and shorter than the harness's deadline: what would hang fails.
const SOON: Duration = Duration::from_secs(30);

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

fn kill(id: u32) {
    let _ = kill_process(Pid::from_raw(id as i32).unwrap(), Signal::KILL);
}

fn square(n: u32) -> u32 {
    n * n
}

/// Python: `apply` waits for ever; the task is lost.
fn a_worker_killed_in_a_task() {
    let pool = pool(2);
    let die = |()| -> () {
        kill(std::process::id());
        thread::sleep(Duration::from_secs(3600));
    };
    let task = pool.apply_async(die, ()).unwrap();
    assert_eq!(task.get_timeout(SOON).unwrap(), Err(TaskError::WorkerLost { signal: Some(9) }));
    assert_eq!(pool.apply_async(square, 4).unwrap().get_timeout(SOON).unwrap(), Ok(16));
    assert!(wait_until(SOON, || pool.worker_ids().len() == 2));
}

/// Python: one of them dies with the lock of the queue of tasks; the new workers wait for it for
/// ever.
fn both_idle_workers_killed() {
    let pool = pool(2);
    assert_eq!(pool.map(square, 0..4).unwrap(), [0, 1, 4, 9]);
    thread::sleep(Duration::from_millis(50));
    pool.worker_ids().into_iter().for_each(kill);
    let tasks: Vec<_> = (0..100).map(|n| pool.apply_async(square, n).unwrap()).collect();
    for (n, task) in (0..).zip(tasks) {
        assert_eq!(task.get_timeout(SOON).unwrap(), Ok(n * n));
    }
}

/// Python: it dies with the queue's lock; nobody ever gets again.
fn a_blocked_getter_terminated() {
    let queue = Queue::<u32>::bounded(10).unwrap();
    for round in 0..20 {
        let getter = spawn(|queue: Queue<u32>| queue.get().unwrap(), queue.clone()).unwrap();
        // So that it is blocked, most times, and caught on the way, sometimes.
        thread::sleep(Duration::from_millis(round));
        getter.terminate().unwrap();
        assert_eq!(getter.join_timeout(SOON), Err(JoinError::Killed { signal: 15 }));
        queue.put_timeout(&7, SOON).unwrap();
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.get_timeout(SOON).unwrap(), 7);
    }
    let getter = spawn(|queue: Queue<u32>| queue.get().unwrap(), queue.clone()).unwrap();
    queue.put(&8).unwrap();
    assert_eq!(getter.join_timeout(SOON), Ok(8));
}

/// Python: what it had put is in a thread of its own and goes with it; killed in the middle of a
/// write, it leaves the lock taken.
fn a_putter_killed() {
    let queue = Queue::<(u32, String)>::bounded(1000).unwrap();
    for round in 0..20_u32 {
        let put = |(queue, round): (Queue<(u32, String)>, u32)| -> () {
            for n in 0.. {
                queue.put(&(n, format!("{round}:{n}").repeat(500))).unwrap();
            }
        };
        let putter = spawn(put, (queue.clone(), round)).unwrap();
        thread::sleep(Duration::from_millis(1 + u64::from(round)));
        putter.kill().unwrap();
        assert_eq!(putter.join_timeout(SOON), Err(JoinError::Killed { signal: 9 }));
        let there = queue.len() as u32;
        for expected in 0..there {
            let (n, text) = queue.get_timeout(SOON).unwrap();
            assert_eq!((n, text), (expected, format!("{round}:{expected}").repeat(500)));
        }
        assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    }
    queue.put_timeout(&(0, String::new()), SOON).unwrap();
    assert_eq!(queue.len(), 1);
}

/// Python: the process waits until somebody reads what it has put; joining it first is a deadlock.
fn join_with_unread_items() {
    let queue = Queue::<String>::unbounded().unwrap();
    let put =
        |queue: Queue<String>| (0..100).for_each(|_| queue.put(&"x".repeat(100_000)).unwrap());
    let putter = spawn(put, queue.clone()).unwrap();
    assert_eq!(putter.join_timeout(SOON), Ok(()));
    assert_eq!(queue.len(), 100);
    (0..100).for_each(|_| assert_eq!(queue.get_timeout(SOON).unwrap().len(), 100_000));
}

/// A process with a child that has a child, and a pool at work.
fn owner_of_everything() {
    let sleep = |()| thread::sleep(Duration::from_secs(3600));
    let child = |()| {
        let grandchild = spawn(|()| thread::sleep(Duration::from_secs(3600)), ()).unwrap();
        println!("{}", grandchild.id());
        grandchild.join().unwrap();
    };
    let child = spawn(child, ()).unwrap();
    let pool = pool(2);
    let task = pool.apply_async(sleep, ()).unwrap();
    pool.worker_ids().iter().chain([&child.id()]).for_each(|id| println!("{id}"));
    task.get().unwrap();
}

/// Python: its children live on as orphans, and workers of its pool too.
fn the_parent_killed() {
    let mut owner = helper("owner_of_everything").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines().take(4);
    let ids: Vec<u32> = lines.map(|line| line.unwrap().parse().unwrap()).collect();
    assert_eq!(ids.len(), 4);
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(wait_until(Duration::from_secs(1), || ids.iter().all(|id| is_gone(*id))));
}

static LOCK: Mutex<u32> = Mutex::new(5);

/// Python, with `fork`: the child has a copy of the lock, taken, by a thread it does not have.
fn started_while_another_thread_holds_a_lock() {
    thread::scope(|scope| {
        let (locked, is_locked) = std::sync::mpsc::channel();
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            let _held = LOCK.lock().unwrap();
            let _error = std::io::stderr().lock();
            let _output = std::io::stdout().lock();
            locked.send(()).unwrap();
            let _ = is_done.recv();
        });
        is_locked.recv().unwrap();
        let take = |n: u32| {
            print!("");
            eprint!("");
            *LOCK.lock().unwrap() + n
        };
        let children: Vec<_> = (0..10).map(|n| spawn(take, n).unwrap()).collect();
        let results: Vec<_> = children.iter().map(|child| child.join_timeout(SOON)).collect();
        drop(done);
        assert!(results.into_iter().eq((5..15).map(Ok)));
    });
}

/// Python's `concurrent.futures`: one death breaks the pool, and every task not finished fails with
/// it.
fn one_death_and_the_innocent_tasks() {
    let pool = pool(2);
    let work = |n: u32| {
        if n == 50 {
            let _ = kill_process(getpid(), Signal::KILL);
        }
        thread::sleep(Duration::from_micros(500));
        n
    };
    for chunk in [1, 10] {
        let results = pool.options().chunk(chunk).map_each(work, 0..100);
        for (n, result) in (0..).zip(results) {
            let expected =
                if n == 50 { Err(TaskError::WorkerLost { signal: Some(9) }) } else { Ok(n) };
            assert_eq!(result, expected, "{n}");
        }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Never;

impl Serialize for Never {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

/// Python: `put` succeeds, a thread prints the error later, and the item is gone.
fn a_value_that_cannot_be_encoded() {
    let queue = Queue::<Result<u32, Never>>::bounded(2).unwrap();
    (0..5).for_each(|_| assert!(matches!(queue.put(&Err(Never)), Err(PutError::Encode(_)))));
    assert!(queue.is_empty());
    queue.try_put(&Ok(1)).unwrap();
    queue.try_put(&Ok(2)).unwrap();
    assert!(matches!(queue.try_put(&Ok(3)), Err(PutError::Full)));
    assert_eq!(queue.get_timeout(SOON).unwrap(), Ok(1));

    let pool = pool(1);
    assert!(matches!(pool.apply(|n: u32| (n, Never), 1), Err(TaskError::Encode(_))));
    assert!(matches!(
        pool.apply(|value: (u32, Never)| value.0, (1, Never)),
        Err(TaskError::Encode(_))
    ));
    assert_eq!(pool.apply(square, 3), Ok(9));
    assert!(matches!(spawn(|()| Never, ()).unwrap().join(), Err(JoinError::Encode(_))));
    assert!(active_children().len() == 1);
}

/// Python: `put` then `get_nowait` says `Empty`, for the item is still with the thread that writes
/// it; `empty` says so too (`qsize` does not).
fn put_then_get_at_once() {
    let queue = Queue::<u32>::bounded(10).unwrap();
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < Duration::from_millis(200) || rounds < 1000 {
        queue.put(&rounds).unwrap();
        assert_eq!((queue.len(), queue.is_empty()), (1, false));
        assert_eq!(queue.try_get().unwrap(), rounds);
        rounds += 1;
    }
    // From a process that exits at once: all of it is there.
    let put = |queue: Queue<u32>| -> () {
        (0..10).for_each(|n| queue.put(&n).unwrap());
        std::process::exit(0)
    };
    let putter = spawn(put, queue.clone()).unwrap();
    assert_eq!(putter.join_timeout(SOON), Err(JoinError::Exited { code: 0 }));
    assert!(queue.is_full());
    let got: BTreeSet<u32> = std::iter::from_fn(|| queue.try_get().ok()).collect();
    assert_eq!(got, (0..10).collect());
}
