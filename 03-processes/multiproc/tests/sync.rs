//! Locks, conditions and barriers between processes: what they do, and that nobody waits for the
//! dead. The behaviors are those that CPython's own tests of `multiprocessing` ask for, under our
//! names. Kills at each step of an operation are in `src/sync/tests.rs`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::TryLockError;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use multiproc::shared::{Array, Value};
use multiproc::sync::{
    Barrier, BarrierError, Condvar, Event, Mutex, Once, ReentrantMutex, RwLock, Semaphore,
};
use multiproc::{Child, Queue, spawn};

harness::tests! {
    [
    a_mutex_lets_one_in_at_a_time,
    a_mutex_that_is_held_is_not_waited_for_longer_than_asked,
    the_next_is_told_of_a_holder_that_was_killed_or_panicked,
    one_killed_while_it_waits_for_a_mutex_disturbs_nobody,
    a_lock_travels_through_a_queue_and_outlives_its_maker,
    a_handle_of_another_type_is_refused,
    a_reentrant_mutex_is_taken_again_by_its_holder_only,
    readers_are_in_at_the_same_time_and_a_writer_alone,
    a_waiting_writer_is_not_starved,
    a_semaphore_lets_so_many_in,
    a_permit_is_given_back_on_any_thread,
    a_condition_that_comes_to_hold_ends_the_wait_of_all,
    a_notification_after_the_change_is_never_missed,
    one_killed_while_it_waits_for_a_condition_disturbs_nobody,
    a_wait_for_a_condition_ends_in_time,
    an_event_ends_the_wait_of_all_and_stays,
    an_event_set_and_cleared_at_once_has_been_seen,
    something_is_done_once,
    a_barrier_is_passed_by_all_together_phase_after_phase,
    a_party_that_is_late_breaks_the_barrier,
    an_aborted_barrier_is_broken_until_it_is_reset,
    a_party_killed_before_it_comes_breaks_the_barrier,
    no_random_kill_loses_a_count_or_stops_anybody,
    nothing_is_left_of_what_killed_processes_made,
]
    helpers []
}

/// No wait that ends at all takes so long, on however busy a machine.
const LONG: Duration = Duration::from_secs(60);

fn a_mutex_lets_one_in_at_a_time() {
    let value = Mutex::new([0_u64; 2]).unwrap();
    let count = |value: Mutex<[u64; 2]>| {
        for _ in 0..5000 {
            let mut value = value.lock().unwrap();
            value[0] += 1;
            value[1] += value[0];
        }
    };
    let children: Vec<_> = (0..4).map(|_| spawn(count, value.clone()).unwrap()).collect();
    children.iter().for_each(|child| child.join().unwrap());
    assert_eq!(*value.lock().unwrap(), [20_000, 20_000 * 20_001 / 2]);
    // Two threads of one process, too.
    thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(|| count(value.clone()))));
    });
    assert_eq!(value.lock().unwrap()[0], 30_000);
}

/// A child that holds what `hold` takes until it is told to go on, or is killed.
fn holder<T: Clone + serde::Serialize + serde::de::DeserializeOwned + 'static>(
    object: &T,
    hold: impl Fn((T, Event, Event)) + Copy + Send + 'static,
) -> (Child<()>, Event) {
    let (holds, go_on) = (Event::new().unwrap(), Event::new().unwrap());
    let child = spawn(hold, (object.clone(), holds.clone(), go_on.clone())).unwrap();
    assert!(holds.wait_timeout(LONG));
    (child, go_on)
}

fn hold_mutex((mutex, holds, go_on): (Mutex<u32>, Event, Event)) {
    let mut value = mutex.lock().unwrap();
    *value += 1;
    holds.set();
    go_on.wait();
}

fn a_mutex_that_is_held_is_not_waited_for_longer_than_asked() {
    let mutex = Mutex::new(0_u32).unwrap();
    let (child, go_on) = holder(&mutex, hold_mutex);
    assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
    for timeout in [Duration::ZERO, Duration::from_millis(30)] {
        assert!(matches!(mutex.lock_timeout(timeout), Err(TryLockError::WouldBlock)));
    }
    go_on.set();
    assert_eq!(*mutex.lock_timeout(Duration::MAX).unwrap(), 1);
    child.join().unwrap();
    assert_eq!(*mutex.try_lock().unwrap(), 1);
}

fn the_next_is_told_of_a_holder_that_was_killed_or_panicked() {
    let mutex = Mutex::new(0_u32).unwrap();
    let (child, _) = holder(&mutex, hold_mutex);
    let waiter = mutex.clone();
    let waiter =
        thread::spawn(move || waiter.lock().map(|value| *value).map_err(|told| *told.into_inner()));
    child.kill().unwrap();
    assert_eq!(waiter.join().unwrap(), Err(1), "told, and the value is as it was left");
    assert!(mutex.is_poisoned());
    assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(_))));
    mutex.clear_poison();
    assert_eq!(*mutex.lock().unwrap(), 1);

    let panics = |mutex: Mutex<u32>| -> () {
        let _value = mutex.lock().unwrap();
        panic!("expected");
    };
    assert!(spawn(panics, mutex.clone()).unwrap().join().is_err());
    assert!(mutex.lock().is_err());

    let lock = RwLock::new(0_u32).unwrap();
    let (child, _) = holder(&lock, |(lock, holds, go_on): (RwLock<u32>, Event, Event)| {
        let _value = lock.write().unwrap();
        holds.set();
        go_on.wait();
    });
    child.kill().unwrap();
    assert!(lock.read().is_err() && lock.write().is_err());
    lock.clear_poison();
    assert!(lock.read().is_ok() && lock.write().is_ok());
    // A reader leaves no poison.
    let (child, _) = holder(&lock, |(lock, holds, go_on): (RwLock<u32>, Event, Event)| {
        let _value = lock.read().unwrap();
        holds.set();
        go_on.wait();
    });
    child.kill().unwrap();
    assert!(lock.write().is_ok());

    let mutex = ReentrantMutex::new(0_u32).unwrap();
    let (child, _) =
        holder(&mutex, |(mutex, holds, go_on): (ReentrantMutex<u32>, Event, Event)| {
            let _outer = mutex.lock().unwrap();
            let _inner = mutex.lock().unwrap();
            holds.set();
            go_on.wait();
        });
    child.kill().unwrap();
    assert!(mutex.lock().is_err());
    mutex.clear_poison();
    assert!(mutex.lock().is_ok());
}

fn one_killed_while_it_waits_for_a_mutex_disturbs_nobody() {
    let mutex = Mutex::new(0_u32).unwrap();
    for _ in 0..20 {
        let value = mutex.lock().unwrap();
        let begun = Event::new().unwrap();
        let waits = |(mutex, begun): (Mutex<u32>, Event)| {
            begun.set();
            drop(mutex.lock());
        };
        let waiters: Vec<_> =
            (0..3).map(|_| spawn(waits, (mutex.clone(), begun.clone())).unwrap()).collect();
        begun.wait();
        waiters[0].kill().unwrap();
        drop(value);
        waiters[1].kill().unwrap();
        let _ = waiters[0].join();
        let _ = waiters[1].join();
        waiters[2].join().unwrap();
        // One of the killed may have had it at that moment.
        mutex.lock_timeout(LONG).map(drop).unwrap_or_else(|told| {
            assert!(matches!(told, TryLockError::Poisoned(_)), "somebody waits for the dead");
        });
        mutex.clear_poison();
    }
}

fn a_lock_travels_through_a_queue_and_outlives_its_maker() {
    let queue = Queue::unbounded().unwrap();
    let make = |queue: Queue<(Mutex<u64>, Semaphore, Condvar)>| {
        let all = (Mutex::new(7).unwrap(), Semaphore::new(2).unwrap(), Condvar::new().unwrap());
        queue.put(&all).unwrap();
        // It lives until the other side has them.
        while !queue.is_empty() {
            thread::yield_now();
        }
    };
    let child = spawn(make, queue.clone()).unwrap();
    let (mutex, semaphore, condvar) = queue.get().unwrap();
    child.join().unwrap();
    assert_eq!(*mutex.lock().unwrap(), 7);
    assert!(semaphore.try_acquire().is_some());
    condvar.notify_all();
    let (again, other) = (mutex.clone(), Mutex::new(7_u64).unwrap());
    assert!(mutex.is_same(&again) && !mutex.is_same(&other));
}

fn a_handle_of_another_type_is_refused() {
    use multiproc::encoding::{decode, encode};
    let mutex = Mutex::new(7_u64).unwrap();
    let bytes = || encode(&mutex).unwrap().into_bytes();
    assert!(decode::<Mutex<u64>>(bytes()).is_ok());
    assert!(decode::<Mutex<i64>>(bytes()).is_err());
    assert!(decode::<RwLock<u64>>(bytes()).is_err());
    assert!(decode::<Event>(bytes()).is_err());
    let gone = bytes();
    let first = decode::<Mutex<u64>>(gone.clone()).unwrap();
    for _ in 0..4 {
        // Each of the encodings above kept it until it was decoded; refused ones do not decode it.
        drop(decode::<Mutex<u64>>(bytes()));
    }
    drop(first);
    assert!(decode::<Mutex<u64>>(gone).is_ok(), "this process still holds it");
}

fn a_reentrant_mutex_is_taken_again_by_its_holder_only() {
    let mutex = ReentrantMutex::new(0_u32).unwrap();
    let outer = mutex.lock().unwrap();
    let inner = mutex.lock().unwrap();
    outer.set(1);
    inner.set(inner.get() + 1);
    drop(outer);
    let other = mutex.clone();
    let waiter = thread::spawn(move || other.lock().unwrap().get());
    let child = spawn(|mutex: ReentrantMutex<u32>| mutex.lock().unwrap().get(), mutex.clone());
    let child = child.unwrap();
    inner.set(3);
    thread::yield_now();
    assert!(!waiter.is_finished() && child.is_alive());
    drop(inner);
    assert_eq!((waiter.join().unwrap(), child.join().unwrap()), (3, 3));
    // Exclusion, with a depth of two.
    let count = |mutex: ReentrantMutex<u32>| {
        for _ in 0..2000 {
            let outer = mutex.lock().unwrap();
            let inner = mutex.lock().unwrap();
            let value = outer.get();
            inner.set(value + 1);
        }
    };
    let children: Vec<_> = (0..3).map(|_| spawn(count, mutex.clone()).unwrap()).collect();
    children.iter().for_each(|child| child.join().unwrap());
    assert_eq!(mutex.lock().unwrap().get(), 6003);
}

fn readers_are_in_at_the_same_time_and_a_writer_alone() {
    let lock = RwLock::new([0_u64; 2]).unwrap();
    // All three meet while they have the lock: so they have it at the same time.
    let reads = |(lock, meet): (RwLock<[u64; 2]>, Barrier)| {
        let value = lock.read().unwrap();
        meet.wait_timeout(LONG).unwrap();
        assert_eq!(value[0], value[1]);
    };
    let meet = Barrier::new(3).unwrap();
    let readers: Vec<_> =
        (0..3).map(|_| spawn(reads, (lock.clone(), meet.clone())).unwrap()).collect();
    readers.iter().for_each(|reader| reader.join().unwrap());
    let both = |(lock, writes): (RwLock<[u64; 2]>, bool)| {
        for _ in 0..2000 {
            if writes {
                let mut value = lock.write().unwrap();
                value[0] += 1;
                value[1] += 1;
            } else {
                let value = lock.read().unwrap();
                assert_eq!(value[0], value[1], "somebody writes meanwhile");
            }
        }
    };
    let children: Vec<_> =
        (0..4).map(|n| spawn(both, (lock.clone(), n % 2 == 0)).unwrap()).collect();
    children.iter().for_each(|child| child.join().unwrap());
    assert_eq!(*lock.read().unwrap(), [4000; 2]);
}

fn a_waiting_writer_is_not_starved() {
    let lock = RwLock::new(0_u32).unwrap();
    let stop = Event::new().unwrap();
    // Two readers whose locks overlap: at no moment does nobody read.
    let reads = |(lock, stop): (RwLock<u32>, Event)| {
        while !stop.is_set() {
            let _value = lock.read().unwrap();
            thread::yield_now();
        }
    };
    let readers: Vec<_> =
        (0..3).map(|_| spawn(reads, (lock.clone(), stop.clone())).unwrap()).collect();
    for _ in 0..50 {
        *lock.write().unwrap() += 1;
    }
    stop.set();
    readers.iter().for_each(|reader| reader.join().unwrap());
    assert_eq!(*lock.read().unwrap(), 50);
}

fn a_semaphore_lets_so_many_in() {
    let semaphore = Semaphore::new(2).unwrap();
    let (inside, most) = (Value::<AtomicU64>::new(0).unwrap(), Value::<AtomicU64>::new(0).unwrap());
    type Arguments = (Semaphore, Value<AtomicU64>, Value<AtomicU64>);
    let work = |(semaphore, inside, most): Arguments| {
        for _ in 0..500 {
            let _permit = semaphore.acquire();
            let now = inside.fetch_add(1, SeqCst) + 1;
            most.fetch_max(now, SeqCst);
            thread::yield_now();
            inside.fetch_sub(1, SeqCst);
        }
    };
    let arguments = || (semaphore.clone(), inside.clone(), most.clone());
    let children: Vec<_> = (0..4).map(|_| spawn(work, arguments()).unwrap()).collect();
    children.iter().for_each(|child| child.join().unwrap());
    assert_eq!((most.load(SeqCst), semaphore.available()), (2, 2));
    let none = Semaphore::new(0).unwrap();
    assert!(none.try_acquire().is_none() && none.acquire_timeout(Duration::ZERO).is_none());
}

fn a_permit_is_given_back_on_any_thread() {
    let semaphore = Semaphore::new(1).unwrap();
    let permit = semaphore.acquire();
    thread::scope(|scope| {
        scope.spawn(move || drop(permit));
    });
    assert!(semaphore.try_acquire().is_some());
    // All that wait get one when a holder dies with several.
    let semaphore = Semaphore::new(3).unwrap();
    let (child, _) = holder(&semaphore, |(semaphore, holds, go_on): (Semaphore, Event, Event)| {
        let _all = [semaphore.acquire(), semaphore.acquire(), semaphore.acquire()];
        holds.set();
        go_on.wait();
    });
    thread::scope(|scope| {
        let waiters: Vec<_> =
            (0..3).map(|_| scope.spawn(|| semaphore.acquire_timeout(LONG))).collect();
        child.kill().unwrap();
        let permits: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
        assert!(permits.iter().all(Option::is_some));
    });
}

fn a_condition_that_comes_to_hold_ends_the_wait_of_all() {
    let (value, changed) = (Mutex::new(0_u32).unwrap(), Condvar::new().unwrap());
    let waits = |(value, changed): (Mutex<u32>, Condvar)| {
        let value = changed.wait_while(value.lock().unwrap(), |value| *value < 3).unwrap();
        *value
    };
    let children: Vec<_> =
        (0..4).map(|_| spawn(waits, (value.clone(), changed.clone())).unwrap()).collect();
    for _ in 0..3 {
        *value.lock().unwrap() += 1;
        changed.notify_all();
    }
    children.iter().for_each(|child| assert_eq!(child.join().unwrap(), 3));
}

/// Two processes take turns, so each wake-up that is missed would stop both.
fn a_notification_after_the_change_is_never_missed() {
    let (turn, changed) = (Mutex::new(0_u32).unwrap(), Condvar::new().unwrap());
    let play = |(turn, changed, own): (Mutex<u32>, Condvar, u32)| {
        for _ in 0..3000 {
            let mut now = changed.wait_while(turn.lock().unwrap(), |now| *now % 2 != own).unwrap();
            *now += 1;
            drop(now);
            changed.notify_all(); // without the lock
        }
    };
    let other = spawn(play, (turn.clone(), changed.clone(), 1)).unwrap();
    play((turn.clone(), changed, 0));
    other.join().unwrap();
    assert_eq!(*turn.lock().unwrap(), 6000);
}

fn one_killed_while_it_waits_for_a_condition_disturbs_nobody() {
    let (value, changed) = (Mutex::new(0_u32).unwrap(), Condvar::new().unwrap());
    for round in 1..=20 {
        let begun = Event::new().unwrap();
        let waits = |(value, changed, begun, round): (Mutex<u32>, Condvar, Event, u32)| {
            let guard = value.lock().unwrap();
            begun.set();
            drop(changed.wait_while(guard, |value| *value < round));
        };
        let arguments = || (value.clone(), changed.clone(), begun.clone(), round);
        let (killed, other) =
            (spawn(waits, arguments()).unwrap(), spawn(waits, arguments()).unwrap());
        begun.wait();
        // At the very moment of the notification, or before.
        if round % 2 == 0 {
            killed.kill().unwrap();
        }
        *value.lock_timeout(LONG).unwrap_or_else(|told| match told {
            TryLockError::Poisoned(told) => told.into_inner(),
            TryLockError::WouldBlock => panic!("somebody waits for the dead"),
        }) += 1;
        value.clear_poison();
        changed.notify_all();
        killed.kill().unwrap();
        let _ = killed.join();
        value.clear_poison();
        changed.notify_all();
        other.join().unwrap();
        value.clear_poison();
    }
}

fn a_wait_for_a_condition_ends_in_time() {
    let (value, changed) = (Mutex::new(0_u32).unwrap(), Condvar::new().unwrap());
    for timeout in [Duration::ZERO, Duration::from_millis(20)] {
        let begun = Instant::now();
        let waited =
            changed.wait_timeout_while(value.lock().unwrap(), timeout, |value| *value == 0);
        let (guard, timed_out) = waited.unwrap();
        assert!(timed_out && begun.elapsed() >= timeout);
        drop(guard);
    }
    let notify = |(value, changed): (Mutex<u32>, Condvar)| {
        *value.lock().unwrap() = 1;
        changed.notify_all();
    };
    let child = spawn(notify, (value.clone(), changed.clone())).unwrap();
    let guard = value.lock().unwrap();
    let (value, timed_out) =
        changed.wait_timeout_while(guard, Duration::MAX, |value| *value == 0).unwrap();
    assert_eq!((*value, timed_out), (1, false));
    drop(value);
    child.join().unwrap();
}

fn an_event_ends_the_wait_of_all_and_stays() {
    let event = Event::new().unwrap();
    assert!(!event.is_set() && !event.wait_timeout(Duration::ZERO));
    let waits = |event: Event| {
        event.wait();
        event.is_set()
    };
    let children: Vec<_> = (0..4).map(|_| spawn(waits, event.clone()).unwrap()).collect();
    spawn(|event: Event| event.set(), event.clone()).unwrap().join().unwrap();
    children.iter().for_each(|child| assert!(child.join().unwrap()));
    event.set();
    event.wait();
    assert!(event.wait_timeout(Duration::ZERO));
    event.clear();
    event.clear();
    assert!(!event.is_set() && !event.wait_timeout(Duration::from_millis(10)));
}

fn an_event_set_and_cleared_at_once_has_been_seen() {
    let (event, ready) = (Event::new().unwrap(), Event::new().unwrap());
    for _ in 0..50 {
        let (event, ready) = (event.clone(), ready.clone());
        let waiter = {
            let (event, ready) = (event.clone(), ready.clone());
            thread::spawn(move || {
                ready.set();
                event.wait_timeout(LONG)
            })
        };
        ready.wait();
        // Until it sleeps, or a little longer: setting must reach it though it is cleared at once.
        while !waiter.is_finished() {
            event.set();
            event.clear();
        }
        assert!(waiter.join().unwrap());
        ready.clear();
    }
}

fn something_is_done_once() {
    let (once, count) = (Once::new().unwrap(), Value::<AtomicU64>::new(0).unwrap());
    let call = |(once, count): (Once, Value<AtomicU64>)| {
        once.call_once(|| {
            count.fetch_add(1, SeqCst);
        });
        assert!(once.is_completed());
        count.load(SeqCst)
    };
    let arguments = || (once.clone(), count.clone());
    let children: Vec<_> = (0..6).map(|_| spawn(call, arguments()).unwrap()).collect();
    children.iter().for_each(|child| assert_eq!(child.join().unwrap(), 1));
    assert_eq!(call(arguments()), 1);
    // A panic is not a completion.
    let once = Once::new().unwrap();
    let panics = |once: Once| once.call_once(|| panic!("expected"));
    assert!(spawn(panics, once.clone()).unwrap().join().is_err());
    assert!(!once.is_completed());
    once.call_once(|| {});
    assert!(once.is_completed());
}

fn a_barrier_is_passed_by_all_together_phase_after_phase() {
    const PHASES: usize = 200;
    let barrier = Barrier::new(4).unwrap();
    let reached = Array::<AtomicU64>::new(PHASES).unwrap();
    let walk = |(barrier, reached): (Barrier, Array<AtomicU64>)| {
        let mut led = 0;
        for phase in reached.iter() {
            phase.fetch_add(1, SeqCst);
            led += u32::from(barrier.wait().unwrap());
            assert_eq!(phase.load(SeqCst), 4, "one goes on before all have come");
        }
        led
    };
    let children: Vec<_> =
        (0..3).map(|_| spawn(walk, (barrier.clone(), reached.clone())).unwrap()).collect();
    let mut led = walk((barrier.clone(), reached));
    led += children.iter().map(|child| child.join().unwrap()).sum::<u32>();
    assert_eq!(led as usize, PHASES, "one leader in each phase");
    assert_eq!((barrier.waiting(), barrier.is_broken(), barrier.parties()), (0, false, 4));
    assert!(Barrier::new(0).is_err());
    assert_eq!(Barrier::new(1).unwrap().wait(), Ok(true));
}

fn a_party_that_is_late_breaks_the_barrier() {
    let barrier = Barrier::new(3).unwrap();
    let other = barrier.clone();
    let waits = thread::spawn(move || other.wait());
    while barrier.waiting() == 0 {
        thread::yield_now();
    }
    assert_eq!(barrier.wait_timeout(Duration::from_millis(20)), Err(BarrierError::TimedOut));
    assert_eq!(waits.join().unwrap(), Err(BarrierError::Broken));
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
}

fn an_aborted_barrier_is_broken_until_it_is_reset() {
    let barrier = Barrier::new(2).unwrap();
    let child = spawn(|barrier: Barrier| barrier.wait().is_err(), barrier.clone()).unwrap();
    while barrier.waiting() == 0 {
        thread::yield_now();
    }
    barrier.abort();
    assert!(child.join().unwrap());
    assert!(barrier.is_broken());
    barrier.reset();
    let child = spawn(|barrier: Barrier| barrier.wait().is_ok(), barrier.clone()).unwrap();
    assert!(barrier.wait_timeout(LONG).is_ok());
    assert!(child.join().unwrap());
}

fn a_party_killed_before_it_comes_breaks_the_barrier() {
    let barrier = Barrier::new(3).unwrap();
    let (killed, _) = holder(&barrier, |(_barrier, holds, go_on): (Barrier, Event, Event)| {
        holds.set();
        go_on.wait();
    });
    let other = spawn(|barrier: Barrier| barrier.wait().is_err(), barrier.clone()).unwrap();
    killed.kill().unwrap();
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
    assert!(other.join().unwrap());
}

/// What the workers share.
type Shared = (Mutex<[u64; 2]>, RwLock<[u64; 2]>, Semaphore, Condvar, Array<AtomicU64>);

/// The words of a worker's account: counts begun and done, for the mutex and for the writers.
const ACCOUNT: usize = 4;

fn work(((mutex, lock, semaphore, changed, accounts), own): (Shared, usize)) {
    let account = &accounts[own * ACCOUNT..][..ACCOUNT];
    let mut random = 0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id());
    loop {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        match random % 4 {
            0 => {
                account[0].fetch_add(1, SeqCst);
                let mut value = mutex.lock().unwrap_or_else(|told| {
                    // One that died had counted the first one, or not.
                    let mut value = told.into_inner();
                    value[1] = value[0];
                    mutex.clear_poison();
                    value
                });
                assert_eq!(value[0], value[1]);
                value[0] += 1;
                value[1] += 1;
                drop(value);
                account[1].fetch_add(1, SeqCst);
                changed.notify_all();
            }
            1 => {
                account[2].fetch_add(1, SeqCst);
                let mut value = lock.write().unwrap_or_else(|told| {
                    let mut value = told.into_inner();
                    value[1] = value[0];
                    lock.clear_poison();
                    value
                });
                value[0] += 1;
                value[1] += 1;
                drop(value);
                account[3].fetch_add(1, SeqCst);
            }
            2 => {
                let _permit = semaphore.acquire();
                if let Ok(value) = lock.read() {
                    assert_eq!(value[0], value[1]);
                }
            }
            _ => {
                if let Ok(value) = mutex.lock() {
                    let seen = value[0];
                    let timeout = Duration::from_micros(200);
                    let same = |value: &mut [u64; 2]| value[0] == seen;
                    drop(changed.wait_timeout_while(value, timeout, same));
                }
            }
        }
    }
}

fn no_random_kill_loses_a_count_or_stops_anybody() {
    const WORKERS: usize = 3;
    let kills = std::env::var("SYNC_KILLS").map_or(300, |kills| kills.parse().unwrap());
    let shared: Shared = (
        Mutex::new([0; 2]).unwrap(),
        RwLock::new([0; 2]).unwrap(),
        Semaphore::new(2).unwrap(),
        Condvar::new().unwrap(),
        Array::new(WORKERS * ACCOUNT).unwrap(),
    );
    let start = |own| spawn(work, (shared.clone(), own)).unwrap();
    let mut workers: Vec<_> = (0..WORKERS).map(start).collect();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_micros(random >> 33 & 2047));
        let own = (random >> 50) as usize % WORKERS;
        workers[own].kill().unwrap();
        assert!(workers[own].join().is_err());
        workers[own] = start(own);
    }
    // Everybody comes through once more.
    let before: Vec<u64> = shared.4.iter().map(|word| word.load(SeqCst)).collect();
    let all_went_on = || {
        (0..WORKERS).all(|own| {
            [1, 3].iter().all(|word| {
                let at = own * ACCOUNT + word;
                shared.4[at].load(SeqCst) > before[at]
            })
        })
    };
    assert!(harness::wait_until(LONG, all_went_on), "somebody waits for the dead");
    for worker in &workers {
        worker.kill().unwrap();
        let _ = worker.join();
    }
    let (mutex, lock, semaphore, _, accounts) = &shared;
    let sum = |word: usize| -> u64 {
        (0..WORKERS).map(|own| accounts[own * ACCOUNT + word].load(SeqCst)).sum()
    };
    let in_mutex = mutex.lock().unwrap_or_else(|told| told.into_inner())[0];
    let in_lock = lock.write().unwrap_or_else(|told| told.into_inner())[0];
    println!("{kills} kills: {in_mutex} counted in the mutex, {in_lock} by writers");
    assert!((sum(1)..=sum(0)).contains(&in_mutex), "{in_mutex}: {} to {}", sum(1), sum(0));
    assert!((sum(3)..=sum(2)).contains(&in_lock), "{in_lock}: {} to {}", sum(3), sum(2));
    // What was begun and not done is one for each kill, at most.
    assert!(sum(0) - sum(1) + sum(2) - sum(3) <= kills + WORKERS as u64);
    let permits = [semaphore.acquire_timeout(LONG), semaphore.acquire_timeout(LONG)];
    assert!(permits.iter().all(Option::is_some) && semaphore.try_acquire().is_none());
}

fn nothing_is_left_of_what_killed_processes_made() {
    let makes = |begun: Event| -> () {
        begun.set();
        loop {
            let value = Mutex::new([1_u8; 100_000]).unwrap();
            let lock = RwLock::new([1_u8; 100_000]).unwrap();
            assert_eq!(value.lock().unwrap()[99_999] + lock.read().unwrap()[5], 2);
            Barrier::new(1).unwrap().wait().unwrap();
        }
    };
    let mut held = Vec::new();
    for _ in 0..40 {
        let begun = Event::new().unwrap();
        let child = spawn(makes, begun.clone()).unwrap();
        assert!(begun.wait_timeout(LONG));
        child.kill().unwrap();
        assert!(child.join().is_err());
        (0..20).for_each(|_| drop(Event::new().unwrap()));
        held.push(shared_memory());
    }
    assert!(held[39] <= held[5] + (4 << 20), "{held:?}");
}

/// How many bytes the memory holds that this process shares with all it has started.
fn shared_memory() -> u64 {
    let memory = fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| {
        let path = entry.ok()?.path();
        let target = fs::read_link(&path).ok()?;
        target.to_string_lossy().starts_with("/memfd:").then_some(path)
    });
    512 * fs::metadata(memory.expect("there is shared memory")).unwrap().blocks()
}
