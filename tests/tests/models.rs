//! Model-checked twins of the cases about races and deadlocks: the same steps, on threads whose
//! interleavings are tried one by one. A right version must pass every single one of them (where they are too
//! many, thousands drawn by chance); a wrong one must be found wrong. The schedule that makes it fail is
//! printed, and `shuttle::replay` runs it again.
//!
//! To see a failing schedule: `cargo test -p checks --test models -- --nocapture race`.

use shuttle::{
    Config, Runner, check_random,
    scheduler::{DfsScheduler, RandomScheduler},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    thread,
};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Tries every interleaving of `model` and tells how many there are.
fn every_interleaving(model: impl Fn() + Send + Sync + 'static) -> usize {
    let count = Runner::new(DfsScheduler::new(None, false), Config::new()).run(model);
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
    let said = found_wrong(|| {
        let sum = Arc::new(AtomicI64::new(0));
        let shared = Arc::clone(&sum);
        two(move |step| {
            let seen = shared.load(SeqCst);
            shared.store(seen + step, SeqCst);
        });
        assert_eq!(sum.load(SeqCst), 0, "an update is lost");
    });
    assert!(said.contains("an update is lost"), "{said}");
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

/// 28_11_1_fine_grained_mutex, got wrong: so fine that the sum is read under one lock and written under another.
#[test]
fn too_fine_grained_mutex_is_found() {
    let said = found_wrong(|| {
        let sum = Arc::new(Mutex::new(0));
        let shared = Arc::clone(&sum);
        two(move |step| {
            let seen = *shared.lock().unwrap();
            *shared.lock().unwrap() = seen + step;
        });
        assert_eq!(*sum.lock().unwrap(), 0, "an update is lost");
    });
    assert!(said.contains("an update is lost"), "{said}");
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
    let said = found_wrong(|| {
        two_locks(|first, second, _| {
            let one = first.lock().unwrap();
            count(one, second.lock().unwrap());
        });
    });
    assert!(said.contains("deadlock"), "{said}");
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

/// 013_2_lock_timeout: its second cure, giving up. A time-out is a `try_lock` that fails; how often it
/// does has no bound, so the schedules are drawn by chance instead of all being tried.
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
    let said = found_wrong(|| {
        two_locks(|first, second, _| {
            let one = first.lock().unwrap();
            for _ in 0..3 {
                if let Ok(other) = second.try_lock() {
                    return count(one, other);
                }
                thread::yield_now();
            }
            panic!("still not: a livelock");
        });
    });
    assert!(said.contains("livelock"), "{said}");
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

    fn wait_until(&self, ready: impl Fn(&VecDeque<u32>) -> bool) -> MutexGuard<'_, VecDeque<u32>> {
        let mut items = self.items.lock().unwrap();
        if self.look_again {
            while !ready(&items) {
                items = self.changed.wait(items).unwrap();
            }
        } else if !ready(&items) {
            items = self.changed.wait(items).unwrap();
        }
        items
    }

    fn wake(&self) {
        if self.wake_all { self.changed.notify_all() } else { self.changed.notify_one() }
    }

    fn put(&self, item: u32) {
        let mut items = self.wait_until(|items| items.len() < Self::CAPACITY);
        items.push_back(item);
        assert!(items.len() <= Self::CAPACITY, "over the capacity");
        self.wake();
    }

    fn get(&self) -> u32 {
        let mut items = self.wait_until(|items| !items.is_empty());
        let item = items.pop_front().expect("an item for whoever was woken");
        self.wake();
        item
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
            thread::spawn(move || queue.put(item))
        })
        .collect();
    let consumers: Vec<_> = (0..2)
        .map(|_| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.get())
        })
        .collect();
    producers.into_iter().for_each(|thread| thread.join().unwrap());
    let got: u32 = consumers.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(got, 3, "each item once");
}

#[test]
fn bounded_queue_passes() {
    check_random(|| producers_and_consumers(true, true), 5000);
}

#[test]
fn bounded_queue_that_trusts_a_wake_up_is_found() {
    let said = found_wrong(|| producers_and_consumers(false, true));
    assert!(said.contains("over the capacity") || said.contains("an item for"), "{said}");
}

#[test]
fn bounded_queue_that_wakes_one_is_found() {
    let said = found_wrong(|| producers_and_consumers(true, false));
    assert!(said.contains("deadlock"), "{said}");
}
