//! Models of the cases about races and deadlocks: the same steps, on threads that shuttle
//! schedules. A correct version must pass in every interleaving (where there are too many, in
//! thousands of random ones). A wrong version must fail under random schedules from fixed seeds.
//! Shuttle's atomics are sequentially consistent, so its models say nothing about weaker memory
//! orderings; [`ordering`] asks loom.
//!
//! The failing schedule of a case's mistake is drawn, and the notes show it:
//! `cargo test -p checks --test models -- --nocapture race` prints that of the test `race…`.
//! Shuttle reports each failure it finds on standard error as well; `2>/dev/null` hides that.

mod ordering;
mod schedule;
mod waiting;

use schedule::{lock, recorded, shown, simplest_failure, step};
use shuttle::{
    Config, Runner, check_random,
    scheduler::{DfsScheduler, RandomScheduler},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    thread,
};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Tries every interleaving of `model` and tells how many there are.
fn every_interleaving(model: impl Fn() + Send + Sync + 'static) -> usize {
    let count = Runner::new(DfsScheduler::new(None, false), Config::new()).run(recorded(model));
    println!("{count} interleavings");
    assert!(count > 1, "threads that never meet prove nothing");
    count
}

/// Tries interleavings of `model`, drawn by chance from a fixed seed (so the same ones each time),
/// until one fails, and hands back what it said. Its schedule is printed on standard error.
///
/// # Panics
///
/// If none fails; or not again, in the same way, when all is done once more.
fn found_wrong(model: impl Fn() + Send + Sync + Copy + 'static) -> String {
    let attempt = || {
        let runner = Runner::new(RandomScheduler::new_from_seed(28, 10_000), Config::new());
        message(catch_unwind(AssertUnwindSafe(|| runner.run(model))))
    };
    let said = attempt();
    assert_eq!(said, attempt());
    said
}

fn message<T>(outcome: std::thread::Result<T>) -> String {
    let Err(error) = outcome else { panic!("a wrong version passed") };
    let owned = error.downcast_ref::<String>().cloned();
    owned.or_else(|| error.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default()
}

/// Runs `body(1)` and `body(-1)` in two threads, to their ends.
fn two(body: impl Fn(i64) + Send + Sync + 'static) {
    let body = Arc::new(body);
    let threads = [1, -1].map(|step| {
        let body = Arc::clone(&body);
        thread::spawn(move || body(step))
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// 28_10_1_race: load, then store.
#[test]
fn race_is_found() {
    let failure = simplest_failure("an update is lost", || {
        let sum = Arc::new(AtomicI64::new(0));
        let shared = Arc::clone(&sum);
        two(move |number| {
            let name = if number > 0 { "thread 1" } else { "thread 2" };
            let seen = shared.load(SeqCst);
            step(name, format_args!("load: {seen}"));
            shared.store(seen + 1, SeqCst);
            step(name, format_args!("store {}", seen + 1));
        });
        assert_eq!(sum.load(SeqCst), 2, "an update is lost");
    });
    shown("race", &failure, "two updates, and the sum is 1: one is lost");
}

/// 28_10_1_race: its cure, one step that nobody can come between.
#[test]
fn fetch_add_passes() {
    every_interleaving(|| {
        let sum = Arc::new(AtomicI64::new(0));
        let shared = Arc::clone(&sum);
        two(move |step| _ = shared.fetch_add(step, SeqCst));
        assert_eq!(sum.load(SeqCst), 0);
    });
}

/// 28_11_mutex: the lock around the whole loop.
#[test]
fn mutex_passes() {
    every_interleaving(|| {
        let sum = Arc::new(Mutex::new(0));
        let shared = Arc::clone(&sum);
        two(move |step| {
            let mut sum = shared.lock().unwrap();
            for _ in 0..2 {
                let seen = *sum;
                thread::yield_now(); // whoever comes now has to wait
                *sum = seen + step;
            }
        });
        assert_eq!(*sum.lock().unwrap(), 0);
    });
}

/// 28_11_1_fine_grained_mutex: the lock inside the loop.
#[test]
fn fine_grained_mutex_passes() {
    every_interleaving(|| {
        let sum = Arc::new(Mutex::new(0));
        let shared = Arc::clone(&sum);
        two(move |step| (0..2).for_each(|_| *shared.lock().unwrap() += step));
        assert_eq!(*sum.lock().unwrap(), 0);
    });
}

/// 28_11_1_fine_grained_mutex, got wrong: so fine that the sum is read under one lock and written
/// under another.
#[test]
fn too_fine_grained_mutex_is_found() {
    let failure = simplest_failure("an update is lost", || {
        let sum = Arc::new(Mutex::new(0));
        let shared = Arc::clone(&sum);
        two(move |number| {
            let name = if number > 0 { "add" } else { "subtract" };
            let seen = *shared.lock().unwrap();
            step(name, format_args!("lock, read {seen}, unlock"));
            *shared.lock().unwrap() = seen + number;
            step(name, format_args!("lock, write {}, unlock", seen + number));
        });
        assert_eq!(*sum.lock().unwrap(), 0, "an update is lost");
    });
    shown("too_fine_grained", &failure, "the sum is not 0: an update is lost");
}

/// Two locks, and two threads that take them by `take`, the second thread the other way round.
fn two_locks(take: impl Fn(&Mutex<i64>, &Mutex<i64>, bool) + Send + Sync + Copy + 'static) {
    let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
    let shared = Arc::clone(&locks);
    two(move |step| {
        let (a, b) = &*shared;
        if step > 0 { take(a, b, true) } else { take(b, a, false) }
    });
    assert_eq!((*locks.0.lock().unwrap(), *locks.1.lock().unwrap()), (2, 2));
}

fn count(mut one: MutexGuard<i64>, mut other: MutexGuard<i64>) {
    *one += 1;
    *other += 1;
}

/// 013_deadlock: A then B against B then A.
#[test]
fn deadlock_is_found() {
    let failure = simplest_failure("deadlock", || {
        two_locks(|first, second, in_order| {
            let (name, [its_first, its_second]) = performer(in_order);
            let one = lock(name, its_first, first);
            count(one, lock(name, its_second, second));
        });
    });
    shown("deadlock", &failure, "deadlock: each waits for what the other one holds");
}

/// Who takes the locks in this order, and what they are called.
fn performer(in_order: bool) -> (&'static str, [&'static str; 2]) {
    if in_order { ("sing", ["A", "B"]) } else { ("dance", ["B", "A"]) }
}

/// 013_1_lock_order: its first cure, one order for all.
#[test]
fn lock_order_passes() {
    every_interleaving(|| {
        two_locks(|first, second, in_order| {
            let (a, b) = if in_order { (first, second) } else { (second, first) };
            let one = a.lock().unwrap();
            count(one, b.lock().unwrap());
        });
    });
}

/// 013_2_lock_timeout: its second cure, giving up. A time-out is a `try_lock` that fails; how often
/// it does has no bound, so the schedules are drawn by chance instead of all being tried.
#[test]
fn lock_timeout_passes() {
    check_random(
        || {
            two_locks(|first, second, _| {
                loop {
                    let one = first.lock().unwrap();
                    if let Ok(other) = second.try_lock() {
                        break count(one, other);
                    }
                    drop(one); // lets the other one go on
                    thread::yield_now();
                }
            });
        },
        2000,
    );
}

/// 013_2_lock_timeout, got wrong: it tries again, but keeps what it holds.
#[test]
fn keeping_the_lock_while_trying_again_is_found() {
    let failure = simplest_failure("livelock", || {
        two_locks(|first, second, in_order| {
            let (name, [its_first, its_second]) = performer(in_order);
            let one = lock(name, its_first, first);
            for _ in 0..3 {
                if let Ok(other) = second.try_lock() {
                    return count(one, other);
                }
                step(name, format_args!("times out on {its_second}, keeps {its_first}"));
                thread::yield_now();
            }
            panic!("still not: a livelock");
        });
    });
    shown("keeping_the_lock", &failure, "neither releases what the other one waits for");
}

/// 28_12_producer_consumer: a bounded queue as one would build it, with one place.
struct Bounded {
    items: Mutex<VecDeque<u32>>,
    changed: Condvar,
    /// Look again after each wake-up (right), or trust it (wrong).
    look_again: bool,
    /// Wake all (right), or one, who may be the wrong one.
    wake_all: bool,
}

impl Bounded {
    const CAPACITY: usize = 1;

    fn wait_until(
        &self,
        thread: &str,
        ready: impl Fn(&VecDeque<u32>) -> bool,
    ) -> MutexGuard<'_, VecDeque<u32>> {
        let mut items = self.items.lock().unwrap();
        while !ready(&items) {
            step(thread, if items.is_empty() { "empty: sleeps" } else { "full: sleeps" });
            items = self.changed.wait(items).unwrap();
            step(thread, "wakes up");
            if !self.look_again {
                break;
            }
        }
        items
    }

    fn wake(&self) {
        if self.wake_all { self.changed.notify_all() } else { self.changed.notify_one() }
    }

    fn put(&self, thread: &str, item: u32) {
        let mut items = self.wait_until(thread, |items| items.len() < Self::CAPACITY);
        items.push_back(item);
        step(thread, "puts, notifies");
        assert!(items.len() <= Self::CAPACITY, "over the capacity");
        self.wake();
    }

    fn get(&self, thread: &str) -> u32 {
        let mut items = self.wait_until(thread, |items| !items.is_empty());
        let item = items.pop_front();
        step(thread, if item.is_some() { "gets, notifies" } else { "finds nothing" });
        self.wake();
        item.expect("an item for whoever was woken")
    }
}

/// Two producers and two consumers of one item each.
fn producers_and_consumers(look_again: bool, wake_all: bool) {
    let (items, changed) = (Mutex::default(), Condvar::new());
    let queue = Arc::new(Bounded { items, changed, look_again, wake_all });
    let producers: Vec<_> = [1, 2]
        .into_iter()
        .map(|item| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.put(&format!("producer {item}"), item))
        })
        .collect();
    let consumers: Vec<_> = (1..=2)
        .map(|number| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.get(&format!("consumer {number}")))
        })
        .collect();
    producers.into_iter().for_each(|thread| thread.join().unwrap());
    let got: u32 = consumers.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(got, 3, "each item once");
}

#[test]
fn bounded_queue_passes() {
    check_random(recorded(|| producers_and_consumers(true, true)), 5000);
}

#[test]
fn bounded_queue_that_trusts_a_wake_up_is_found() {
    let failure = simplest_failure("an item for", || producers_and_consumers(false, true));
    let said = &failure.said;
    assert!(said.contains("over the capacity") || said.contains("an item for"), "{failure:?}");
    shown("trusted_wake_up", &failure, "the condition holds no longer: it has to be checked again");
}

#[test]
fn bounded_queue_that_wakes_one_is_found() {
    let failure = simplest_failure("deadlock", || producers_and_consumers(true, false));
    shown(
        "woken_wrong_one",
        &failure,
        "deadlock: the notification went to a thread it does not help",
    );
}

/// 4_4_from_scratch: its queue of what is ready, a task's waker, and the loop that runs it. One
/// task, which waits for what other threads bring.
struct Executor {
    queue: Mutex<VecDeque<u64>>,
    filled: Condvar,
    /// The waker's: whether the task's number is in the queue already.
    queued: AtomicBool,
    /// How many things have come that the task waits for.
    came: AtomicI64,
    polls: AtomicI64,
}

/// When the loop takes the mark from a task's waker that says it is queued.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    /// Before it polls the task: a wake that comes meanwhile counts for the next time.
    Before,
    /// After it: such a wake finds the mark still there, and is lost.
    After,
    /// There is no mark: each wake is another poll.
    Never,
}

impl Executor {
    const TASK: u64 = 7;

    /// `TaskWaker::wake`.
    fn wake(&self, mark: Mark) {
        if mark == Mark::Never || !self.queued.swap(true, SeqCst) {
            self.queue.lock().unwrap().push_back(Self::TASK);
            self.filled.notify_one();
        }
    }

    /// `Executor::next_ready`, without timers.
    fn next_ready(&self) -> u64 {
        let mut queue = self.queue.lock().unwrap();
        loop {
            if let Some(number) = queue.pop_front() {
                return number;
            }
            queue = self.filled.wait(queue).unwrap();
        }
    }

    /// `Executor::run`: until the task, which is ready when `all` have come, has ended.
    fn run(&self, all: i64, mark: Mark) {
        loop {
            assert_eq!(self.next_ready(), Self::TASK);
            if mark == Mark::Before {
                self.queued.store(false, SeqCst);
            }
            self.polls.fetch_add(1, SeqCst);
            if self.came.load(SeqCst) == all {
                return;
            }
            if mark == Mark::After {
                self.queued.store(false, SeqCst);
            }
        }
    }
}

/// A task that waits for so many things, each of which a thread brings and wakes it for, beside the
/// executor's own thread.
fn executor(things: i64, mark: Mark) {
    let executor = Arc::new(Executor {
        queue: Mutex::default(),
        filled: Condvar::new(),
        queued: AtomicBool::new(false),
        came: AtomicI64::new(0),
        polls: AtomicI64::new(0),
    });
    executor.wake(mark); // it is spawned
    let bring = |_| {
        let executor = Arc::clone(&executor);
        thread::spawn(move || {
            executor.came.fetch_add(1, SeqCst);
            executor.wake(mark);
        })
    };
    let bringing: Vec<_> = (0..things).map(bring).collect();
    executor.run(things, mark);
    bringing.into_iter().for_each(|thread| thread.join().unwrap());
    // What is left in the queue is the number of a task that has ended: at most once, since its
    // mark is set.
    let left = executor.queue.lock().unwrap().len();
    assert!(left <= 1, "queued more than once");
    assert!(executor.polls.load(SeqCst) <= 1 + things, "polled more often than woken");
}

/// 4_4_from_scratch: no wake is lost, whenever it comes, and none counts twice.
#[test]
fn executor_passes() {
    every_interleaving(|| executor(1, Mark::Before));
    check_random(|| executor(2, Mark::Before), 5000);
}

/// 4_4_from_scratch, got wrong: the mark is taken away after the poll. A wake between the task's
/// look and that finds the mark, does nothing, and the executor sleeps forever.
#[test]
fn executor_that_clears_the_mark_after_the_poll_is_found() {
    let said = found_wrong(|| executor(1, Mark::After));
    assert!(said.contains("deadlock"), "{said}");
}

/// 4_4_from_scratch, got wrong: no mark, so a task is queued as often as it is woken.
#[test]
fn executor_that_queues_each_wake_is_found() {
    let said = found_wrong(|| executor(2, Mark::Never));
    assert!(said.contains("queued more than once"), "{said}");
}

/// 4_4_from_scratch, got wrong: it looks into the queue and goes to sleep in two steps, so that a
/// wake between them wakes nobody.
#[test]
fn executor_that_sleeps_without_the_lock_is_found() {
    let said = found_wrong(|| {
        let shared = Arc::new((Mutex::new(VecDeque::<u64>::new()), Condvar::new()));
        let waker = Arc::clone(&shared);
        let waking = thread::spawn(move || {
            waker.0.lock().unwrap().push_back(Executor::TASK);
            waker.1.notify_one();
        });
        let is_empty = shared.0.lock().unwrap().is_empty(); // the lock is given back here
        if is_empty {
            drop(shared.1.wait(shared.0.lock().unwrap()).unwrap());
        }
        assert_eq!(shared.0.lock().unwrap().pop_front(), Some(Executor::TASK));
        waking.join().unwrap();
    });
    assert!(said.contains("deadlock"), "{said}");
}
