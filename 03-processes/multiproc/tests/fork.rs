//! A program that forks by itself: before its first use of the library, and after it.
#![allow(unsafe_code)]

use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

use harness::{helper, is_gone, wait_until};
use multiproc::pipe::{self, RecvError, SendError};
use multiproc::queue::{GetError, PutError, Queue};
use multiproc::ring::{self, EventCount, RingError};
use multiproc::{
    Builder, Descriptor, JoinError, Pool, SpawnError, TaskError, active_children, current, spawn,
};
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

harness::tests!([
    every_call_in_a_fork_is_an_error_and_touches_nothing,
    a_fork_made_behind_the_c_librarys_back_is_known_too,
    forks_while_other_threads_are_at_work_do_not_hang,
    a_fork_made_by_a_task_is_not_a_second_worker,
    a_fork_made_by_a_process_gives_no_result,
    a_fork_inside_a_map_ends_there,
    a_fork_before_the_first_use_has_a_tree_of_its_own,
    a_daemon_forked_after_the_first_use_gets_errors,
] helpers [
    fork_then_use,
    use_then_become_a_daemon,
]);

/// Long enough for anything that does not hang.
const ALARM: u32 = 30;

/// Forks; the copy calls `work` and ends with status 0, or with 101 if `work` panics, or is killed
/// by the alarm if it hangs.
fn in_a_fork(work: impl FnOnce()) -> Pid {
    // SAFETY: the copy runs code that takes locks only of this test, which no other thread of it
    // takes, and allocates, which the C library permits there.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => run_and_exit(work),
    }
}

fn run_and_exit(work: impl FnOnce()) -> ! {
    nix::unistd::alarm::set(ALARM);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    std::process::exit(if outcome.is_ok() { 0 } else { 101 });
}

/// What a copy of this process owns, to be dropped there.
fn owned<T>(value: &T) -> T {
    // SAFETY: only called in a fork, which exits without dropping the value another time.
    unsafe { std::ptr::read(value) }
}

fn assert_succeeds(pid: Pid) {
    assert_eq!(waitpid(pid, None).unwrap(), WaitStatus::Exited(pid, 0));
}

fn sleep_for_ever(_: ()) {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

fn is_about_forks(error: &dyn std::error::Error) -> bool {
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}").contains("forked")
}

fn every_call_in_a_fork_is_an_error_and_touches_nothing() {
    let queue = Queue::<String>::unbounded().unwrap();
    queue.put(&"first".to_owned()).unwrap();
    let full = Queue::<u32>::bounded(1).unwrap();
    full.put(&1).unwrap();
    let dropped_there = Queue::<Vec<u8>>::unbounded().unwrap();
    dropped_there.put(&vec![7; 100_000]).unwrap();
    let (mut sender, mut receiver) = ring::create(4096).unwrap();
    sender.try_send(b"in the ring").unwrap();
    let events = EventCount::new().unwrap();
    let (here, there) = pipe::duplex::<u32, u32>().unwrap();
    here.send(&5).unwrap();
    let child = spawn(sleep_for_ever, ()).unwrap();
    let ended = spawn(|()| 3, ()).unwrap();
    ended.join().unwrap();
    let pool = Pool::builder().workers(2).build().unwrap();
    let slow = |n: u64| {
        thread::sleep(Duration::from_millis(200));
        n
    };
    let result = pool.apply_async(slow, 4).unwrap();
    let ready = pool.apply_async(|n: u64| n, 5).unwrap();
    let mut results = pool.imap(|n: u64| n + 1, 0..10);
    assert_eq!(results.next(), Some(Ok(1)));

    // What the copy drops at the end of `work` is its own copy of each handle.
    let (ids, me) = (pool.worker_ids(), std::process::id());
    let fork = in_a_fork(|| {
        assert!(
            matches!(queue.put(&"x".to_owned()), Err(PutError::System(error)) if is_about_forks(&error))
        );
        assert!(matches!(queue.try_put(&"x".to_owned()), Err(PutError::System(_))));
        assert!(matches!(full.put_timeout(&2, Duration::MAX), Err(PutError::System(_))));
        assert!(matches!(queue.get(), Err(GetError::System(_))));
        assert!(matches!(queue.try_get(), Err(GetError::System(_))));
        assert!(matches!(full.get_timeout(Duration::MAX), Err(GetError::System(_))));
        assert_eq!((queue.len(), full.capacity(), full.is_full()), (1, Some(1), true));
        queue.clone().close();
        let _ = format!("{queue:?}");
        drop(owned(&dropped_there));
        assert!(Queue::<u32>::unbounded().is_err_and(|error| is_about_forks(&error)));

        assert_eq!(sender.try_send(b"x"), Err(RingError::Forked));
        assert_eq!(sender.send(b"x", None), Err(RingError::Forked));
        assert_eq!(receiver.recv(None), Err(RingError::Forked));
        assert_eq!(receiver.try_recv(), Err(RingError::Forked));
        sender.close();
        receiver.closer().close();
        events.notify_all();
        events.wait(events.prepare(), None);
        assert!(ring::create(4096).is_err_and(|error| is_about_forks(&error)));

        assert!(matches!(here.send(&6), Err(SendError::Io(error)) if is_about_forks(&error)));
        assert!(matches!(here.send_timeout(&6, Duration::MAX), Err(SendError::Io(_))));
        assert!(matches!(there.recv(), Err(RecvError::Io(error)) if is_about_forks(&error)));
        assert!(matches!(there.recv_timeout(Duration::MAX), Err(RecvError::Io(_))));
        assert!(here.try_clone().is_err() && pipe::simplex::<u32>().is_err());
        assert!(pipe::duplex::<u32, u32>().is_err());

        assert!(matches!(spawn(sleep_for_ever, ()), Err(SpawnError::Forked)));
        assert!(matches!(Builder::new(sleep_for_ever).spawn(()), Err(SpawnError::Forked)));
        assert!(is_about_forks(&SpawnError::Forked));
        assert_eq!(child.join(), Err(JoinError::Forked));
        assert_eq!(child.join_timeout(Duration::MAX), Err(JoinError::Forked));
        assert_eq!(ended.join(), Err(JoinError::Forked));
        assert!(child.is_alive() && !ended.is_alive());
        assert_eq!(child.exit_status(), None);
        assert!(child.kill().is_err_and(|error| is_about_forks(&error)));
        assert!(child.terminate().is_err());
        assert!(active_children().is_empty());
        let current = current();
        assert_eq!((current.id, current.parent_id), (std::process::id(), None));
        assert_ne!(current.id, me);

        assert_eq!(pool.apply(|n: u32| n, 1), Err(TaskError::Forked));
        assert!(pool.apply_async(|n: u32| n, 1).is_err());
        assert_eq!(pool.map(|n: u32| n, 0..3), Err(TaskError::Forked));
        assert!(pool.map_each(|n: u32| n, 0..3).iter().all(|each| *each == Err(TaskError::Forked)));
        assert_eq!(pool.imap(|n: u32| n, 0..3).next(), Some(Err(TaskError::Forked)));
        assert_eq!(pool.imap_unordered(|n: u32| n, 0..3).next(), Some(Err(TaskError::Forked)));
        assert_eq!(owned(&result).get(), Err(TaskError::Forked));
        assert!(ready.is_ready());
        let ready = owned(&ready);
        assert!(matches!(ready.get_timeout(Duration::MAX), Ok(Err(TaskError::Forked))));
        assert_eq!(results.next(), Some(Err(TaskError::Forked)));
        assert_eq!(results.next(), None);
        assert!(pool.worker_ids().is_empty() && pool.workers() == 2);
        pool.close();
        pool.terminate();
        let _ = format!("{pool:?}");
        owned(&pool).join();
        assert!(Pool::new().is_err_and(|error| is_about_forks(&error)));
    });
    assert_succeeds(fork);
    // Another one drops the handles of the processes and of the pool, and a third one everything
    // that is left, by its exit.
    assert_succeeds(in_a_fork(|| {
        drop(owned(&pool));
        drop(owned(&child));
        drop((owned(&sender), owned(&receiver), owned(&here)));
    }));
    assert_succeeds(in_a_fork(|| {}));

    // Memory that the copies dropped is not free: new queues do not get it.
    let others: Vec<Queue<Vec<u8>>> = (0..40).map(|_| Queue::unbounded().unwrap()).collect();
    others.iter().for_each(|other| other.put(&vec![1; 100_000]).unwrap());
    assert_eq!(dropped_there.get().unwrap(), vec![7; 100_000]);
    assert!(!queue.is_closed());
    assert_eq!(queue.get().unwrap(), "first");
    assert_eq!((full.len(), queue.len()), (1, 0));
    assert_eq!(receiver.recv(None).unwrap(), b"in the ring");
    assert!(sender.try_send(b"more").unwrap());
    assert_eq!(there.recv().unwrap(), 5);
    assert!(matches!(there.recv_timeout(Duration::ZERO), Err(RecvError::TimedOut)));
    assert!(child.is_alive() && active_children().len() == 3);
    assert_eq!(ended.join(), Ok(3));
    assert_eq!((result.get(), ready.get()), (Ok(4), Ok(5)));
    assert_eq!(results.collect::<Result<Vec<_>, _>>().unwrap(), (2..11).collect::<Vec<_>>());
    assert_eq!(pool.worker_ids(), ids);
    pool.join();
    child.kill().unwrap();
    child.join().unwrap_err();
}

fn a_fork_made_behind_the_c_librarys_back_is_known_too() {
    let queue = Queue::<u32>::unbounded().unwrap();
    // SAFETY: `clone` without flags is `fork`; the copy runs what it may and exits.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    if pid == 0 {
        run_and_exit(|| assert!(matches!(queue.put(&1), Err(PutError::System(_)))));
    }
    assert_succeeds(Pid::from_raw(i32::try_from(pid).unwrap()));
    assert_eq!(queue.len(), 0);
}

fn forks_while_other_threads_are_at_work_do_not_hang() {
    let queue = Queue::<u64>::unbounded().unwrap();
    let pool = Pool::builder().workers(2).build().unwrap();
    let stop = AtomicBool::new(false);
    let run = || !stop.load(Ordering::Relaxed);
    thread::scope(|scope| {
        scope.spawn(|| {
            while run() {
                queue.put(&1).unwrap();
                queue.get().unwrap();
                drop(Queue::<u8>::unbounded().unwrap());
            }
        });
        scope.spawn(|| {
            while run() {
                assert_eq!(pool.map(|n: u64| n, 0..100).unwrap().len(), 100);
            }
        });
        scope.spawn(|| {
            while run() {
                assert_eq!(spawn(|n: u32| n, 1).unwrap().join(), Ok(1));
            }
        });
        for _ in 0..40 {
            // No message is formatted here: a lock of the allocator or of the output is the C
            // library's and the standard library's affair.
            assert_succeeds(in_a_fork(|| {
                assert!(queue.try_put(&2).is_err() && queue.try_get().is_err());
                assert!(pool.apply(|n: u32| n, 1).is_err());
                assert!(spawn(|n: u32| n, 1).is_err() && active_children().is_empty());
                drop(queue.clone());
                drop(owned(&pool));
            }));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(pool.map(|n: u64| n, 0..10).unwrap().len(), 10);
}

/// Forks in the middle of a task; the copy returns too, or panics. What became of the copy is part
/// of the result.
fn fork_in_a_task((n, panics): (u32, bool)) -> (u32, u32, i32) {
    // SAFETY: the process has no other thread that holds a lock of this test.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child if panics => panic!("in the copy"),
        ForkResult::Child => (n + 1000, std::process::id(), -1),
        ForkResult::Parent { child } => match waitpid(child, None).unwrap() {
            WaitStatus::Exited(_, code) => (n, std::process::id(), code),
            other => panic!("{other:?}"),
        },
    }
}

fn a_fork_made_by_a_task_is_not_a_second_worker() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let worker = pool.worker_ids()[0];
    for chunk in [1, 8] {
        let arguments = (0..16).map(|n| (n, n % 4 == 3));
        let results = pool.options().chunk(chunk).map(fork_in_a_task, arguments).unwrap();
        let code = |n| if n % 4 == 3 { 101 } else { 0 };
        assert_eq!(results, (0..16).map(|n| (n, worker, code(n))).collect::<Vec<_>>());
    }
    assert_eq!(pool.worker_ids(), [worker]);
    pool.join();
    // In an initializer: the pool has one worker all the same, which runs each task once.
    let setup = |()| {
        let _ = fork_in_a_task((0, false));
    };
    let pool = Pool::builder().workers(1).initializer(setup, ()).build().unwrap();
    assert_eq!(pool.map(|n: u32| n, 0..10).unwrap(), (0..10).collect::<Vec<_>>());
    pool.join();
}

fn a_fork_made_by_a_process_gives_no_result() {
    for panics in [false, true] {
        let child = spawn(fork_in_a_task, (5, panics)).unwrap();
        assert_eq!(child.join(), Ok((5, child.id(), if panics { 101 } else { 0 })));
    }
    // The copy outlives the original: the result is the original's, and it is there as soon as that
    // one has ended.
    let (gone, end) = pipe::simplex::<()>().unwrap();
    let child = spawn(
        |end: Descriptor| {
            // SAFETY: as above.
            if let ForkResult::Child = unsafe { fork() }.unwrap() {
                let _ = std::fs::File::from(end.into_inner()).read(&mut [0]);
                return 2;
            }
            1
        },
        Descriptor::new(std::os::fd::AsFd::as_fd(&end).try_clone_to_owned().unwrap()),
    )
    .unwrap();
    assert_eq!(child.join(), Ok(1));
    drop((gone, end));
}

/// Forks, once, when the iterator is at 50.
fn fork_at_50(copy: &AtomicI32, n: u32) {
    if n == 50 {
        // SAFETY: as above.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => copy.store(child.as_raw(), Ordering::Relaxed),
            ForkResult::Child => drop(nix::unistd::alarm::set(ALARM)),
        }
    }
}

fn a_fork_inside_a_map_ends_there() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let main = std::process::id();
    let copy = Arc::new(AtomicI32::new(0));
    let results =
        pool.options().chunk(10).map(|n: u32| n, (0..100u32).inspect(|n| fork_at_50(&copy, *n)));
    if std::process::id() != main {
        std::process::exit(if results == Err(TaskError::Forked) { 0 } else { 1 });
    }
    assert_eq!(results.unwrap(), (0..100).collect::<Vec<_>>());
    assert_succeeds(Pid::from_raw(copy.load(Ordering::Relaxed)));
    // An `imap` draws its arguments on another thread. In the fork, there is only that one.
    for chunk in [1, 10] {
        let theirs = Arc::clone(&copy);
        let arguments = (0..100u32).inspect(move |n| fork_at_50(&theirs, *n));
        let results = pool.options().chunk(chunk).imap(|n: u32| n, arguments);
        assert!(results.map(Result::unwrap).eq(0..100));
        assert_succeeds(Pid::from_raw(copy.load(Ordering::Relaxed)));
    }
    pool.join();
}

fn a_fork_before_the_first_use_has_a_tree_of_its_own() {
    let output = helper("fork_then_use").stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
}

fn fork_then_use() {
    let work = || {
        let queue = Queue::unbounded().unwrap();
        let put = |(queue, n): (Queue<u32>, u32)| queue.put(&n).unwrap();
        spawn(put, (queue.clone(), 7)).unwrap().join().unwrap();
        assert_eq!((queue.get().unwrap(), queue.len()), (7, 0));
        let pool = Pool::builder().workers(2).build().unwrap();
        assert_eq!(pool.map(|n: u32| n * n, 0..4).unwrap(), [0, 1, 4, 9]);
        pool.join();
        assert!(active_children().is_empty());
        println!("used by {}", std::process::id());
        // A copy of a copy that has used it is one of these after all.
        assert_succeeds(in_a_fork(|| {
            assert!(matches!(spawn(|n: u32| n, 1), Err(SpawnError::Forked)));
        }));
    };
    let copy = in_a_fork(work);
    work();
    assert_succeeds(copy);
}

fn a_daemon_forked_after_the_first_use_gets_errors() {
    // Returns when the daemon has closed its output too.
    let output = helper("use_then_become_a_daemon").stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    let child = lines[0].parse().unwrap();
    assert!(lines[1].contains("forked"), "{text}");
    assert!(wait_until(Duration::from_secs(20), || is_gone(child)));
}

fn use_then_become_a_daemon() {
    let queue = Queue::<u32>::unbounded().unwrap();
    let child = spawn(sleep_for_ever, ()).unwrap();
    println!("{}", child.id());
    let original = std::process::id();
    // SAFETY: as above.
    if let ForkResult::Parent { .. } = unsafe { fork() }.unwrap() {
        std::process::exit(0);
    }
    nix::unistd::alarm::set(ALARM);
    assert!(wait_until(Duration::from_secs(20), || is_gone(original)));
    println!("{}", spawn(|n: u32| n, 1).unwrap_err());
    drop((queue, child));
    std::process::exit(0);
}
