//! The pool: arguments drawn while results come, and results decoded by the caller.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use harness::{helper, wait_until};
use multiproc::queue::Queue;
use multiproc::{Pool, TaskError};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Deserializer, Serialize};

harness::tests!([
    arguments_may_wait_for_results,
    arguments_of_a_map_may_wait_for_its_tasks,
    a_result_does_not_wait_for_the_next_argument,
    arguments_that_end_late,
    endless_arguments_and_results_dropped_early,
    a_panic_in_the_arguments_reaches_the_caller,
    a_panic_in_an_encoding_reaches_the_caller,
    arguments_and_a_pool_that_ends,
    deep_values_by_every_way,
    a_drop_that_panics_is_the_callers,
    a_deserialize_may_panic_block_or_call_the_pool,
    a_result_that_nobody_fetches_is_not_decoded,
    handles_in_results_and_arguments,
    values_that_panic_in_the_worker,
    interrupts_reach_the_workers_unless_ignored,
] helpers [deep_value]);

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

fn increment(n: u32) -> u32 {
    n + 1
}

fn arguments_may_wait_for_results() {
    let pool = pool(2);
    for is_ordered in [true, false] {
        for chunk in [1, 2, 7, 1000] {
            // Each argument is sent when the result of the one before is there.
            let (sender, receiver) = mpsc::channel();
            sender.send(0).unwrap();
            let options = pool.options().chunk(chunk);
            let results = if is_ordered {
                options.imap(increment, receiver)
            } else {
                options.imap_unordered(increment, receiver)
            };
            let mut sender = Some(sender);
            let mut count = 0;
            for result in results {
                let n = result.unwrap();
                count += 1;
                match &sender {
                    Some(sender) if n < 20 => sender.send(n).unwrap(),
                    _ => sender = None,
                }
            }
            assert_eq!(count, 20, "{chunk}");
        }
    }
    // Two are under way all the time, and one more is waited for.
    let (sender, receiver) = mpsc::channel();
    (0..2).for_each(|n| sender.send(n).unwrap());
    let results: Vec<u32> = pool
        .options()
        .chunk(3)
        .imap(increment, receiver.into_iter().take(20))
        .map(|result| {
            let _ = sender.send(result.clone().unwrap() + 1);
            result.unwrap()
        })
        .collect();
    assert_eq!(results, (1..21).collect::<Vec<_>>());
}

fn arguments_of_a_map_may_wait_for_its_tasks() {
    let pool = pool(2);
    let done = Queue::<u32>::unbounded().unwrap();
    let report = |(done, n): (Queue<u32>, u32)| {
        done.put(&n).unwrap();
        n
    };
    // Sent one by one: by a chunk of one, or because the iterator does not know its length.
    for chunk in [None, Some(1)] {
        let arguments = || {
            (0..20).filter(|_| true).map(|n| {
                if n > 0 {
                    assert_eq!(done.get().unwrap(), n - 1);
                }
                (done.clone(), n)
            })
        };
        let options = match chunk {
            Some(chunk) => pool.options().chunk(chunk),
            None => pool.options(),
        };
        assert!(options.map(report, arguments()).unwrap().into_iter().eq(0..20));
        assert_eq!(done.get().unwrap(), 19);
        assert!(options.map_each(report, arguments()).into_iter().map(Result::unwrap).eq(0..20));
        assert_eq!(done.get().unwrap(), 19);
    }
    // A chunk that is slow to draw is sent before it is full, so the first tasks run while the last
    // are drawn.
    let arguments = (0..1000).map(|n| {
        if n == 10 {
            thread::sleep(Duration::from_millis(20));
        } else if n == 900 {
            (0..11).for_each(|_| _ = done.get().unwrap());
        }
        (done.clone(), n)
    });
    assert_eq!(pool.options().chunk(1000).map(report, arguments).unwrap().len(), 1000);
}

/// Arguments that come when they are released.
fn released() -> (Queue<u32>, impl Iterator<Item = u32> + Send) {
    let queue = Queue::unbounded().unwrap();
    let theirs = queue.clone();
    (queue, std::iter::from_fn(move || theirs.get().ok()))
}

fn a_result_does_not_wait_for_the_next_argument() {
    let pool = pool(2);
    for chunk in [1, 10] {
        for is_ordered in [true, false] {
            let (queue, arguments) = released();
            let options = pool.options().chunk(chunk);
            let mut results = if is_ordered {
                options.imap(increment, arguments)
            } else {
                options.imap_unordered(increment, arguments)
            };
            for n in 0..5 {
                queue.put(&n).unwrap();
                assert_eq!(results.next(), Some(Ok(n + 1)));
            }
            queue.close();
            assert_eq!((results.next(), results.next()), (None, None));
        }
    }
}

fn arguments_that_end_late() {
    let pool = pool(1);
    let (queue, arguments) = released();
    let mut results = pool.imap(increment, arguments);
    queue.put(&1).unwrap();
    assert_eq!(results.next(), Some(Ok(2)));
    let closer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        queue.close();
    });
    assert_eq!(results.next(), None);
    closer.join().unwrap();
}

fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|found| found.trim() == name).count()
}

fn endless_arguments_and_results_dropped_early() {
    let pool = pool(2);
    // Never asked for: no thread is started, and the arguments are dropped.
    drop(pool.imap(increment, 0..));
    for chunk in [1, 10] {
        let mut results = pool.options().chunk(chunk).imap(increment, 0..);
        assert!(results.by_ref().take(1000).map(Result::unwrap).eq(1..1001));
        drop(results);
        assert!(wait_until(Duration::from_secs(60), || threads_named("pool-arguments") == 0));
        // The iterator is in the middle of a wait.
        let (queue, mut arguments) = released();
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let arguments = std::iter::from_fn(move || {
            count.fetch_add(1, Ordering::Relaxed);
            arguments.next()
        });
        let mut results = pool.options().chunk(chunk).imap_unordered(increment, arguments);
        queue.put(&1).unwrap();
        assert_eq!(results.next(), Some(Ok(2)));
        assert!(wait_until(Duration::from_secs(60), || asked.load(Ordering::Relaxed) == 2));
        drop(results);
        assert_eq!(pool.apply(increment, 1), Ok(2));
        assert_eq!(threads_named("pool-arguments"), 1);
        queue.close();
        assert!(wait_until(Duration::from_secs(60), || threads_named("pool-arguments") == 0));
    }
    pool.join();
}

fn panics_with<R>(text: &str, work: impl FnOnce() -> R) {
    let payload = catch_unwind(AssertUnwindSafe(work)).err().expect("a panic");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&text));
}

/// Panics when it is dropped.
struct PanicsAtTheEnd;

impl Drop for PanicsAtTheEnd {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("dropped");
        }
    }
}

fn a_panic_in_the_arguments_reaches_the_caller() {
    let pool = pool(2);
    let arguments = || (0..100).map(|n: u32| if n == 50 { panic!("no more") } else { n });
    for chunk in [1, 7, 1000] {
        let options = pool.options().chunk(chunk);
        let mut results = options.imap(increment, arguments());
        // The results of those before it come first.
        assert!(results.by_ref().take(50).map(Result::unwrap).eq(1..51));
        panics_with("no more", || results.next());
        assert_eq!((results.next(), results.next()), (None, None));
        let mut results = options.imap_unordered(increment, arguments());
        let first: BTreeSet<u32> = results.by_ref().take(50).map(Result::unwrap).collect();
        assert!(first.into_iter().eq(1..51));
        panics_with("no more", || results.next());
        panics_with("no more", || options.map(increment, arguments()));
        panics_with("no more", || options.map_each(increment, arguments()));
        // Dropped without a look at it.
        let mut results = options.imap(increment, arguments());
        results.next();
        assert!(wait_until(Duration::from_secs(60), || threads_named("pool-arguments") == 0));
        drop(results);
    }
    // When the iterator is dropped at its end.
    let end = PanicsAtTheEnd;
    let arguments = (0..3).inspect(move |_| _ = &end);
    let mut results = pool.imap(increment, arguments);
    assert!(results.by_ref().take(3).map(Result::unwrap).eq(1..4));
    panics_with("dropped", || results.next());
    drop(results);
    pool.join();
}

/// Panics when it is encoded, if it is odd.
#[derive(Deserialize)]
struct OddPanics(u32);

impl Serialize for OddPanics {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 2 == 1 {
            panic!("odd");
        }
        self.0.serialize(serializer)
    }
}

fn a_panic_in_an_encoding_reaches_the_caller() {
    let pool = pool(1);
    let take = |n: OddPanics| n.0;
    panics_with("odd", || pool.apply(take, OddPanics(1)));
    panics_with("odd", || pool.apply_async(take, OddPanics(1)).map(drop));
    panics_with("odd", || pool.map(take, [OddPanics(2), OddPanics(1)]));
    let mut results = pool.imap(take, [OddPanics(2), OddPanics(1), OddPanics(4)]);
    assert_eq!(results.next(), Some(Ok(2)));
    panics_with("odd", || results.next());
    assert_eq!(results.next(), None);
    drop(results);
    assert_eq!(pool.apply(take, OddPanics(4)), Ok(4));
    pool.join();
}

fn arguments_and_a_pool_that_ends() {
    for chunk in [1, 10] {
        let pool = pool(1);
        let mut results = pool.options().chunk(chunk).imap(increment, 0..);
        assert_eq!(results.next(), Some(Ok(1)));
        pool.terminate();
        let rest: Vec<_> = results.by_ref().take(1000).collect();
        assert_eq!(rest[999], Err(TaskError::Terminated));
        drop(results);
        assert_eq!(pool.imap(increment, [1]).collect::<Vec<_>>(), [Err(TaskError::Terminated)]);
    }
    let pool = pool(1);
    pool.close();
    assert!(pool.imap(increment, 0..3).eq([(); 3].map(|()| Err(TaskError::Closed))));
}

/// A list in which each element holds the next one.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Deep(Option<Box<Deep>>);

fn deep(depth: u32) -> Deep {
    (0..depth).fold(Deep(None), |inner, _| Deep(Some(Box::new(inner))))
}

fn depth(mut value: &Deep) -> u32 {
    let mut depth = 0;
    while let Some(inner) = &value.0 {
        depth += 1;
        value = inner;
    }
    depth
}

/// Deeper than a thread of 2 MiB can decode; the main thread of this program can.
const DEPTH: u32 = 10_000;

fn deep_value() {
    let pool = pool(2);
    assert_eq!(depth(&pool.apply(deep, DEPTH).unwrap()), DEPTH);
    assert_eq!(depth(&pool.apply_async(deep, DEPTH).unwrap().get().unwrap()), DEPTH);
    for chunk in [1, 3] {
        let options = pool.options().chunk(chunk);
        let depths = |results: Vec<Deep>| assert!(results.iter().all(|deep| depth(deep) == DEPTH));
        depths(options.map(deep, [DEPTH; 4]).unwrap());
        depths(options.map_each(deep, [DEPTH; 4]).into_iter().map(Result::unwrap).collect());
        depths(options.imap(deep, [DEPTH; 4]).map(Result::unwrap).collect());
        depths(options.imap_unordered(deep, [DEPTH; 4]).map(Result::unwrap).collect());
        // As arguments.
        let measure = |value: Deep| depth(&value);
        let values = || (0..4).map(|_| deep(DEPTH));
        assert_eq!(options.map(measure, values()).unwrap(), [DEPTH; 4]);
        assert!(options.imap(measure, values()).map(Result::unwrap).eq([DEPTH; 4]));
    }
    // Results that nobody fetches, or only after the pool is gone.
    drop(pool.apply_async(deep, DEPTH).unwrap());
    let late = pool.apply_async(deep, DEPTH).unwrap();
    let mut results = pool.imap(deep, [DEPTH; 10]);
    assert_eq!(depth(&results.next().unwrap().unwrap()), DEPTH);
    drop(results);
    pool.join();
    assert_eq!(depth(&late.get().unwrap()), DEPTH);
}

fn deep_values_by_every_way() {
    // On a main thread with a stack of its own size.
    let output = helper("deep_value").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Panics when it is dropped in the caller's process.
#[derive(Debug, Serialize, Deserialize)]
struct PanicsInTheCaller(u32);

impl Drop for PanicsInTheCaller {
    fn drop(&mut self) {
        if multiproc::current().parent_id.is_none() && !thread::panicking() {
            panic!("dropped in the caller");
        }
    }
}

fn a_drop_that_panics_is_the_callers() {
    let pool = pool(1);
    let give = |n: u32| PanicsInTheCaller(n);
    let text = "dropped in the caller";
    panics_with(text, || drop(pool.apply(give, 1)));
    panics_with(text, || drop(pool.map(give, [1, 2])));
    panics_with(text, || pool.imap(give, 0..3).for_each(drop));
    // The first error counts, and the values before it are dropped here.
    panics_with(text, || {
        drop(pool.map(|n: u32| if n == 1 { panic!() } else { PanicsInTheCaller(n) }, 0..3))
    });
    // Nobody fetches them.
    drop(pool.apply_async(give, 1).unwrap());
    let mut results = pool.imap(give, 0..10);
    std::mem::forget(results.next());
    drop(results);
    assert_eq!(pool.apply(increment, 1), Ok(2));
    pool.join();
}

/// What its `Deserialize` does: the next of these.
static WHEN_DECODED: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

#[derive(Debug, PartialEq, Serialize)]
struct Special(u32);

impl<'de> Deserialize<'de> for Special {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let next = WHEN_DECODED.lock().unwrap().pop();
        next.into_iter().for_each(|act| act());
        u32::deserialize(deserializer).map(Special)
    }
}

static POOL: OnceLock<Pool> = OnceLock::new();
static IS_RELEASED: AtomicBool = AtomicBool::new(false);

fn a_deserialize_may_panic_block_or_call_the_pool() {
    let pool = POOL.get_or_init(|| pool(2));
    let give = |n: u32| Special(n);
    let act = |acts: &[fn()]| WHEN_DECODED.lock().unwrap().extend(acts.iter().rev());
    let fail = || panic!("not now");
    fn has_bytes<T>(result: &Result<T, TaskError>, byte: u8) -> bool {
        matches!(result, Err(TaskError::Decode(error)) if error.bytes == [byte])
    }
    let call = || assert_eq!(POOL.get().unwrap().map(increment, 0..3), Ok(vec![1, 2, 3]));
    for chunk in [1, 3] {
        let options = pool.options().chunk(chunk);
        act(&[fail]);
        let error = options.apply(give, 1).unwrap_err();
        assert!(
            matches!(&error, TaskError::Decode(error) if error.to_string().contains("not now")),
            "{error}"
        );
        act(&[call, fail, call]);
        let results = options.map_each(give, 0..6);
        assert!(results.iter().map(Result::is_ok).eq([true, false, true, true, true, true]));
        assert!(has_bytes(&results[1], 1));
        act(&[call, call, fail]);
        assert!(has_bytes(&options.map(give, 0..6), 2));
        act(&[call, fail]);
        let results = options.imap(give, 0..6).map(|result| result.is_ok());
        assert!(results.eq([true, false, true, true, true, true]));
        act(&[call]);
        assert_eq!(options.apply(give, 1), Ok(Special(1)));
    }
    // One that blocks is no obstacle to others.
    act(&[|| {
        while !IS_RELEASED.load(Ordering::Relaxed) {
            thread::yield_now()
        }
    }]);
    let blocked = thread::spawn(move || pool.apply(give, 7));
    assert!(wait_until(Duration::from_secs(60), || WHEN_DECODED.lock().unwrap().is_empty()));
    assert_eq!(pool.map(increment, 0..100).unwrap().len(), 100);
    assert!(!blocked.is_finished());
    IS_RELEASED.store(true, Ordering::Relaxed);
    assert_eq!(blocked.join().unwrap(), Ok(Special(7)));
    // The pool is in a static, which is never dropped: its workers must end.
    pool.terminate();
    assert!(wait_until(Duration::from_secs(60), || pool.worker_ids().is_empty()));
}

static DECODED: AtomicU32 = AtomicU32::new(0);

#[derive(Serialize)]
struct Counted;

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::Relaxed);
        <()>::deserialize(deserializer).map(|()| Self)
    }
}

fn a_result_that_nobody_fetches_is_not_decoded() {
    let pool = pool(2);
    let give = |_: u32| Counted;
    drop(pool.apply_async(give, 1).unwrap());
    let ready = pool.apply_async(give, 1).unwrap();
    assert!(wait_until(Duration::from_secs(60), || ready.is_ready()));
    drop(ready);
    let mut results = pool.imap(give, 0..100);
    assert!(results.next().unwrap().is_ok());
    drop(results);
    pool.join();
    assert_eq!(DECODED.load(Ordering::Relaxed), 1);
}

fn handles_in_results_and_arguments() {
    let filled = |n: u32| {
        let queue = Queue::unbounded().unwrap();
        queue.put(&n).unwrap();
        queue
    };
    let content = |queue: Queue<u32>| queue.get().unwrap();
    // Each worker ends after its task: the result must outlive it.
    for limit in [1, 1000] {
        let pool = Pool::builder().workers(2).max_tasks_per_worker(limit).build().unwrap();
        let late: Vec<_> = (0..10).map(|n| pool.apply_async(filled, n).unwrap()).collect();
        for chunk in [1, 4] {
            let options = pool.options().chunk(chunk);
            let queues = options.map(filled, 0..10).unwrap();
            assert!(queues.iter().map(|queue| queue.get().unwrap()).eq(0..10));
            let queues = options.imap(filled, 0..10).map(Result::unwrap);
            assert!(queues.map(|queue| queue.get().unwrap()).eq(0..10));
            // As arguments: only the task has them.
            assert!(options.map(content, (0..10).map(filled)).unwrap().into_iter().eq(0..10));
            let results = options.imap(content, (0..10).map(filled)).map(Result::unwrap);
            assert!(results.eq(0..10));
        }
        pool.join();
        assert!((0..).zip(late).take(10).all(|(n, late)| late.get().unwrap().get().unwrap() == n));
    }
    // A task that is run again finds its queue, though the caller and the first worker are gone.
    let pool = pool(1);
    let twice = |(queue, deaths): (Queue<u32>, Queue<()>)| {
        if deaths.try_get().is_ok() {
            std::process::exit(1);
        }
        queue.get().unwrap()
    };
    for chunk in [1, 5] {
        let with_deaths = |n| {
            let deaths = Queue::unbounded().unwrap();
            deaths.put(&()).unwrap();
            (filled(n), deaths)
        };
        let results = pool.options().retry_lost().chunk(chunk).map(twice, (0..5).map(with_deaths));
        assert_eq!(results.unwrap(), [0, 1, 2, 3, 4]);
    }
    // What nobody fetches is released: there is room for no more than 65,534 at a time.
    for _ in 0..70 {
        let results: Vec<_> = (0..10).map(|n| pool.apply_async(filled, n).unwrap()).collect();
        drop(results);
    }
    pool.join();
}

/// Panics when it is dropped in a worker; its panic's payload does too.
#[derive(Serialize, Deserialize)]
struct PanicsInTheWorker(u32);

impl Drop for PanicsInTheWorker {
    fn drop(&mut self) {
        if multiproc::current().parent_id.is_some() && !thread::panicking() {
            std::panic::panic_any(Payload(3));
        }
    }
}

/// Its drop panics with one more of them.
struct Payload(u32);

impl Drop for Payload {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::panic::panic_any(Payload(self.0 - 1));
        }
    }
}

fn values_that_panic_in_the_worker() {
    let pool = pool(1);
    let ids = pool.worker_ids();
    for chunk in [1, 4] {
        let options = pool.options().chunk(chunk);
        let is_panic = |error: &TaskError| matches!(error, TaskError::Panicked { .. });
        let given = options.map_each(|n: u32| PanicsInTheWorker(n), 0..4);
        assert!(given.iter().all(|result| result.as_ref().err().is_some_and(is_panic)));
        let taken =
            options.map_each(|value: PanicsInTheWorker| value.0, (0..4).map(PanicsInTheWorker));
        assert!(taken.iter().all(|result| result.as_ref().err().is_some_and(is_panic)));
        let thrown = options
            .map_each(|n: u32| if n == 1 { std::panic::panic_any(Payload(2)) } else { n }, 0..4);
        assert!(thrown.iter().map(Result::is_ok).eq([true, false, true, true]));
        // Too deep for the worker's stack: its task is lost, and no other.
        let deadly = options.map_each(|depth: u32| depth_of(deep(depth)), [1, 500_000, 2, 3]);
        assert!(deadly.iter().map(Result::is_ok).eq([true, false, true, true]), "{deadly:?}");
    }
    assert_eq!(pool.apply(increment, 1), Ok(2));
    assert_ne!(pool.worker_ids(), ids);
    pool.join();
}

/// Drops it, which recurses.
fn depth_of(value: Deep) -> u32 {
    depth(&value)
}

fn interrupts_reach_the_workers_unless_ignored() {
    let interrupted = |arrived: Queue<u32>| {
        arrived.put(&std::process::id()).unwrap();
        // Until the queue is closed.
        while arrived.try_put(&0).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    };
    for is_ignored in [false, true] {
        let builder = Pool::builder().workers(1);
        let builder = if is_ignored { builder.ignore_interrupts() } else { builder };
        let pool = builder.build().unwrap();
        let arrived = Queue::unbounded().unwrap();
        let task = pool.apply_async(interrupted, arrived.clone()).unwrap();
        let id = arrived.get().unwrap();
        kill_process(Pid::from_raw(id as i32).unwrap(), Signal::INT).unwrap();
        if is_ignored {
            // It is handled before the worker's next step.
            while arrived.get().unwrap() != 0 {}
            arrived.close();
            assert_eq!(task.get(), Ok(()));
            assert_eq!(pool.worker_ids(), [id]);
        } else {
            assert_eq!(task.get(), Err(TaskError::WorkerLost { signal: Some(2) }));
        }
        pool.join();
    }
}
