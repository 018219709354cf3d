//! Processes that are killed at each step of an operation, while others wait.
//!
//! Without kills, and with kills at random: `tests/sync.rs`.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::sys::failpoint::{arm, record, recorded};

crate::init_tests!();

/// No wait that ends at all takes so long, on however busy a machine.
const LONG: Duration = Duration::from_secs(60);

/// Runs `script` in children: one that notes the failpoints it passes, and one for each of them and
/// each of the first three times that it is passed, which is killed there. `check` is called after
/// each. Every name in `expected` is passed.
fn kill_at_each_step<T: Clone + Serialize + DeserializeOwned + 'static>(
    expected: &[&str],
    make: impl Fn() -> T,
    script: impl Fn((T, Option<(String, u32)>)) -> BTreeSet<String> + Copy + Send + 'static,
    mut check: impl FnMut(&T, &str),
) {
    let object = make();
    let names = crate::spawn(script, (object.clone(), None));
    let names = names.unwrap().join().unwrap();
    check(&object, "");
    for name in expected {
        assert!(names.contains(*name), "{name} is not passed: {names:?}");
    }
    let own = |name: &&String| expected.contains(&name.as_str());
    for name in names.iter().filter(own) {
        for hit in 1..=3 {
            let object = make();
            let at = Some((name.clone(), hit));
            let child = crate::spawn(script, (object.clone(), at));
            let child = child.unwrap();
            let killed = child.join().is_err();
            if killed {
                let status = child.exit_status().expect("it has ended");
                assert_eq!(status.signal(), Some(9), "{name}: {status}");
            }
            assert!(killed || hit > 1, "{name} was passed before, and is not now");
            check(&object, if killed { name } else { "" });
        }
    }
}

/// Runs the operation with the failpoint armed, or notes those it passes.
fn run<T>(object: T, at: Option<(String, u32)>, script: impl Fn(&T)) -> BTreeSet<String> {
    match &at {
        Some((name, hit)) => arm(name, *hit),
        None => record(),
    }
    script(&object);
    drop(object);
    recorded().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_semaphore_gets_back_the_permits_of_the_dead() {
    kill_at_each_step(
        &["semaphore: permit found", "semaphore: acquired", "semaphore: released"],
        || Semaphore::new(3).unwrap(),
        |(semaphore, at)| {
            run(semaphore, at, |semaphore| {
                for _ in 0..3 {
                    let one = semaphore.acquire();
                    let two = semaphore.try_acquire();
                    drop(one);
                    drop(two);
                }
            })
        },
        |semaphore, name| {
            let all: Vec<_> = (0..3).map(|_| semaphore.acquire_timeout(LONG)).collect();
            assert!(all.iter().all(Option::is_some), "{name}: a permit is lost");
            assert!(semaphore.try_acquire().is_none(), "{name}: there is one too many");
            drop(all);
            assert_eq!(semaphore.available(), 3, "{name}");
        },
    );
}

#[test]
fn a_lock_for_readers_and_writers_goes_on_and_tells_of_a_dead_writer() {
    kill_at_each_step(
        &[
            "rwlock: reader has the lock",
            "rwlock: reader counted",
            "rwlock: reader gone",
            "rwlock: writer has the lock",
            "rwlock: writing",
            "rwlock: written",
            "rwlock: no longer writing",
        ],
        || RwLock::new([0_u64, 0]).unwrap(),
        |(lock, at)| {
            run(lock, at, |lock: &RwLock<[u64; 2]>| {
                for number in 1..=3 {
                    assert_eq!(*lock.read().unwrap(), [number - 1; 2]);
                    let mut value = lock.write().unwrap();
                    value[0] = number;
                    value[1] = number;
                }
            })
        },
        |lock, name| {
            let was_written = ["rwlock: writing", "rwlock: written"].contains(&name);
            let value = match lock.write() {
                Ok(value) => {
                    assert!(!was_written, "{name}: nobody tells");
                    assert_eq!(value[0], value[1], "{name}");
                    value
                }
                Err(poisoned) => {
                    assert!(was_written, "{name}: poisoned");
                    poisoned.into_inner()
                }
            };
            drop(value);
            assert_eq!(lock.is_poisoned(), was_written, "{name}");
            lock.clear_poison();
            assert!(lock.read().is_ok() && lock.write().is_ok(), "{name}");
        },
    );
}

/// The party that is killed comes first, or last, which is the one that begins a generation.
#[test]
fn a_dead_party_breaks_the_barrier_for_those_that_wait() {
    for (name, is_last) in [
        ("barrier: here", false),
        ("barrier: here", true),
        ("barrier: arrived", false),
        ("barrier: arrived", true),
        ("barrier: arrivals cleared", true),
        ("barrier: next generation", true),
        ("barrier: leaving", false),
    ] {
        for hit in 1..=3 {
            let barrier = Barrier::new(2).unwrap();
            let child = |(barrier, at, is_last): (Barrier, _, bool)| {
                let times = |barrier: &Barrier, is_last| {
                    for _ in 0..4 {
                        while is_last && barrier.waiting() == 0 {
                            thread::yield_now();
                        }
                        barrier.wait().unwrap();
                    }
                };
                run(barrier, at, |barrier| times(barrier, is_last))
            };
            let at = Some((name.to_owned(), if name == "barrier: leaving" { 1 } else { hit }));
            let child = crate::spawn(child, (barrier.clone(), at, is_last)).unwrap();
            let mut passed = 0;
            let error = loop {
                while !is_last && barrier.waiting() == 0 && child.is_alive() {
                    thread::yield_now();
                }
                match barrier.wait_timeout(LONG) {
                    Ok(_) => passed += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!(error, BarrierError::Broken, "{name} {hit}");
            let complete = match name {
                "barrier: next generation" => hit..=hit,
                "barrier: leaving" => 4..=4,
                // It has arrived, and may not be quite dead when the other one comes.
                "barrier: arrived" if !is_last => hit - 1..=hit,
                _ => hit - 1..=hit - 1,
            };
            assert!(complete.contains(&passed), "{name} {hit}: {passed}");
            assert!(child.join().is_err(), "{name} {hit}");
            barrier.reset();
            assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false), "{name} {hit}");
            // Whole again, for two threads.
            thread::scope(|scope| {
                let other = scope.spawn(|| barrier.wait_timeout(LONG));
                let leaders = [barrier.wait_timeout(LONG), other.join().unwrap()];
                assert_eq!(leaders.iter().filter(|leader| **leader == Ok(true)).count(), 1);
                assert!(leaders.iter().all(Result::is_ok), "{name} {hit}");
            });
        }
    }
}

#[test]
fn what_a_dead_process_began_once_is_done_by_the_next() {
    kill_at_each_step(
        &["once: begun", "once: done"],
        || (Once::new().unwrap(), Mutex::new(0_u32).unwrap()),
        |((once, count), at)| {
            run((once, count), at, |(once, count): &(Once, Mutex<u32>)| {
                once.call_once(|| *count.lock().unwrap() += 1);
            })
        },
        |(once, count), name| {
            let was_done = once.is_completed();
            assert_eq!(was_done, name != "once: begun", "{name}");
            once.call_once(|| *count.lock().unwrap() += 1);
            once.call_once(|| unreachable!("it is done"));
            assert_eq!(*count.lock().unwrap(), 1, "{name}");
        },
    );
}

#[test]
fn a_seat_is_taken_whole_or_not_at_all() {
    for name in ["seat: locked", "seat: taken"] {
        let semaphore = Semaphore::new(1).unwrap();
        // Its argument is a handle, so it takes a seat before its function is called: so it arms
        // itself first, and decodes by hand.
        let child = |(name, queue): (String, crate::Queue<Semaphore>)| {
            arm(&name, 1);
            let semaphore = queue.get().unwrap();
            let _permit = semaphore.acquire();
            std::thread::sleep(LONG);
        };
        let queue = crate::Queue::unbounded().unwrap();
        queue.put(&semaphore).unwrap();
        let child = crate::spawn(child, (name.to_owned(), queue)).unwrap();
        assert!(child.join().is_err(), "{name}");
        let permit = semaphore.acquire_timeout(LONG);
        assert!(permit.is_some(), "{name}");
        let next = crate::spawn(|semaphore: Semaphore| semaphore.available(), semaphore.clone());
        assert_eq!(next.unwrap().join().unwrap(), 0, "{name}: the next one has the seat");
    }
}
