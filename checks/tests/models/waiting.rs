//! Models of the cases about waiting: condition variables, semaphores, barriers, a lock taken
//! twice.

use crate::{
    every_interleaving,
    schedule::{lock, recorded, shown, simplest_failure, sleep, step, unlock},
};
use shuttle::{
    check_random,
    sync::{
        Arc, Barrier, Condvar, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
};

/// Runs each body in a thread, to their ends.
fn run(bodies: impl IntoIterator<Item = Box<dyn FnOnce() + Send>>) {
    let threads: Vec<_> = bodies.into_iter().map(thread::spawn).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// 2_2_condition with two cooks that need one apple each, and one who picks two.
fn cooks(checks_again: bool) {
    let basket = Arc::new((Mutex::new(0), Condvar::new()));
    let cook = |name: &'static str| {
        let basket = Arc::clone(&basket);
        Box::new(move || {
            let mut apples = lock(name, "basket", &basket.0);
            while *apples == 0 {
                apples = sleep(name, &basket.1, apples);
                if !checks_again {
                    break;
                }
            }
            if *apples == 0 {
                step(name, "finds no apple");
                panic!("no apple is there");
            }
            *apples -= 1;
            step(name, "takes an apple");
            unlock(name, "basket", apples);
        }) as Box<dyn FnOnce() + Send>
    };
    let (cooks, basket) = ([cook("cook 1"), cook("cook 2")], Arc::clone(&basket));
    let pick = Box::new(move || {
        for _ in 0..2 {
            let mut apples = lock("picker", "basket", &basket.0);
            *apples += 1;
            step("picker", "adds one, notifies all");
            basket.1.notify_all();
            unlock("picker", "basket", apples);
        }
    }) as Box<dyn FnOnce() + Send>;
    run(cooks.into_iter().chain([pick]));
}

/// 2_2_condition.
#[test]
fn condition_in_a_loop_passes() {
    check_random(recorded(|| cooks(true)), 5000);
}

/// 2_2_condition, got wrong: `if` in place of `while`.
#[test]
fn condition_checked_once_is_found() {
    let failure = simplest_failure("no apple is there", || cooks(false));
    shown(
        "condition_checked_once",
        &failure,
        "the apple it was woken for is gone: it has to check again",
    );
}

/// A flag that one thread sets and the other one waits for; `with_lock`, or beside it.
fn flag(with_lock: bool) {
    let shared = Arc::new((Mutex::new(()), Condvar::new(), AtomicU32::new(0)));
    let waiter = Arc::clone(&shared);
    let wait = move || {
        let (mutex, changed, flag) = &*waiter;
        let mut guard = lock("waiter", "mutex", mutex);
        while flag.load(SeqCst) == 0 {
            step("waiter", "the flag is not set");
            guard = changed.wait(guard).unwrap();
            step("waiter", "wakes up");
        }
        drop(guard);
    };
    let set = move || {
        let (mutex, changed, flag) = &*shared;
        let guard = with_lock.then(|| lock("setter", "mutex", mutex));
        flag.store(1, SeqCst);
        step("setter", "sets the flag");
        drop(guard);
        changed.notify_one();
        step("setter", "notifies");
    };
    run([Box::new(wait) as Box<dyn FnOnce() + Send>, Box::new(set)]);
}

/// 2_2_condition: the change is made under the lock; the notification may come after it.
#[test]
fn condition_changed_under_the_lock_passes() {
    every_interleaving(|| flag(true));
}

/// 2_2_condition, got wrong: the change is made without the lock, between the other one's look and
/// its sleep.
#[test]
fn condition_changed_without_the_lock_is_found() {
    let mut failure = simplest_failure("deadlock", || flag(false));
    // It is blocked in `wait`. It began to sleep after the notification, which would have woken it.
    failure.steps.add("waiter", "unlocks and sleeps");
    shown("lost_wake_up", &failure, "lost wake-up: nobody slept when the notification came");
}

/// 2_4_semaphore with one permit: two threads, each with a way out of its work.
fn semaphore(returns_always: bool) {
    let semaphore = Arc::new((Mutex::new(1), Condvar::new()));
    let work = |name: &'static str| {
        let semaphore = Arc::clone(&semaphore);
        Box::new(move || {
            let mut free = semaphore.0.lock().unwrap();
            while *free == 0 {
                step(name, "waits for a permit");
                free = semaphore.1.wait(free).unwrap();
            }
            *free -= 1;
            step(name, "acquires");
            drop(free);
            if returns_always {
                *semaphore.0.lock().unwrap() += 1;
                semaphore.1.notify_one();
            } else {
                step(name, "returns early");
            }
        }) as Box<dyn FnOnce() + Send>
    };
    run([work("one"), work("other")]);
}

#[test]
fn semaphore_passes() {
    every_interleaving(|| semaphore(true));
}

/// 2_4_semaphore, got wrong: `release` is a call of its own, and an early return skips it.
#[test]
fn semaphore_whose_permit_is_not_returned_is_found() {
    let failure = simplest_failure("deadlock", || semaphore(false));
    shown("permit_not_returned", &failure, "deadlock: the permit is gone with the first thread");
}

/// 2_5_barrier: two threads, each of which must find both in the second phase.
fn barrier(size: usize) {
    let shared = Arc::new((Barrier::new(size), AtomicU32::new(0)));
    let work = |name: &'static str| {
        let shared = Arc::clone(&shared);
        Box::new(move || {
            shared.1.fetch_add(1, SeqCst);
            step(name, "arrives and waits");
            shared.0.wait();
            assert_eq!(shared.1.load(SeqCst), 2, "both have finished the first phase");
        }) as Box<dyn FnOnce() + Send>
    };
    run([work("one"), work("other")]);
}

#[test]
fn barrier_passes() {
    every_interleaving(|| barrier(2));
}

/// 2_5_barrier, got wrong: it waits for a thread that there is not.
#[test]
fn barrier_with_one_thread_too_few_is_found() {
    let failure = simplest_failure("deadlock", || barrier(3));
    shown("barrier", &failure, "deadlock: the barrier is for 3, and nobody else comes");
}

/// 2_7_reentrant_lock, got wrong: a method that locks calls another one that locks.
#[test]
fn reentrant_use_of_a_mutex_is_found() {
    let failure = simplest_failure("deadlock", || {
        let account = Arc::new(Mutex::new(0));
        let its = Arc::clone(&account);
        let both = Box::new(move || {
            let _balance = lock("deposit_both", "balance", &its);
            step("deposit_both", "calls deposit");
            *lock("deposit_both", "balance", &its) += 1;
        });
        run([both as Box<dyn FnOnce() + Send>]);
    });
    shown("reentrant", &failure, "deadlock: the thread waits for itself");
}
