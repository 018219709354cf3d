//! The pool: cancelled tasks and time limits. Exactly the task that was meant is ended, whatever
//! the workers do meanwhile.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use harness::wait_until;
use multiproc::pool::{Builder, Cancel};
use multiproc::queue::Queue;
use multiproc::shared::Array;
use multiproc::{AsyncResult, Pool, TaskError};
use rustix::process::{Pid, Signal, kill_process};

harness::tests!([
    a_task_that_has_not_begun_is_removed,
    a_running_task_is_killed_and_no_other,
    a_task_that_has_ended_keeps_its_result,
    a_task_is_cancelled_at_every_moment,
    several_threads_cancel_the_same_tasks,
    random_cancels_lose_nothing_else,
    random_cancels_and_random_kills,
    a_pool_that_is_closed_or_terminated,
    a_retiring_workers_task_is_cancelled,
    many_cancels_do_not_break_the_pool,
    a_task_that_hangs_times_out,
    only_one_task_of_a_chunk_times_out,
    random_timeouts_lose_nothing_else,
    a_limit_of_zero_and_one_beyond_the_clock,
    a_stopped_worker_times_out,
    the_limit_does_not_count_the_waiting,
] helpers []);

/// How long to wait for what happens soon.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than a test may take.
const LONG: Duration = Duration::from_secs(3600);

/// In the workers: how often each task has begun, and has come to its end.
static COUNTS: OnceLock<(Counts, Counts)> = OnceLock::new();

type Counts = Array<AtomicU32>;

/// The counts of a pool's tasks.
struct Accounts {
    begun: Counts,
    ended: Counts,
}

/// A task: its number, and how long it takes in microseconds.
type Task = (usize, u64);

const FOREVER: u64 = u64::MAX;

fn work((n, micros): Task) -> usize {
    let (begun, ended) = COUNTS.get().expect("the initializer has run");
    begun[n].fetch_add(1, SeqCst);
    if micros == FOREVER {
        thread::sleep(LONG);
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(micros) {}
    ended[n].fetch_add(1, SeqCst);
    n
}

/// Returns the process that it runs in.
fn id((): ()) -> u32 {
    std::process::id()
}

fn pool(workers: usize, tasks: usize) -> (Pool, Accounts) {
    build(Pool::builder().workers(workers), tasks)
}

fn build(builder: Builder, tasks: usize) -> (Pool, Accounts) {
    let accounts =
        Accounts { begun: Array::new(tasks).unwrap(), ended: Array::new(tasks).unwrap() };
    let set = |counts: (Counts, Counts)| assert!(COUNTS.set(counts).is_ok());
    let counts = (accounts.begun.clone(), accounts.ended.clone());
    (builder.initializer(set, counts).build().unwrap(), accounts)
}

impl Accounts {
    fn counts(&self, n: usize) -> (u32, u32) {
        (self.begun[n].load(SeqCst), self.ended[n].load(SeqCst))
    }

    fn has_begun(&self, n: usize) -> bool {
        self.counts(n).0 > 0
    }

    fn wait_until_begun(&self, n: usize) {
        assert!(wait_until(PATIENCE, || self.has_begun(n)), "task {n} does not begin");
    }

    /// Checks the outcome of a task that was run once at most; returns whether it has a result.
    fn check(&self, n: usize, outcome: &Result<usize, TaskError>, errors: &[TaskError]) -> bool {
        match outcome {
            Ok(result) => assert_eq!((*result, self.counts(n)), (n, (1, 1))),
            Err(error) => {
                assert!(errors.contains(error), "task {n}: {error}");
                assert!(self.counts(n).0 <= 1, "task {n}: {:?}", self.counts(n));
            }
        }
        outcome.is_ok()
    }
}

fn kill(id: u32, signal: Signal) {
    // It may have ended, and been reaped.
    let _ = kill_process(Pid::from_raw(id as i32).unwrap(), signal);
}

/// Numbers that look random (an xorshift generator).
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    }
}

fn a_task_that_has_not_begun_is_removed() {
    const TASKS: usize = 400;
    let (pool, accounts) = pool(1, TASKS);
    let workers = pool.worker_ids();
    let gate = Queue::<()>::unbounded().unwrap();
    let wait = |gate: Queue<()>| gate.get().is_err();
    let first = pool.apply_async(wait, gate.clone()).unwrap();
    // Some of these are assigned to the worker ahead of time, the others are in the queue.
    let tasks: Vec<_> = (0..TASKS).map(|n| pool.apply_async(work, (n, 0)).unwrap()).collect();
    let is_cancelled = |n: usize| n % 40 == 7 || n == TASKS - 1;
    for (n, task) in tasks.iter().enumerate().filter(|(n, _)| is_cancelled(*n)) {
        assert!(!task.is_ready());
        assert_eq!(task.cancel(), Cancel::Removed, "{n}");
        assert!(task.is_ready());
        assert_eq!(task.cancel(), Cancel::Ended, "{n}");
    }
    gate.close();
    assert_eq!(first.get(), Ok(true));
    for (n, task) in tasks.into_iter().enumerate() {
        let expected = if is_cancelled(n) { Err(TaskError::Cancelled) } else { Ok(n) };
        assert_eq!(task.get(), expected);
        assert_eq!(accounts.counts(n), if is_cancelled(n) { (0, 0) } else { (1, 1) });
    }
    assert_eq!(pool.worker_ids(), workers);
    pool.join();
}

fn a_running_task_is_killed_and_no_other() {
    const TASKS: usize = 300;
    for workers in [1, 2] {
        let (pool, accounts) = pool(workers, TASKS);
        let old: BTreeSet<u32> = pool.worker_ids().into_iter().collect();
        let task = pool.apply_async(work, (0, FOREVER)).unwrap();
        let behind: Vec<_> = (1..TASKS).map(|n| pool.apply_async(work, (n, 0)).unwrap()).collect();
        accounts.wait_until_begun(0);
        assert_eq!(task.cancel(), Cancel::Killed);
        // A second time, it is being killed, or has been.
        assert_ne!(task.cancel(), Cancel::Removed);
        assert_eq!(task.get(), Err(TaskError::Cancelled));
        for (n, task) in (1..).zip(behind) {
            assert_eq!(task.get(), Ok(n));
            assert_eq!(accounts.counts(n), (1, 1));
        }
        assert_eq!(accounts.counts(0), (1, 0));
        // Another process has taken the place of the one that was killed.
        let is_replaced = || {
            let new: BTreeSet<u32> = pool.worker_ids().into_iter().collect();
            new.len() == workers && new.intersection(&old).count() == workers - 1
        };
        assert!(wait_until(PATIENCE, is_replaced));
        pool.join();
    }
}

fn a_task_that_has_ended_keeps_its_result() {
    let (pool, accounts) = pool(2, 1);
    let workers = pool.worker_ids();
    let task = pool.apply_async(work, (0, 0)).unwrap();
    assert!(wait_until(PATIENCE, || task.is_ready()));
    assert_eq!(task.cancel(), Cancel::Ended);
    assert_eq!(task.get(), Ok(0));
    assert_eq!(accounts.counts(0), (1, 1));
    let task = pool.apply_async(|()| -> () { panic!("on purpose") }, ()).unwrap();
    assert!(wait_until(PATIENCE, || task.is_ready()));
    assert_eq!(task.cancel(), Cancel::Ended);
    assert!(matches!(task.get(), Err(TaskError::Panicked { .. })));
    assert_eq!(pool.worker_ids(), workers);
    // The pool has gone.
    let task = pool.apply_async(id, ()).unwrap();
    drop(pool);
    assert_eq!(task.cancel(), Cancel::Ended);
}

/// Checks that what `cancel` has returned and the task's outcome agree.
fn check_cancelled(
    accounts: &Accounts,
    n: usize,
    done: Cancel,
    outcome: &Result<usize, TaskError>,
) -> bool {
    let has_result = accounts.check(n, outcome, &[TaskError::Cancelled]);
    match done {
        Cancel::Removed => assert_eq!((has_result, accounts.counts(n)), (false, (0, 0)), "{n}"),
        Cancel::Killed => {}
        Cancel::Ended => assert!(has_result, "{n}"),
    }
    has_result
}

fn a_task_is_cancelled_at_every_moment() {
    // From before it is claimed until after its result has been read.
    const TASKS: usize = 400;
    let (pool, accounts) = pool(2, 2 * TASKS);
    let mut dones = [0; 3];
    for n in 0..TASKS {
        let task = pool.apply_async(work, (n, n as u64 % 3 * 20)).unwrap();
        // It may be assigned behind that one.
        let next = pool.apply_async(work, (TASKS + n, 0)).unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(n as u64 / 2) {}
        let done = task.cancel();
        dones[done as usize] += 1;
        check_cancelled(&accounts, n, done, &task.get());
        assert!(accounts.check(TASKS + n, &next.get(), &[]));
    }
    println!("removed, killed, ended: {dones:?}");
    assert_eq!(dones.iter().sum::<usize>(), TASKS);
    pool.join();
}

fn several_threads_cancel_the_same_tasks() {
    const THREADS: usize = 4;
    const TASKS: usize = 20;
    let (pool, accounts) = pool(2, TASKS);
    let tasks: Vec<AsyncResult<usize>> =
        (0..TASKS).map(|n| pool.apply_async(work, (n, FOREVER)).unwrap()).collect();
    accounts.wait_until_begun(0);
    let cancel_all = || tasks.iter().map(AsyncResult::cancel).collect::<Vec<_>>();
    let dones: Vec<Vec<Cancel>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(cancel_all)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (n, task) in tasks.into_iter().enumerate() {
        let count = |wanted| dones.iter().filter(|done| done[n] == wanted).count();
        let removed = count(Cancel::Removed);
        let killed = count(Cancel::Killed);
        assert!((removed == 1 && killed == 0) || (removed == 0 && killed >= 1), "{n}");
        assert_eq!(removed + killed + count(Cancel::Ended), THREADS);
        assert_eq!(task.get(), Err(TaskError::Cancelled));
        assert!(accounts.counts(n) <= (1 - removed as u32, 0));
    }
    assert!(pool.apply(id, ()).is_ok());
    pool.join();
}

fn random_cancels_lose_nothing_else() {
    const ROUNDS: usize = 6;
    const TASKS: usize = 400;
    for (seed, retries) in [(1, false), (2, true)] {
        let mut random = random(seed);
        let (pool, accounts) = pool(3, ROUNDS * TASKS);
        let options = if retries { pool.options().retry_lost() } else { pool.options() };
        let (mut cancelled, mut killed) = (0, 0);
        for round in 0..ROUNDS {
            let first = round * TASKS;
            let tasks: Vec<_> = (first..first + TASKS)
                .map(|n| options.apply_async(work, (n, random(8) * 100)).unwrap())
                .collect();
            let mut dones = vec![None; TASKS];
            for _ in 0..60 {
                // Any of them, or one that is running.
                let mut at = random(TASKS as u64) as usize;
                if random(2) == 0 {
                    let mut running = || {
                        let runs = |at: &usize| {
                            dones[*at].is_none() && accounts.counts(first + at) == (1, 0)
                        };
                        at = (0..TASKS).find(runs)?;
                        Some(at)
                    };
                    let has_ended = || tasks.iter().all(AsyncResult::is_ready);
                    assert!(wait_until(PATIENCE, || running().is_some() || has_ended()));
                }
                let done = tasks[at].cancel();
                assert!(dones[at].is_none() || done != Cancel::Removed);
                killed += usize::from(dones[at].is_none() && done == Cancel::Killed);
                dones[at].get_or_insert(done);
            }
            for (at, task) in tasks.into_iter().enumerate() {
                let (n, outcome) = (first + at, task.get());
                let has_result = match dones[at] {
                    Some(done) => check_cancelled(&accounts, n, done, &outcome),
                    None => accounts.check(n, &outcome, &[]),
                };
                // What was not cancelled has a result.
                assert!(has_result || dones[at].is_some());
                cancelled += usize::from(!has_result);
            }
        }
        println!("{cancelled} cancelled, {killed} workers killed");
        assert!(cancelled > 0 && killed > 0);
        pool.join();
    }
}

fn random_cancels_and_random_kills() {
    // A worker is killed from outside at the moment at which its task is cancelled.
    const TASKS: usize = 1200;
    let mut random = random(3);
    let (pool, accounts) = pool(2, TASKS);
    let (mut outcomes, mut kills) = ([0; 3], 0);
    for first in (0..TASKS).step_by(6) {
        let tasks: Vec<_> = (first..first + 6)
            .map(|n| (n, pool.apply_async(work, (n, random(4) * 100)).unwrap()))
            .collect();
        let (victim, at) = (random(2) as usize, random(6) as usize);
        let pause = Duration::from_micros(random(400));
        let start = Instant::now();
        while start.elapsed() < pause {}
        let done = thread::scope(|scope| {
            let cancel = scope.spawn(|| tasks[at].1.cancel());
            if let Some(id) = pool.worker_ids().get(victim) {
                kill(*id, Signal::KILL);
                kills += 1;
            }
            cancel.join().unwrap()
        });
        let lost = TaskError::WorkerLost { signal: Some(9) };
        for (n, task) in tasks {
            let outcome = task.get();
            if n != first + at {
                accounts.check(n, &outcome, std::slice::from_ref(&lost));
            } else if outcome == Err(lost.clone()) {
                // It was lost before it was cancelled.
                assert_eq!(done, Cancel::Ended);
            } else {
                check_cancelled(&accounts, n, done, &outcome);
            }
            outcomes[match outcome {
                Ok(_) => 0,
                Err(TaskError::Cancelled) => 1,
                Err(_) => 2,
            }] += 1;
        }
    }
    println!("results, cancelled, lost: {outcomes:?}");
    assert_eq!(outcomes.iter().sum::<usize>(), TASKS);
    assert!(outcomes[2] <= kills, "each kill loses one task at most");
    pool.join();
}

fn a_pool_that_is_closed_or_terminated() {
    // Closed: the last task that waits, and the one that is running, are cancelled.
    let (closed, accounts) = pool(1, 4);
    let tasks: Vec<_> = [FOREVER, 0, 0, FOREVER]
        .into_iter()
        .enumerate()
        .map(|task| closed.apply_async(work, (task.0, task.1)).unwrap())
        .collect();
    accounts.wait_until_begun(0);
    closed.close();
    assert_eq!(tasks[3].cancel(), Cancel::Removed);
    assert_eq!(tasks[0].cancel(), Cancel::Killed);
    closed.join();
    let outcomes: Vec<_> = tasks.into_iter().map(AsyncResult::get).collect();
    let cancelled = || Err(TaskError::Cancelled);
    assert_eq!(outcomes, [cancelled(), Ok(1), Ok(2), cancelled()]);

    // A closed pool whose only task is cancelled before its worker is ready.
    let setup = |token: Queue<()>| assert!(token.get().is_ok());
    let token = Queue::unbounded().unwrap();
    let starting = Pool::builder().workers(1).initializer(setup, token.clone()).build().unwrap();
    let task = starting.apply_async(id, ()).unwrap();
    starting.close();
    assert_eq!(task.cancel(), Cancel::Removed);
    token.put(&()).unwrap();
    starting.join();
    assert_eq!(task.get(), Err(TaskError::Cancelled));

    // Terminated or dropped: before and after.
    for is_dropped in [false, true] {
        let (pool, accounts) = pool(2, 3);
        let [first, second] = [0, 1].map(|n| pool.apply_async(work, (n, FOREVER)).unwrap());
        accounts.wait_until_begun(0);
        accounts.wait_until_begun(1);
        let third = pool.apply_async(work, (2, FOREVER)).unwrap();
        assert_eq!(first.cancel(), Cancel::Killed);
        if is_dropped {
            drop(pool);
        } else {
            pool.terminate();
        }
        assert_eq!(second.cancel(), Cancel::Ended);
        assert_eq!(first.get(), Err(TaskError::Cancelled));
        assert_eq!(second.get(), Err(TaskError::Terminated));
        // It may have begun where the first one was.
        assert_eq!(third.get(), Err(TaskError::Terminated));
    }
}

fn a_retiring_workers_task_is_cancelled() {
    // The worker is to end after these tasks, and is assigned no more.
    let (pool, accounts) = build(Pool::builder().workers(1).max_tasks_per_worker(3), 8);
    let tasks: Vec<_> = (0..8)
        .map(|n| pool.apply_async(work, (n, if n == 1 { FOREVER } else { 0 })).unwrap())
        .collect();
    accounts.wait_until_begun(1);
    assert_eq!(tasks[1].cancel(), Cancel::Killed);
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.get(), if n == 1 { Err(TaskError::Cancelled) } else { Ok(n) });
    }
    pool.join();
}

/// Also prints how long it takes until another worker has taken the place of the one killed.
fn many_cancels_do_not_break_the_pool() {
    const TASKS: usize = 40;
    let (pool, accounts) = pool(1, TASKS);
    let mut times = Vec::new();
    for n in 0..TASKS {
        let old = pool.worker_ids();
        let task = pool.apply_async(work, (n, FOREVER)).unwrap();
        accounts.wait_until_begun(n);
        let start = Instant::now();
        assert_eq!(task.cancel(), Cancel::Killed);
        assert_eq!(task.get(), Err(TaskError::Cancelled));
        let told = start.elapsed();
        // Another process, which is ready: it runs a task.
        let new = pool.apply(id, ()).unwrap();
        times.push((start.elapsed(), told));
        assert_ne!([new], old[..]);
    }
    times.sort_unstable();
    let [half, nine_tenths] = [TASKS / 2, TASKS * 9 / 10].map(|at| times[at]);
    println!("from cancel until the new worker has run a task, and until the result is there");
    println!("half of the times: at most {half:?}; nine tenths: at most {nine_tenths:?}");
    pool.join();
}

/// Much longer than what is not to exceed it takes, on any machine.
const LIMIT: Duration = Duration::from_millis(1500);

fn a_task_that_hangs_times_out() {
    for workers in [1, 2] {
        let (pool, accounts) = pool(workers, 50);
        let old = pool.worker_ids();
        // Only those whose workers are lost for other reasons are run again.
        let options = pool.options().retry_lost().time_limit(LIMIT);
        let hanging = options.apply_async(work, (0, FOREVER)).unwrap();
        let behind: Vec<_> = (1..50).map(|n| options.apply_async(work, (n, 0)).unwrap()).collect();
        for (n, task) in (1..).zip(behind) {
            assert_eq!(task.get(), Ok(n));
        }
        assert_eq!(hanging.get(), Err(TaskError::TimedOut));
        let is_replaced = || pool.worker_ids().len() == workers && pool.worker_ids() != old;
        assert!(wait_until(PATIENCE, is_replaced));
        assert_eq!(accounts.counts(0), (1, 0));
        assert_eq!(TaskError::TimedOut.to_string(), "the task exceeded its time limit");
        pool.join();
    }
}

/// Four of the tasks below never end.
fn hangs(n: usize) -> bool {
    [0, 250, 399, 599].contains(&n)
}

fn only_one_task_of_a_chunk_times_out() {
    const TASKS: usize = 600;
    let arguments = || (0..TASKS).map(|n| (n, if hangs(n) { FOREVER } else { 0 }));
    // One chunk; several; and one task each. The results of a chunk are in the log, and in a
    // message if they are too large for it.
    for chunk in [TASKS, 100, 1] {
        let (pool, accounts) = pool(4, TASKS);
        let outcomes = pool.options().chunk(chunk).time_limit(LIMIT).map_each(work, arguments());
        for (n, outcome) in outcomes.into_iter().enumerate() {
            assert_eq!(outcome, if hangs(n) { Err(TaskError::TimedOut) } else { Ok(n) });
            assert_eq!(accounts.counts(n), (1, u32::from(!hangs(n))), "{n}");
        }
        pool.join();
    }
    let large = |task: Task| (work(task), vec![7_u8; 100_000]);
    let (pool, accounts) = pool(2, TASKS);
    let options = pool.options().chunk(20).time_limit(LIMIT);
    let outcomes = options.imap(large, arguments().take(40));
    for (n, outcome) in outcomes.enumerate() {
        let expected = if n == 0 { Err(TaskError::TimedOut) } else { Ok((n, 100_000)) };
        assert_eq!(outcome.map(|(n, large)| (n, large.len())), expected);
        assert_eq!(accounts.counts(n), (1, u32::from(n > 0)));
    }
    pool.join();
}

fn random_timeouts_lose_nothing_else() {
    // The tasks take about as long as they may, so some are killed just when they end.
    const TASKS: usize = 1000;
    for (seed, chunk) in [(4, 100), (5, 7), (6, 1)] {
        let mut random = random(seed);
        let (pool, accounts) = pool(2, TASKS);
        let options = pool.options().chunk(chunk).time_limit(Duration::from_millis(2));
        let arguments = (0..TASKS).map(|n| {
            let is_long = random(20) == 0;
            (n, if is_long { 1900 + random(1500) } else { random(50) })
        });
        let outcomes = options.map_each(work, arguments);
        assert_eq!(outcomes.len(), TASKS);
        let check = |(n, outcome)| accounts.check(n, outcome, &[TaskError::TimedOut]);
        let results = outcomes.iter().enumerate().filter(|outcome| check(*outcome)).count();
        println!("in chunks of {chunk}: {results} results, {} timed out", TASKS - results);
        // They do as well without the limit.
        assert_eq!(pool.map(id, [(); 10]).unwrap().len(), 10);
        pool.join();
    }
}

fn a_limit_of_zero_and_one_beyond_the_clock() {
    let (pool, accounts) = pool(2, 10);
    let arguments = || (0..10).map(|n| (n, 0));
    let none = pool.options().time_limit(Duration::ZERO);
    assert_eq!(none.apply(work, (0, 0)), Err(TaskError::TimedOut));
    assert_eq!(none.map(work, arguments()), Err(TaskError::TimedOut));
    for outcome in none.chunk(3).imap_unordered(work, arguments()) {
        assert_eq!(outcome, Err(TaskError::TimedOut));
    }
    assert!((0..10).all(|n| !accounts.has_begun(n)));
    for limit in [Duration::MAX, Duration::from_secs(1 << 62), LONG] {
        let options = pool.options().time_limit(limit);
        assert_eq!(options.map(work, arguments()).unwrap().len(), 10);
        assert_eq!(options.apply(work, (0, 0)), Ok(0));
    }
    pool.close();
    assert_eq!(none.apply(work, (0, 0)), Err(TaskError::Closed));
    pool.join();
}

fn a_stopped_worker_times_out() {
    let (pool, accounts) = pool(1, 2);
    let worker = pool.worker_ids()[0];
    let options = pool.options().time_limit(LIMIT);
    let tasks = [(0, FOREVER), (1, 0)].map(|task| options.apply_async(work, task).unwrap());
    accounts.wait_until_begun(0);
    kill(worker, Signal::STOP);
    let [first, second] = tasks.map(AsyncResult::get);
    assert_eq!((first, second), (Err(TaskError::TimedOut), Ok(1)));
    pool.join();
}

fn the_limit_does_not_count_the_waiting() {
    // A task waits for longer than its limit, with one before it that has none.
    let (pool, accounts) = pool(1, 2);
    let gate = Queue::<()>::unbounded().unwrap();
    let wait = |gate: Queue<()>| gate.get().is_err();
    let limit = Duration::from_millis(300);
    let first = pool.apply_async(wait, gate.clone()).unwrap();
    let task = pool.options().time_limit(limit).apply_async(work, (0, 0)).unwrap();
    let hanging = pool.options().time_limit(limit).apply_async(work, (1, FOREVER)).unwrap();
    thread::sleep(3 * limit);
    assert!(!task.is_ready() && !accounts.has_begun(0));
    gate.close();
    assert_eq!(first.get(), Ok(true));
    accounts.check(0, &task.get(), &[]);
    assert_eq!(hanging.get(), Err(TaskError::TimedOut));
    pool.join();
}
