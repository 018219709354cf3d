//! The pool: tasks, results, and what happens when a worker dies.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::{Stat, helper, is_gone, shortest, wait_until};
use multiproc::pool::PoolError;
use multiproc::queue::Queue;
use multiproc::{Pool, TaskError, active_children};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

harness::tests!([
    apply_gives_the_result,
    apply_async_gives_a_handle,
    a_handle_with_a_time_out,
    map_keeps_the_order,
    map_of_nothing_and_of_one,
    map_with_chunks_of_every_size,
    map_each_gives_every_result,
    imap_is_in_order_and_lazy,
    imap_unordered_gives_what_is_ready,
    imap_does_not_wait_for_slow_arguments,
    results_of_a_chunk_arrive_one_by_one,
    no_workers_is_an_error,
    as_many_workers_as_cores,
    workers_are_used_again,
    the_initializer_runs_in_each_worker,
    a_limit_of_tasks_a_worker,
    a_panic_is_an_error_and_the_worker_lives_on,
    panics_in_a_chunk_are_its_tasks_own,
    what_cannot_be_encoded_or_decoded,
    large_arguments_and_results,
    submitting_after_close_is_an_error,
    close_and_join_drain,
    terminate_with_ten_thousand_queued,
    dropping_terminates,
    tasks_go_to_whoever_has_nothing_to_do,
    a_killed_worker_loses_one_task,
    a_death_is_noticed_within_ten_milliseconds,
    a_death_in_a_chunk_loses_one_task,
    a_lost_task_is_run_again,
    a_task_that_kills_everyone_is_given_up,
    a_task_that_exits_is_lost,
    idle_workers_killed_lose_nothing,
    random_kills_lose_nothing_else,
    a_crash_loop_ends_in_an_error,
    a_killed_parent_leaves_no_worker,
    a_queue_as_an_argument_of_tasks,
    pools_in_workers,
    many_threads_one_pool,
    an_idle_pool_uses_no_time,
    half_a_million_tasks,
] helpers [
    pool_owner,
]);

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

fn increment(n: u32) -> u32 {
    n + 1
}

fn my_id(_: u32) -> u32 {
    std::process::id()
}

fn nap(millis: u64) -> u64 {
    thread::sleep(Duration::from_millis(millis));
    millis
}

/// Kills its own worker, or not.
fn die_if(deadly: bool) -> u32 {
    if deadly {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
            .unwrap();
        nap(3_600_000);
    }
    std::process::id()
}

fn kill(id: u32) {
    let pid = rustix::process::Pid::from_raw(id as i32).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

fn apply_gives_the_result() {
    let pool = pool(2);
    assert_eq!(pool.apply(increment, 41), Ok(42));
    assert_eq!(
        pool.apply(|(a, b): (String, u32)| a.repeat(b as usize), ("ab".to_owned(), 3)).unwrap(),
        "ababab"
    );
    pool.join();
}

fn apply_async_gives_a_handle() {
    let pool = pool(2);
    let handles: Vec<_> = (0..100).map(|n| pool.apply_async(increment, n).unwrap()).collect();
    let results: Vec<u32> = handles.into_iter().map(|handle| handle.get().unwrap()).collect();
    assert_eq!(results, (1..101).collect::<Vec<_>>());
    let handle = pool.apply_async(nap, 1).unwrap();
    assert!(wait_until(Duration::from_secs(20), || handle.is_ready()));
    assert_eq!(handle.get(), Ok(1));
}

fn a_handle_with_a_time_out() {
    let pool = pool(1);
    let handle = pool.apply_async(nap, 200).unwrap();
    assert!(!handle.is_ready());
    let start = Instant::now();
    let handle = handle.get_timeout(Duration::ZERO).unwrap_err();
    let handle = handle.get_timeout(Duration::from_millis(50)).unwrap_err();
    assert!(
        start.elapsed() >= Duration::from_millis(50) && start.elapsed() < Duration::from_secs(2)
    );
    assert_eq!(handle.get_timeout(Duration::from_secs(60)).unwrap(), Ok(200));
}

fn map_keeps_the_order() {
    let slow_first = |n: u64| {
        thread::sleep(Duration::from_micros(500 - 5 * n));
        n * n
    };
    let results = pool(3).options().chunk(1).map(slow_first, 0..100).unwrap();
    assert_eq!(results, (0..100).map(|n| n * n).collect::<Vec<_>>());
}

fn map_of_nothing_and_of_one() {
    let pool = pool(2);
    assert_eq!(pool.map(increment, []).unwrap(), []);
    assert_eq!(pool.map(increment, [1]).unwrap(), [2]);
    assert_eq!(pool.imap(increment, []).count(), 0);
}

fn map_with_chunks_of_every_size() {
    let pool = pool(2);
    for chunk in [0, 1, 2, 7, 100, 999, 1000, 1001, usize::MAX] {
        let results = pool.options().chunk(chunk).map(increment, 0..1000).unwrap();
        assert_eq!(results, (1..1001).collect::<Vec<_>>(), "{chunk}");
    }
    // An iterator that does not know its length.
    let odd = pool.map(increment, (0..1000).filter(|n| n % 2 == 0)).unwrap();
    assert_eq!(odd, (0..500).map(|n| 2 * n + 1).collect::<Vec<_>>());
}

fn map_each_gives_every_result() {
    let results = pool(2)
        .options()
        .chunk(3)
        .map_each(|n: u32| if n % 4 == 2 { panic!("{n}") } else { n }, 0..10);
    for (n, result) in results.into_iter().enumerate() {
        if n % 4 == 2 {
            assert!(
                matches!(result, Err(TaskError::Panicked { message, .. }) if message == n.to_string())
            );
        } else {
            assert_eq!(result, Ok(n as u32));
        }
    }
}

fn imap_is_in_order_and_lazy() {
    let pool = pool(2);
    let drawn = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&drawn);
    let arguments = (0..).inspect(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let mut results = pool.imap(increment, arguments);
    assert_eq!(drawn.load(Ordering::Relaxed), 0);
    for n in 0..1000 {
        assert_eq!(results.next(), Some(Ok(n + 1)));
    }
    assert!(drawn.load(Ordering::Relaxed) <= 1000 + 64 * 2);
    for chunk in [2, 10, 64] {
        let results = pool.options().chunk(chunk).imap(increment, 0..1000).map(Result::unwrap);
        assert!(results.eq(1..1001), "{chunk}");
    }
}

fn imap_unordered_gives_what_is_ready() {
    let pool = pool(2);
    let mut results = pool.imap_unordered(nap, [400, 1, 2, 3, 4]).map(Result::unwrap);
    let first: BTreeSet<u64> = results.by_ref().take(4).collect();
    assert_eq!(first, BTreeSet::from([1, 2, 3, 4]));
    assert_eq!((results.next(), results.next()), (Some(400), None));
    let all: BTreeSet<u32> =
        pool.options().chunk(7).imap_unordered(increment, 0..1000).map(Result::unwrap).collect();
    assert_eq!(all, (1..1001).collect());
}

fn imap_does_not_wait_for_slow_arguments() {
    let pool = pool(2);
    let slow = (0..1000).inspect(|_| thread::sleep(Duration::from_millis(20)));
    let start = Instant::now();
    assert_eq!(pool.imap(increment, slow).next(), Some(Ok(1)));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

fn results_of_a_chunk_arrive_one_by_one() {
    let pool = pool(1);
    pool.apply(increment, 1).unwrap();
    // The collector is asleep.
    nap(100);
    let start = Instant::now();
    let mut results = pool.options().chunk(2).imap(nap, [0, 3000]);
    assert_eq!(results.next(), Some(Ok(0)));
    // Long before the second one of its chunk.
    assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed());
}

fn no_workers_is_an_error() {
    assert!(matches!(Pool::builder().workers(0).build(), Err(PoolError::NoWorkers)));
    assert!(matches!(Pool::builder().max_tasks_per_worker(0).build(), Err(PoolError::NoWorkers)));
    assert!(active_children().is_empty());
}

fn as_many_workers_as_cores() {
    let cores = thread::available_parallelism().unwrap().get();
    let pool = Pool::new().unwrap();
    assert_eq!((pool.workers(), pool.worker_ids().len()), (cores, cores));
}

fn workers_are_used_again() {
    let pool = pool(3);
    let mut workers = BTreeSet::from_iter(pool.worker_ids());
    let seen: BTreeSet<u32> =
        pool.options().chunk(1).map(my_id, 0..300).unwrap().into_iter().collect();
    assert!(seen.is_subset(&workers));
    // All of them, when there is enough to do.
    let slow = |_: u32| {
        nap(20);
        std::process::id()
    };
    pool.options().chunk(1).map(slow, 0..30).unwrap().iter().for_each(|id| {
        workers.remove(id);
    });
    assert!(workers.is_empty());
    assert_eq!(active_children()[0].name(), "PoolWorker-1");
}

static SET: AtomicU32 = AtomicU32::new(0);

fn the_initializer_runs_in_each_worker() {
    let pool = Pool::builder()
        .workers(2)
        .initializer(|n: u32| SET.store(n, Ordering::Relaxed), 7)
        .build()
        .unwrap();
    let read = |_: u32| {
        nap(1);
        (std::process::id(), SET.load(Ordering::Relaxed))
    };
    assert!(pool.options().chunk(1).map(read, 0..20).unwrap().iter().all(|(_, n)| *n == 7));
    // Those that take a dead one's place have run it too.
    pool.worker_ids().into_iter().for_each(kill);
    assert!(
        pool.options().retry_lost().chunk(1).map(read, 0..20).unwrap().iter().all(|(_, n)| *n == 7)
    );
}

fn a_limit_of_tasks_a_worker() {
    let pool = Pool::builder().workers(2).max_tasks_per_worker(5).build().unwrap();
    let ids = pool.options().chunk(1).map(my_id, 0..100).unwrap();
    let mut tasks = std::collections::BTreeMap::<u32, u32>::new();
    ids.iter().for_each(|id| *tasks.entry(*id).or_default() += 1);
    assert!(tasks.values().all(|count| *count <= 5), "{tasks:?}");
    assert!(tasks.len() >= 20);
    pool.join();

    // There are never more workers than were asked for, however often they are replaced.
    let pool = Pool::builder().workers(2).max_tasks_per_worker(1).build().unwrap();
    let handles: Vec<_> = (0..20).map(|_| pool.apply_async(nap, 10).unwrap()).collect();
    pool.close();
    while !handles.iter().all(multiproc::AsyncResult::is_ready) {
        assert!(active_children().len() <= 2);
        nap(1);
    }
    pool.join();
    assert!(handles.into_iter().all(|handle| handle.get() == Ok(10)));
}

fn a_panic_is_an_error_and_the_worker_lives_on() {
    let pool = pool(1);
    let id = pool.apply(my_id, 0).unwrap();
    let line = line!() + 1;
    let fail = |n: u32| -> u32 { panic!("no {n}") };
    let error = pool.apply(fail, 3).unwrap_err();
    let TaskError::Panicked { message, location } = error else { panic!("{error}") };
    assert_eq!(message, "no 3");
    assert!(location.starts_with(&format!("{}:{line}:", file!())), "{location}");
    assert_eq!(pool.apply(my_id, 0), Ok(id));
}

fn panics_in_a_chunk_are_its_tasks_own() {
    let pool = pool(2);
    let ids = BTreeSet::from_iter(pool.worker_ids());
    let results = pool.options().chunk(10).map_each(
        |n: u32| {
            if n.is_multiple_of(3) { panic!("{n}") } else { n }
        },
        0..50,
    );
    assert!(results.iter().enumerate().all(|(n, result)| result.is_ok() == (n % 3 != 0)));
    assert_eq!(BTreeSet::from_iter(pool.worker_ids()), ids);
    let error = pool
        .map(
            |n: u32| {
                if n == 30 {
                    panic!("first")
                } else if n > 30 {
                    panic!("later")
                }
            },
            0..50,
        )
        .unwrap_err();
    assert!(matches!(error, TaskError::Panicked { message, .. } if message == "first"));
}

/// Refuses to be encoded (1) or decoded (2), or panics when it is (3, 4).
#[derive(Debug, PartialEq)]
struct Refuses(u8);

impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            1 => Err(serde::ser::Error::custom("never")),
            3 => panic!("not to be encoded"),
            n => serializer.serialize_u8(n),
        }
    }
}

impl<'de> Deserialize<'de> for Refuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            2 => Err(serde::de::Error::custom("never")),
            4 => panic!("not to be decoded"),
            n => Ok(Self(n)),
        }
    }
}

fn what_cannot_be_encoded_or_decoded() {
    let pool = pool(2);
    let give = |n: u8| Refuses(n);
    let take = |refuses: Refuses| refuses.0;
    assert!(matches!(pool.apply(give, 1), Err(TaskError::Encode(_))));
    assert!(matches!(pool.apply(give, 2), Err(TaskError::Decode(_))));
    assert!(matches!(pool.apply(give, 3), Err(TaskError::Panicked { .. })));
    assert!(matches!(pool.apply(give, 4), Err(TaskError::Decode(_))));
    assert_eq!(pool.apply(give, 5), Ok(Refuses(5)));
    assert!(matches!(pool.apply(take, Refuses(1)), Err(TaskError::Encode(_))));
    assert!(matches!(pool.apply(take, Refuses(2)), Err(TaskError::Decode(_))));
    assert!(matches!(pool.apply(take, Refuses(4)), Err(TaskError::Panicked { .. })));

    // Among others, in one chunk: each has its own result.
    let results = pool.options().chunk(10).map_each(give, 0..9);
    assert!(
        results.iter().enumerate().all(|(n, result)| result.is_ok() != (1..=4).contains(&n)),
        "{results:?}"
    );
    let results = pool.options().chunk(10).map_each(take, [0, 1, 2, 4, 5, 6].map(Refuses));
    assert!(
        results.iter().map(Result::is_ok).eq([true, false, false, false, true, true]),
        "{results:?}"
    );
    let results = pool.options().chunk(4).imap(take, [0, 1, 2, 4, 5, 6].map(Refuses));
    assert!(results.map(|result| result.is_ok()).eq([true, false, false, false, true, true]));
}

fn large_arguments_and_results() {
    let pool = pool(2);
    let result = pool.apply(|size: usize| "x".repeat(size), 64 << 20).unwrap();
    assert!(result.len() == 64 << 20 && result.bytes().all(|byte| byte == b'x'));
    assert_eq!(pool.apply(|text: String| text.len(), result), Ok(64 << 20));
    // Large ones among small ones, in chunks.
    let sizes = [0, 1, 70_000, 3, 200_000, 300_000, 5];
    let results = pool.options().chunk(3).map(|size: usize| "x".repeat(size), sizes).unwrap();
    assert!(results.iter().map(String::len).eq(sizes));
}

fn submitting_after_close_is_an_error() {
    let pool = pool(2);
    let before = pool.apply_async(nap, 50).unwrap();
    pool.close();
    assert!(matches!(pool.apply_async(increment, 1), Err(TaskError::Closed)));
    assert_eq!(pool.apply(increment, 1), Err(TaskError::Closed));
    assert_eq!(pool.map(increment, 0..3), Err(TaskError::Closed));
    assert_eq!(pool.imap(increment, 0..3).next(), Some(Err(TaskError::Closed)));
    assert_eq!(before.get(), Ok(50));
    pool.join();
}

fn close_and_join_drain() {
    let pool = pool(2);
    let handles: Vec<_> =
        (0..200).map(|n| pool.apply_async(|n: u32| n + nap(1) as u32, n).unwrap()).collect();
    pool.close();
    pool.join();
    assert!(active_children().is_empty());
    for (n, handle) in handles.into_iter().enumerate() {
        assert!(handle.is_ready());
        assert_eq!(handle.get(), Ok(n as u32 + 1));
    }
}

fn terminate_with_ten_thousand_queued() {
    let pool = pool(2);
    let handles: Vec<_> = (0..10_000).map(|_| pool.apply_async(nap, 1000).unwrap()).collect();
    let start = Instant::now();
    pool.terminate();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    pool.join();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(handles.into_iter().all(|handle| handle.get() == Err(TaskError::Terminated)));
}

fn dropping_terminates() {
    let pool = pool(2);
    let handle = pool.apply_async(nap, 3_600_000).unwrap();
    let ids = pool.worker_ids();
    drop(pool);
    assert_eq!(handle.get(), Err(TaskError::Terminated));
    assert!(ids.iter().all(|id| Stat::of(*id).is_none()));
}

fn tasks_go_to_whoever_has_nothing_to_do() {
    let pool = pool(2);
    pool.map(increment, 0..2).unwrap();
    // One worker gets a long task, and some short ones behind it.
    let long = pool.apply_async(nap, 20_000).unwrap();
    let short: Vec<_> = (0..200).map(|_| pool.apply_async(nap, 1).unwrap()).collect();
    let start = Instant::now();
    short.into_iter().for_each(|handle| assert_eq!(handle.get(), Ok(1)));
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert!(!long.is_ready());
}

fn a_killed_worker_loses_one_task() {
    let pool = pool(2);
    for _ in 0..5 {
        let handles: Vec<_> = (0..40).map(|n| pool.apply_async(die_if, n == 7).unwrap()).collect();
        for (n, handle) in handles.into_iter().enumerate() {
            let result = handle.get();
            assert_eq!(result.is_ok(), n != 7, "{n}: {result:?}");
            assert!(result.is_ok() || result == Err(TaskError::WorkerLost { signal: Some(9) }));
        }
        // Replaced.
        assert!(wait_until(Duration::from_secs(10), || pool.worker_ids().len() == 2));
    }
    pool.join();
}

fn a_death_is_noticed_within_ten_milliseconds() {
    let pool = pool(2);
    let notice = || {
        // It naps in its worker, and is killed from here.
        let busy = pool
            .apply_async(
                |()| {
                    std::fs::write(
                        format!("/proc/self/task/{}/comm", std::process::id()),
                        "napping",
                    )
                    .unwrap();
                    nap(3_600_000);
                },
                (),
            )
            .unwrap();
        let mut victim = 0;
        assert!(wait_until(Duration::from_secs(20), || {
            let napping = |id: &u32| Stat::of(*id).is_some_and(|stat| stat.name == "napping");
            pool.worker_ids().into_iter().find(napping).inspect(|id| victim = *id).is_some()
        }));
        let killed = Instant::now();
        kill(victim);
        assert_eq!(busy.get(), Err(TaskError::WorkerLost { signal: Some(9) }));
        killed.elapsed()
    };
    let noticed = shortest(10, notice);
    assert!(noticed < Duration::from_millis(10), "{noticed:?}");
}

fn a_death_in_a_chunk_loses_one_task() {
    let pool = pool(2);
    for deadly in [0, 1, 13, 49, 99] {
        let results = pool.options().chunk(50).map_each(die_if, (0..100).map(|n| n == deadly));
        for (n, result) in results.iter().enumerate() {
            assert_eq!(result.is_ok(), n != deadly, "{n}: {result:?}");
        }
        assert_eq!(results[deadly], Err(TaskError::WorkerLost { signal: Some(9) }));
    }
}

fn a_lost_task_is_run_again() {
    // Deadly the first time only: whoever takes the token dies of it.
    let once = |token: Queue<()>| die_if(token.try_get().is_ok());
    let token = || {
        let token = Queue::unbounded().unwrap();
        token.put(&()).unwrap();
        token
    };
    let pool = pool(2);
    let tokens: Vec<_> = (0..6).map(|_| token()).collect();
    let results = pool.options().retry_lost().chunk(2).map_each(once, tokens.clone());
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let error = pool.apply(once, token()).unwrap_err();
    assert_eq!(error, TaskError::WorkerLost { signal: Some(9) });
}

fn a_task_that_kills_everyone_is_given_up() {
    let pool = pool(2);
    let results = pool.options().retry_lost().chunk(4).map_each(die_if, (0..8).map(|n| n == 5));
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result.is_ok(), n != 5, "{n}: {result:?}");
    }
    assert_eq!(results[5], Err(TaskError::WorkerLost { signal: Some(9) }));
}

fn a_task_that_exits_is_lost() {
    let pool = pool(1);
    let exit = |code: i32| -> () { std::process::exit(code) };
    assert_eq!(pool.apply(exit, 0), Err(TaskError::WorkerLost { signal: None }));
    assert_eq!(pool.apply(increment, 1), Ok(2));
}

fn idle_workers_killed_lose_nothing() {
    let pool = pool(2);
    for _ in 0..10 {
        assert_eq!(pool.map(increment, 0..10).unwrap(), (1..11).collect::<Vec<_>>());
        pool.worker_ids().into_iter().for_each(kill);
        // At once: their deaths may not have been noticed yet.
        assert_eq!(
            pool.options().chunk(1).map(increment, 0..10).unwrap(),
            (1..11).collect::<Vec<_>>()
        );
    }
}

fn random_kills_lose_nothing_else() {
    let pool = pool(3);
    let mut lost = 0;
    for round in 0..30_u64 {
        let chunk = [1, 10, 200][round as usize % 3];
        let work = |n: u64| {
            std::hint::black_box((0..n % 7 * 1000).sum::<u64>());
            n
        };
        let results = thread::scope(|scope| {
            let results = scope.spawn(|| pool.options().chunk(chunk).map_each(work, 0..5000));
            thread::sleep(Duration::from_micros(500 + round * 331 % 5000));
            let victims = pool.worker_ids();
            victims.iter().take(1 + round as usize % 2).for_each(|id| kill(*id));
            results.join().unwrap()
        });
        assert_eq!(results.len(), 5000);
        let mut lost_now = 0;
        for (n, result) in results.into_iter().enumerate() {
            match result {
                Ok(value) => assert_eq!(value, n as u64),
                Err(TaskError::WorkerLost { signal: Some(9) }) => lost_now += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(lost_now <= 1 + round % 2, "{lost_now} lost");
        lost += lost_now;
    }
    println!("{lost} tasks lost with their workers");
    pool.join();
}

fn a_crash_loop_ends_in_an_error() {
    let start = Instant::now();
    let crash = |()| -> () { panic!("not today") };
    let pool = Pool::builder().workers(2).initializer(crash, ()).build().unwrap();
    let error = pool.apply(increment, 1).unwrap_err();
    assert!(matches!(&error, TaskError::Broken(reason) if reason.contains("not today")), "{error}");
    assert!(matches!(pool.apply_async(increment, 1), Err(TaskError::Broken(_))));
    pool.join();

    let exit = |()| -> () { std::process::exit(1) };
    let pool = Pool::builder().workers(2).initializer(exit, ()).build().unwrap();
    assert!(matches!(pool.map(increment, 0..100), Err(TaskError::Broken(_))));
    drop(pool);
    assert!(start.elapsed() < Duration::from_secs(30));
}

fn pool_owner() {
    let pool = pool(3);
    let handle = pool.apply_async(nap, 3_600_000).unwrap();
    pool.worker_ids().iter().for_each(|id| println!("{id}"));
    let _ = handle.get();
}

fn a_killed_parent_leaves_no_worker() {
    let mut owner = helper("pool_owner").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines().take(3);
    let ids: Vec<u32> = lines.map(|line| line.unwrap().parse().unwrap()).collect();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(wait_until(Duration::from_secs(1), || ids.iter().all(|id| is_gone(*id))));
}

fn a_queue_as_an_argument_of_tasks() {
    let queue = Queue::<u32>::bounded(1000).unwrap();
    let pool = pool(2);
    let put = |(queue, n): (Queue<u32>, u32)| queue.put(&n).unwrap();
    for chunk in [1, 10] {
        pool.options().chunk(chunk).map(put, (0..100).map(|n| (queue.clone(), n))).unwrap();
        assert_eq!(queue.len(), 100);
        let got: BTreeSet<u32> = (0..100).map(|_| queue.get().unwrap()).collect();
        assert_eq!(got, (0..100).collect());
    }
    let results =
        pool.apply_async(|queue: Queue<u32>| queue.get().unwrap(), queue.clone()).unwrap();
    queue.put(&7).unwrap();
    assert_eq!(results.get(), Ok(7));
}

fn pools_in_workers() {
    let sum = |n: u32| pool(2).map(increment, 0..n).unwrap().iter().sum::<u32>();
    assert_eq!(pool(2).map(sum, [3, 4]).unwrap(), [6, 10]);
}

fn many_threads_one_pool() {
    let pool = pool(2);
    thread::scope(|scope| {
        for thread in 0..8 {
            let pool = &pool;
            scope.spawn(move || {
                for n in 0..100 {
                    assert_eq!(pool.apply(increment, thread * 1000 + n), Ok(thread * 1000 + n + 1));
                }
                assert_eq!(pool.map(increment, 0..1000).unwrap().len(), 1000);
                assert!(pool.imap(increment, 0..100).map(Result::unwrap).eq(1..101));
            });
        }
    });
}

/// Processor time of a process and all its threads so far.
fn processor_time(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn an_idle_pool_uses_no_time() {
    let pool = pool(2);
    pool.map(increment, 0..1000).unwrap();
    thread::sleep(Duration::from_millis(200));
    let total = || {
        processor_time(std::process::id())
            + pool.worker_ids().into_iter().map(processor_time).sum::<u64>()
    };
    let before = total();
    thread::sleep(Duration::from_secs(3));
    // In hundredths of a second; the two readings themselves take some.
    assert!(total() - before <= 1, "{}", total() - before);
}

fn half_a_million_tasks() {
    let pool = pool(2);
    let results = pool.map(increment, 0..500_000).unwrap();
    assert!(results.into_iter().eq(1..500_001));
    let results = pool.options().chunk(1).map(increment, 0..50_000).unwrap();
    assert!(results.into_iter().eq(1..50_001));
}
