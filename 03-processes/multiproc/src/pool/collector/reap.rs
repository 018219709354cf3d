//! Handling a worker's death, and the end of a terminated pool's tasks.
//!
//! What the worker had published counts. The task it was in is lost, or run again if its caller has
//! allowed that, unless the worker was killed because that task was cancelled or has timed out. The
//! tasks that it had not begun go back to the front of the queue, in their order.

use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::reader::{ResultReader, Unfinished};
use crate::pool::error::TaskError;
use crate::pool::scheduler::{Phase, Scheduler, State, WorkerHandle};
use crate::process::JoinError;
use crate::process::reaper::End;
use crate::sys::sync::lock;

/// A task that is run again is given up when so many workers have died in it.
const MAX_DEATHS: u32 = 3;

/// Handles the death of a reader's worker.
pub(super) fn reap(scheduler: &Scheduler, mut reader: ResultReader, end: End) {
    reader.read_rest(scheduler);
    let done = reader.done();

    let mut state = lock(&scheduler.state);
    let Some(at) = state.workers.iter().position(|worker| worker.id == reader.id) else {
        return;
    };
    if state.phase == Phase::Terminated {
        let error = terminated(&state);
        let unfinished = reader.take_unfinished(&mut state);
        state.workers.remove(at);
        drop(state);
        return fail(unfinished, &error);
    }
    let outcome = state.workers[at].child.join_timeout(Duration::ZERO);
    let mut assigned = state.workers[at].take_assigned().into_iter();
    let mut lost = None;
    let mut requeued = Vec::new();
    if let Some((seq, mut batch)) = assigned.next() {
        if done == 0 && state.workers[at].claims.reclaim(seq) {
            requeued.push(batch);
        } else {
            state.mark_proven(reader.id);
            let deaths = if done == 0 { batch.deaths + 1 } else { 1 };
            let killed = state.workers[at].killed.take();
            let killed = killed.filter(|task| (task.seq, task.position) == (seq, done));
            let error = match (task_error(&outcome, end), killed) {
                (TaskError::WorkerLost { .. }, Some(killed)) => killed.error,
                (error, _) => error,
            };
            let retries = batch.policy.retry_lost && matches!(error, TaskError::WorkerLost { .. });
            if retries && deaths < MAX_DEATHS {
                if let Some(mut rest) = batch.after(done) {
                    rest.deaths = deaths;
                    requeued.push(rest);
                }
            } else {
                lost = Some((Arc::clone(&batch.sink), batch.first + done, error));
                batch.deaths = 0;
                requeued.extend(batch.after(done + 1));
            }
        }
    }
    requeued.extend(assigned.map(|(_, batch)| batch));
    let left_batches = !requeued.is_empty();
    requeued.into_iter().rev().for_each(|batch| state.enqueue_first(batch));
    let worker = state.workers.remove(at);
    state.record_end(&worker, left_batches, Instant::now(), || {
        reader.failure.take().unwrap_or_else(|| failure(&worker, &outcome))
    });
    drop(state);

    if let Some((sink, index, error)) = lost {
        sink.fail(index, 1, &error);
    }
}

/// The pool was terminated: fails everything that these readers' workers were assigned.
pub(super) fn fail_all<'a>(
    readers: impl Iterator<Item = &'a mut ResultReader>,
    mut state: MutexGuard<'_, State>,
) {
    let error = terminated(&state);
    let unfinished: Vec<_> =
        readers.flat_map(|reader| reader.take_unfinished(&mut state)).collect();
    // A sink's lock is never taken while the state's is held.
    drop(state);
    fail(unfinished, &error);
}

fn fail(unfinished: Vec<Unfinished>, error: &TaskError) {
    for Unfinished { sink, first, count, error: own } in unfinished {
        sink.fail(first, count, own.as_ref().unwrap_or(error));
    }
}

/// The error of tasks that a terminated pool did not finish.
fn terminated(state: &State) -> TaskError {
    state.refusal().unwrap_or(TaskError::Terminated)
}

/// The error of the task that a worker was in when it ended.
fn task_error(outcome: &Result<(), JoinError>, end: End) -> TaskError {
    match (outcome, end) {
        // Where panics abort, the worker has sent this before.
        (Err(JoinError::Panicked { message, location }), _) => {
            TaskError::Panicked { message: message.clone(), location: location.clone() }
        }
        (_, End::Status(status)) => TaskError::WorkerLost { signal: status.signal() },
        (_, End::Unknown) => TaskError::WorkerLost { signal: None },
    }
}

/// Why a worker has ended before it ran a task.
fn failure(worker: &WorkerHandle, outcome: &Result<(), JoinError>) -> String {
    let when = if worker.ready_at.is_some() {
        "a worker ended as soon as it was ready"
    } else {
        "a worker ended before it was ready"
    };
    match outcome {
        Ok(()) => when.to_owned(),
        Err(error) => format!("{when}: {error}"),
    }
}
