//! The queue when a process is killed at each failpoint of an operation in turn.

use super::*;

/// Waits for what must come to hold soon.
#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < give_up, "this should have happened by now: {what}");
        thread::sleep(Duration::from_micros(200));
    }
}

/// The failpoints a child passes while it does what `orders` says and `meanwhile` runs here.
fn failpoints(mut orders: Orders, meanwhile: impl FnOnce(&mut Child)) -> Vec<String> {
    let report = Queue::unbounded().unwrap();
    orders.report = Some(report.clone());
    let mut child = orders.start();
    meanwhile(&mut child);
    assert!(child.wait().success());
    report.get().unwrap()
}

/// The failpoints that `observe` saw, once those that are needed are among them: some are passed
/// only if the scheduler wills.
fn failpoints_with(needed: &[&str], observe: impl Fn() -> Vec<String>) -> Vec<String> {
    let mut seen = vec![];
    for _ in 0..100 {
        seen = observe();
        if needed.iter().all(|needed| seen.iter().any(|name| name == needed)) {
            return seen;
        }
    }
    panic!("not all of {needed:?} are among {seen:?}");
}

pub(super) fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    assert!(status.success() || status.signal() == Some(9), "{status:?}");
    status.signal() == Some(9)
}

/// When somebody gets what the child puts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pace {
    /// So slowly that the queue is full and the putter asleep.
    Slow,
    Fast,
    /// Not before the child has ended: everything happens in one order.
    Afterwards,
}

#[test]
fn a_putter_killed_at_any_store_leaves_the_queue_whole() {
    let _deadline = deadline(240);
    const ITEMS: u32 = 64;
    let new_queue = |capacity| {
        let queue = Queue::bounded(capacity).unwrap();
        // Up to the end of the first ring, so that one of the first items lies across it.
        for _ in 0..3 {
            queue.put(&vec![0; 20_000]).unwrap();
            queue.get().unwrap();
        }
        queue
    };
    // Gets what the child puts, without a time-out: whatever the child does, it must not leave the
    // getter asleep over an item.
    let drain = |queue: &Queue<Vec<u8>>, child: &mut Child, pace: Pace| {
        thread::scope(|scope| {
            if pace == Pace::Afterwards {
                child.wait();
            }
            let getter = scope.spawn(|| {
                let mut got = vec![];
                while got.last() != Some(&(2, 0)) {
                    got.push(checked(&queue.get().unwrap()));
                    if pace == Pace::Slow {
                        thread::sleep(Duration::from_micros(300));
                    }
                }
                got
            });
            child.wait();
            wait_until("the items are got", || queue.is_empty());
            queue.put_timeout(&item(2, 0, 10), Duration::from_secs(20)).expect("the others go on");
            getter.join().unwrap()
        })
    };
    // Lets a child put, to be killed at a failpoint, and says whether it came there.
    let run = |name: &str, hit: u32, capacity: usize, pace: Pace| {
        let queue = new_queue(capacity);
        let mut orders = Orders::new("put", &queue, 1, ITEMS);
        orders.kill_at = Some((name.to_owned(), hit));
        let mut child = orders.start();
        let got = drain(&queue, &mut child, pace);
        let (begun, done) = (child.ledger.begun(), child.ledger.done());
        let put = (got.len() - 1) as u64;
        let expected: Vec<_> = (0..put as u32).map(|number| (1, number)).chain([(2, 0)]).collect();
        assert_eq!(got, expected, "each once and in order");
        assert_eq!(queue.inner.counts(), (put + 4, put + 4));
        let killed = was_killed(child.wait());
        if killed {
            let took_effect = name.starts_with("commit: done") || name == "put: unlocked";
            assert_eq!(
                (begun, put),
                (done + 1, done + u64::from(took_effect)),
                "killed at {name:?}"
            );
        }
        killed
    };
    let paces: [(usize, Pace, &[&str]); 3] = [
        (3, Pace::Slow, &["wait: woken"]),
        (1000, Pace::Fast, &["commit: done, woken"]),
        (1000, Pace::Afterwards, &["put: first piece written", "put: marker written"]),
    ];
    for (capacity, pace, needed) in paces {
        let names = failpoints_with(needed, || {
            let queue = new_queue(capacity);
            failpoints(Orders::new("put", &queue, 1, ITEMS), |child| {
                drain(&queue, child, pace);
            })
        });
        sweep(&names, |name, attempt| run(name, [1, 2, 7, 25][attempt % 4], capacity, pace));
    }
}

/// Has a child killed at each of these failpoints: `run` gets the name and the number of the
/// attempt, and says whether the child came there. Where it comes only if the scheduler wills, it
/// is tried again, so that each has been tried for certain.
fn sweep(names: &[String], run: impl Fn(&str, usize) -> bool) {
    for name in names {
        let mut kills = 0;
        for attempt in 0..200 {
            kills += u32::from(run(name, attempt));
            if attempt >= 3 && kills > 0 {
                break;
            }
        }
        assert!(kills > 0, "no child died at {name:?}");
    }
}

#[test]
fn a_getter_killed_at_any_store_loses_nothing_but_what_it_took() {
    let _deadline = deadline(240);
    const ITEMS: u32 = 64;
    // Puts items, at times faster and at times slower than they are got.
    let fill = |queue: &Queue<Vec<u8>>| {
        for number in 0..ITEMS {
            queue
                .put_timeout(&item(1, number, length(number)), Duration::from_secs(20))
                .expect("the others go on");
            if number % 16 < 4 {
                thread::sleep(Duration::from_micros(700));
            }
        }
    };
    // The child is alone until it has ended or got everything, then somebody else gets the rest.
    let needed = [
        "get: marker followed",
        "get: memory given back",
        "get: item read",
        "wait: announced",
        "wait: woken",
    ];
    let names = failpoints_with(&needed, || {
        let queue = Queue::bounded(1000).unwrap();
        failpoints(Orders::new("get", &queue, 0, ITEMS), |child| {
            while child.ledger.begun() == 0 {
                thread::yield_now();
            }
            fill(&queue);
        })
    });
    sweep(&names, |name, attempt| {
        let (hit, rival) = [(1, false), (1, true), (3, false), (5, true)][attempt % 4];
        let queue = Queue::bounded(1000).unwrap();
        let mut orders = Orders::new("get", &queue, 0, ITEMS);
        orders.kill_at = Some((name.to_owned(), hit));
        let mut child = orders.start();
        while child.ledger.begun() == 0 && child.is_running() {
            thread::yield_now();
        }
        let got = thread::scope(|scope| {
            let get_all = || {
                let mut got = vec![];
                loop {
                    match queue.get() {
                        Ok(item) => got.push(checked(&item)),
                        Err(GetError::Closed) => return got,
                        Err(error) => panic!("{error}"),
                    }
                }
            };
            // A rival waits behind the child: whatever wakes the child must, if that one dies,
            // reach the rival.
            let rival = rival.then(|| scope.spawn(get_all));
            fill(&queue);
            let give_up = Instant::now() + Duration::from_secs(20);
            while child.is_running() && !queue.is_empty() {
                assert!(Instant::now() < give_up, "stuck after a kill at {name:?}");
                thread::yield_now();
            }
            queue.close();
            rival.map_or_else(get_all, |rival| rival.join().unwrap())
        });
        let killed_here = was_killed(child.wait());
        let mut all: Vec<u32> = got.iter().map(|(_, number)| *number).collect();
        assert!(all.is_sorted());
        let taken: Vec<u32> = child.ledger.entries().iter().map(|entry| *entry as u32).collect();
        assert!(taken.is_sorted());
        all.extend(taken);
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "nothing twice: {all:?}");
        let missing = ITEMS as usize - all.len();
        if killed_here {
            let took_effect = name.starts_with("commit: done") || name == "get: unlocked";
            assert_eq!(missing, usize::from(took_effect), "killed at {name:?}");
        } else {
            assert_eq!(missing, 0);
        }
        assert_eq!(queue.inner.counts(), (ITEMS.into(), ITEMS.into()));
        killed_here
    });
}

#[test]
fn a_getter_killed_after_it_made_room_leaves_no_putter_asleep() {
    let _deadline = deadline(120);
    let full = || {
        let queue = Queue::bounded(1).unwrap();
        queue.put(&item(1, 0, 10)).unwrap();
        queue
    };
    // Starts the child when this process's putter is asleep.
    let run = |queue: &Queue<Vec<u8>>, orders: Orders| {
        thread::scope(|scope| {
            let putter = scope.spawn(|| queue.put(&item(1, 1, 10)).unwrap());
            wait_until("the putter is asleep", || queue.inner.putter_is_waiting());
            let mut child = orders.start();
            let status = child.wait();
            let (_, got) = queue.inner.counts();
            if got == 0 {
                assert_eq!(checked(&queue.try_get().unwrap()), (1, 0), "not taken by the dead");
            }
            wait_until("the putter goes on", || putter.is_finished());
            assert_eq!(checked(&queue.try_get().unwrap()), (1, 1));
            (status, got)
        })
    };
    let queue = full();
    let report = Queue::unbounded().unwrap();
    let mut orders = Orders::new("get", &queue, 0, 1);
    orders.report = Some(report.clone());
    assert!(run(&queue, orders).0.success());
    let names: Vec<String> = report.get().unwrap();
    assert!(names.iter().any(|name| name == "commit: done, woken"), "{names:?}");
    for name in names {
        let queue = full();
        let mut orders = Orders::new("get", &queue, 0, 1);
        orders.kill_at = Some((name.clone(), 1));
        let (status, got) = run(&queue, orders);
        assert!(was_killed(status));
        let took_effect = name.starts_with("commit: done") || name == "get: unlocked";
        assert_eq!(got, u64::from(took_effect), "killed at {name:?}");
    }
}

#[test]
fn one_killed_while_closing_stops_nobody() {
    let _deadline = deadline(120);
    let queue = Queue::bounded(1).unwrap();
    let names = failpoints(Orders::new("close", &queue, 0, 0), |_| {});
    assert!(names.len() >= 3, "{names:?}");
    for name in &names {
        let queue = Queue::bounded(1).unwrap();
        queue.put(&item(1, 0, 10)).unwrap();
        let empty = Queue::<Vec<u8>>::bounded(1).unwrap();
        thread::scope(|scope| {
            let putter = scope.spawn(|| queue.put(&item(1, 1, 10)));
            let getter = scope.spawn(|| empty.get());
            thread::sleep(Duration::from_millis(20)); // so that they sleep; it holds if not
            for queue in [&queue, &empty] {
                let mut orders = Orders::new("close", queue, 0, 0);
                orders.kill_at = Some((name.clone(), 1));
                assert!(was_killed(orders.start().wait()));
                // Closed or not, but whole: it can be closed (again).
                queue.close();
            }
            assert!(matches!(putter.join().unwrap(), Err(PutError::Closed)));
            assert!(matches!(getter.join().unwrap(), Err(GetError::Closed)));
        });
        assert_eq!(checked(&queue.get().unwrap()), (1, 0));
        assert!(matches!(queue.get(), Err(GetError::Closed)));
    }
}

#[test]
fn one_killed_while_it_sends_handles_takes_none_of_others_and_leaves_nothing() {
    let _deadline = deadline(120);
    // The child gets these, and each queue's other handle stays in `kept`.
    let prepare = || {
        let (handles, kept) = (Queue::unbounded().unwrap(), Queue::unbounded().unwrap());
        for number in 0..4 {
            let queue = Queue::<String>::bounded(2).unwrap();
            (0..2).for_each(|_| queue.put(&format!("ours {number}")).unwrap());
            handles.put(&queue).unwrap();
            kept.put(&queue).unwrap();
        }
        (handles, kept)
    };
    let unused = Queue::unbounded().unwrap();
    let orders = |handles: &Queue<Queue<String>>| {
        let mut orders = Orders::new("make and send handles", &unused, 0, 3);
        orders.handles = Some(handles.clone());
        orders
    };
    let names = failpoints(orders(&prepare().0), |_| {});
    for part in ["create:", "free:", "open:", "token:"] {
        assert!(names.iter().any(|name| name.starts_with(part)), "{part} is not in {names:?}");
    }
    for name in &names {
        for hit in [1, 2, 5] {
            let (handles, kept) = prepare();
            let mut orders = orders(&handles);
            orders.kill_at = Some((name.clone(), hit));
            let mut child = orders.start();
            let killed = was_killed(child.wait());
            // A block is counted only where no dead process has left one.
            let is_rare = name == "token: block counted";
            assert!(killed || hit > 1 || is_rare, "no child died at {name:?}");
            for number in 0..4 {
                let queue = kept.try_get().expect("kept by this process");
                assert_eq!(queue.get().unwrap(), format!("ours {number}"), "killed at {name:?}");
            }
            // What the dead child made is nobody's, whatever is in the mailbox.
            for id in child.ledger.entries() {
                wait_until("its queues are freed", || {
                    Region::sweep();
                    !RegionId::is_live(id)
                });
            }
            let ours = Queue::<u8>::bounded(1).unwrap();
            ours.put(&1).unwrap();
            assert_eq!(ours.get().unwrap(), 1);
        }
    }
}
