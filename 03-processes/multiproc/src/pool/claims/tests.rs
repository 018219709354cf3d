//! Both sides in one process, in all orders and at once.

use std::sync::atomic::{AtomicU32, Ordering};

use super::memory::LOG;
use super::{Claims, LogWriter, MAX_SPAN, Records, Started};
use crate::sys::clock;

#[test]
fn a_batch_is_claimed_or_reclaimed() {
    let claims = Claims::new().unwrap();
    let worker = claims.try_clone().unwrap();
    claims.offer(1);
    assert!(worker.claim(1) && !claims.reclaim(1));
    claims.offer(2);
    assert!(claims.reclaim(2) && !worker.claim(2));
    claims.offer(1 + MAX_SPAN as u64);
    assert!(!worker.claim(1) && worker.claim(1 + MAX_SPAN as u64));
}

#[test]
fn a_batch_is_limited_to_the_tasks_that_have_begun() {
    let claims = Claims::new().unwrap();
    let mut log = LogWriter::new(claims.try_clone().unwrap());
    claims.offer(1);
    assert!(claims.is_offered(1) && log.claim(1) && !claims.is_offered(1));
    log.restart(1, 0);
    assert!(!claims.limit(1, 1, false), "its barriers do not reach the worker");
    claims.accept_barriers();
    assert_eq!([log.push_empty(), log.push_empty()], [Some(true); 2]);
    assert!(!claims.limit(1, 2, false), "the third may have begun");
    assert!(claims.limit(1, 4, false));
    assert!(log.push(0, b"result") && log.may_go_on());
    assert_eq!(log.push_empty(), Some(false));
    assert!(!log.may_go_on());
    // The next batch has no limit.
    claims.offer(2);
    assert!(log.claim(2));
    log.restart(2, 0);
    assert_eq!(log.push_empty(), Some(true));
    assert_eq!((claims.completed(1), claims.completed(2), claims.received()), (None, Some(1), 2));
    assert!(!claims.limit(1, 5, false), "it has ended");
    assert_eq!(log.push_empty(), Some(true));
}

#[test]
fn every_task_of_a_limited_batch_is_run_once() {
    const TASKS: usize = 5000;
    let claims = Claims::new().unwrap();
    let mut log = LogWriter::new(claims.try_clone().unwrap());
    claims.accept_barriers();
    let mut limited = 0;
    for number in 1..200 {
        let runs: Vec<AtomicU32> = (0..TASKS).map(|_| AtomicU32::new(0)).collect();
        claims.offer(number);
        assert!(log.claim(number));
        log.restart(number, 0);
        let keep = std::thread::scope(|scope| {
            let (runs, log) = (&runs, &mut log);
            let worker = scope.spawn(move || {
                for run in runs {
                    run.fetch_add(1, Ordering::Relaxed);
                    if !log.push_empty().expect("room") {
                        return;
                    }
                }
            });
            let mut keep = TASKS;
            while !worker.is_finished() && keep == TASKS {
                let wanted = claims.completed(number).map_or(1, |completed| completed + 1);
                if wanted < TASKS && claims.limit(number, wanted, false) {
                    keep = wanted;
                }
            }
            keep
        });
        limited += usize::from(keep < TASKS);
        runs[keep..].iter().for_each(|run| _ = run.fetch_add(1, Ordering::Relaxed));
        assert!(runs.iter().all(|run| run.load(Ordering::Relaxed) == 1), "{keep}");
    }
    assert!(limited > 0);
}

#[test]
fn what_is_logged_is_read_back() {
    let claims = Claims::new().unwrap();
    let mut log = LogWriter::new(claims.try_clone().unwrap());
    assert_eq!(claims.read_log(), None);
    log.restart(7, 3);
    assert_eq!(claims.read_log(), None);
    let results: Vec<Vec<u8>> = (0..40).map(|n| (0..n).collect()).collect();
    for (n, result) in results.iter().enumerate() {
        assert!(log.push(n as u8, result));
    }
    let logged = claims.read_log().unwrap();
    assert_eq!((logged.batch, logged.first, log.end()), (7, 3, 43));
    let read: Vec<(u8, &[u8])> = Records::new(&logged.bytes).collect();
    assert_eq!(read.len(), 40);
    assert!(
        read.iter().enumerate().all(|(n, (tag, result))| *tag == n as u8 && *result == results[n])
    );
    let mut same = Vec::new();
    log.copy_to(&mut same);
    assert_eq!(same, logged.bytes);
    assert!(!log.push(0, &[0; LOG * 8]));
    log.restart(8, 0);
    assert_eq!(claims.read_log(), None);
}

#[test]
fn a_log_read_while_it_is_written_is_never_torn() {
    let claims = Claims::new().unwrap();
    let mut log = LogWriter::new(claims.try_clone().unwrap());
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut batch = 0u64;
            while !stop.load(Ordering::Relaxed) {
                batch += 1;
                log.restart(batch, 0);
                while log.end() < 50 && log.push(1, &batch.to_le_bytes()) {}
            }
        });
        let end = std::time::Instant::now() + std::time::Duration::from_millis(200);
        let mut read = 0;
        while std::time::Instant::now() < end || read == 0 {
            if let Some(logged) = claims.read_log() {
                read += 1;
                for (_, result) in Records::new(&logged.bytes) {
                    assert_eq!(result, logged.batch.to_le_bytes());
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn empty_results_are_counted() {
    let claims = Claims::new().unwrap();
    let mut log = LogWriter::new(claims.try_clone().unwrap());
    log.restart(1, 0);
    // More than there are words; then one of another kind; then more.
    (0..LOG * 2).for_each(|_| assert!(log.push_empty().is_some()));
    assert!(log.push(1, b"other"));
    (0..3).for_each(|_| assert!(log.push_empty().is_some()));
    assert_eq!(log.end(), LOG * 2 + 4);
    let logged = claims.read_log().unwrap();
    let mut records = Records::new(&logged.bytes);
    assert_eq!(records.take_run(10), 10);
    records.skip_results(LOG * 2 - 11);
    assert_eq!(
        records.by_ref().collect::<Vec<_>>(),
        [(0, &b""[..]), (1, b"other"), (0, b""), (0, b""), (0, b"")]
    );
    assert_eq!(records.take_run(1), 0);
    // A full log has no room for a new run, but for one that is begun.
    log.restart(2, 0);
    while log.push(1, b"") {}
    assert!(log.push_empty().is_none());
    log.restart(3, 0);
    (0..LOG - 1).for_each(|_| assert!(log.push(1, b"")));
    assert!(log.push_empty().is_some() && log.push_empty().is_some() && !log.push(1, b""));
}

#[test]
fn a_batch_with_a_time_limit_is_limited_without_barriers() {
    let claims = Claims::new().unwrap();
    let mut log = LogWriter::new(claims.try_clone().unwrap());
    claims.offer(1);
    assert!(log.claim(1));
    log.restart(1, 0);
    assert!(log.start_task(0) && log.push_empty() == Some(true));
    assert!(log.start_task(1));
    assert!(!claims.limit(1, 2, false) && claims.limit(1, 2, true));
    assert_eq!(log.push_empty(), Some(false));
    assert!(!log.start_task(2));
}

#[test]
fn the_start_of_a_task_is_never_another_ones() {
    let claims = Claims::new().unwrap();
    let mut log = LogWriter::new(claims.try_clone().unwrap());
    assert_eq!(claims.started(), None);
    let before = clock::now();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seq = 0;
            while !stop.load(Ordering::Relaxed) {
                seq += 1;
                claims.offer(seq);
                assert!(log.claim(seq));
                (0..10).for_each(|position| assert!(log.start_task(position)));
            }
        });
        let (mut latest, mut seen) = (None::<Started>, 0);
        while seen < 10_000 {
            let Some(started) = claims.started() else {
                continue;
            };
            assert!(started.at >= before && started.at <= clock::now() && started.position < 10);
            if let Some(latest) = latest {
                let order = |it: Started| (it.seq, it.position);
                assert!(order(started) >= order(latest) && started.at >= latest.at);
                assert!(order(started) > order(latest) || started.at == latest.at);
            }
            seen += usize::from(latest != Some(started));
            latest = Some(started);
        }
        stop.store(true, Ordering::Relaxed);
    });
}
