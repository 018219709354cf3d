//! The claims of the pool, with their scenarios.

use std::sync::Arc;

use crate::shm::atomic::{AtomicU32, Ordering};
use crate::sys::clock;
use crate::threads::spawn;

#[path = "../../src/pool/claims/mod.rs"]
mod claims;

use crate::shm::arena::Region;
use claims::{Claims, LogWriter, Records};

/// Each batch is run by the worker or taken back by the pool, and not by both.
pub(crate) fn claim_or_reclaim() {
    let pool = Claims::new().unwrap();
    let mut worker = LogWriter::new(pool.try_clone().unwrap());
    pool.offer(1);
    let thread = loom::thread::spawn(move || worker.claim(1));
    let is_reclaimed = pool.reclaim(1);
    let is_claimed = thread.join().unwrap();
    assert!(is_claimed != is_reclaimed);
    assert!(!pool.is_offered(1) && pool.received() == 1);
}

/// A batch is offered before it is sent, so a worker that has received it can claim it.
pub(crate) fn offer_and_send() {
    let pool = Claims::new().unwrap();
    let mut worker = LogWriter::new(pool.try_clone().unwrap());
    let sent = Arc::new(Region::create(4096).unwrap().map(0, 4096).unwrap());
    let thread = spawn({
        let sent = Arc::clone(&sent);
        move || {
            if sent.get::<AtomicU32>(0).load(Ordering::Acquire) == 1 {
                assert!(worker.claim(1));
            }
        }
    });
    pool.offer(1);
    sent.get::<AtomicU32>(0).store(1, Ordering::Release);
    thread.join().unwrap();
}

/// Each task of a batch is run once: by the worker, or by another after the batch was limited.
pub(crate) fn limit() {
    const TASKS: usize = 3;
    let pool = Claims::new().unwrap();
    let mut worker = LogWriter::new(pool.try_clone().unwrap());
    pool.accept_barriers();
    pool.offer(1);
    assert!(worker.claim(1));
    worker.restart(1, 0);
    let runs = Arc::new(Region::create(4096).unwrap().map(0, 4096).unwrap());
    let thread = spawn({
        let runs = Arc::clone(&runs);
        move || {
            for task in 0..TASKS {
                runs.get::<AtomicU32>(4 * task).fetch_add(1, Ordering::Relaxed);
                if worker.push_empty() != Some(true) {
                    return;
                }
            }
        }
    });
    let keep = if pool.limit(1, 1, false) {
        1
    } else if pool.limit(1, 2, false) {
        2
    } else {
        TASKS
    };
    thread.join().unwrap();
    for task in 0..TASKS {
        let by_worker = runs.get::<AtomicU32>(4 * task).load(Ordering::Relaxed);
        assert_eq!(by_worker, u32::from(task < keep), "task {task}, limited to {keep}");
    }
}

/// The same in a batch with a time limit, where the worker executes a fence before each task, and
/// there are no barriers.
pub(crate) fn limit_timed() {
    const TASKS: usize = 3;
    let pool = Claims::new().unwrap();
    let mut worker = LogWriter::new(pool.try_clone().unwrap());
    pool.offer(1);
    assert!(worker.claim(1));
    worker.restart(1, 0);
    let runs = Arc::new(Region::create(4096).unwrap().map(0, 4096).unwrap());
    let thread = spawn({
        let runs = Arc::clone(&runs);
        move || {
            for task in 0..TASKS {
                if !worker.start_task(task) {
                    return;
                }
                runs.get::<AtomicU32>(4 * task).fetch_add(1, Ordering::Relaxed);
                assert!(worker.push(7, &[]));
            }
        }
    });
    let keep = (1..TASKS).find(|keep| pool.limit(1, *keep, true)).unwrap_or(TASKS);
    thread.join().unwrap();
    for task in 0..TASKS {
        let by_worker = runs.get::<AtomicU32>(4 * task).load(Ordering::Relaxed);
        assert_eq!(by_worker, u32::from(task < keep), "task {task}, limited to {keep}");
    }
}

/// A start that is read is of the task that it names, and the results before it are seen.
pub(crate) fn started() {
    let time = |seq: u64, position: usize| 10 * seq + position as u64;
    let pool = Claims::new().unwrap();
    let mut worker = LogWriter::new(pool.try_clone().unwrap());
    pool.offer(1);
    pool.offer(2);
    let thread = spawn(move || {
        for seq in 1..=2 {
            assert!(worker.claim(seq));
            worker.restart(seq, 0);
            for position in 0..2 {
                clock::set(time(seq, position));
                assert!(worker.start_task(position));
                assert_eq!(worker.push_empty(), Some(true));
            }
        }
    });
    if let Some(started) = pool.started() {
        assert_eq!(started.at.as_nanos() as u64, time(started.seq, started.position));
        if let Some(completed) = pool.completed(started.seq) {
            assert!(completed >= started.position);
        }
    }
    thread.join().unwrap();
}

/// What is read of a log is of one batch.
pub(crate) fn read_log() {
    let pool = Claims::new().unwrap();
    let mut worker = LogWriter::new(pool.try_clone().unwrap());
    let thread = spawn(move || {
        for batch in 1..=2u64 {
            worker.restart(batch, 10 * batch as usize);
            assert!(worker.push(3, &batch.to_ne_bytes()));
        }
    });
    for _ in 0..2 {
        if let Some(logged) = pool.read_log() {
            assert_eq!(logged.first as u64, 10 * logged.batch);
            let results: Vec<_> = Records::new(&logged.bytes).collect();
            assert_eq!(results, [(3, &logged.batch.to_ne_bytes()[..])]);
        }
    }
    thread.join().unwrap();
}

/// Who sees a task's result in the log sees what the task has done.
pub(crate) fn see_effects() {
    let pool = Claims::new().unwrap();
    let mut worker = LogWriter::new(pool.try_clone().unwrap());
    let effects = Arc::new(Region::create(4096).unwrap().map(0, 4096).unwrap());
    let thread = spawn({
        let effects = Arc::clone(&effects);
        move || {
            // A result that the next batch must overwrite.
            worker.restart(1, 0);
            assert!(worker.push(7, &[]));
            worker.restart(2, 0);
            for task in 0..2 {
                effects.get::<AtomicU32>(4 * task).store(1, Ordering::Relaxed);
                assert!(worker.push_empty().is_some());
            }
        }
    });
    if let Some(logged) = pool.read_log() {
        let results: Vec<_> = Records::new(&logged.bytes).collect();
        if logged.batch == 1 {
            assert_eq!(results, [(7, &[][..])]);
        } else {
            assert!(results.iter().all(|result| *result == (0, &[][..])), "{results:?}");
            for task in 0..results.len() {
                assert_eq!(effects.get::<AtomicU32>(4 * task).load(Ordering::Relaxed), 1);
            }
        }
    }
    thread.join().unwrap();
}
