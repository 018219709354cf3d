//! Ending a task early: cancelling it, and its time limit.
//!
//! A task that no worker has claimed is removed. For one that is running, its worker is killed,
//! which must not hit another task. So before that the worker gets nothing else to do: the batches
//! behind this one are [reclaimed](crate::pool::claims), and its own batch is limited to the tasks
//! up to this one. If either fails, the worker has moved on, and is left alone. Otherwise it is in
//! this task or has published its result, and the collector finds out which when it reaps it.

use std::time::Instant;

use super::core::Scheduler;
use super::look::plan_look;
use super::state::{Phase, State};
use super::worker::KilledTask;
use crate::pool::error::TaskError;
use crate::pool::gather::Sink;
use crate::sys::clock;
use crate::sys::sync::lock;

/// What [`AsyncResult::cancel`](crate::AsyncResult::cancel) has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// The task was waiting for a worker, and was removed: it is
    /// [`TaskError::Cancelled`](crate::TaskError::Cancelled), and is not run.
    Removed,
    /// The task was running, and its worker was sent `SIGKILL`, by this call or before it. The task
    /// is [`TaskError::Cancelled`](crate::TaskError::Cancelled) as soon as the kernel has reported
    /// the worker's end; but if the worker has published the result before it died, the task has
    /// that result. (If its time limit had run out before this call, it is
    /// [`TaskError::TimedOut`](crate::TaskError::TimedOut).)
    Killed,
    /// The task had ended, or the pool was terminated: nothing was changed. The task has its result
    /// or its error, or gets it as soon as the pool has read it.
    Ended,
}

impl Scheduler {
    /// Cancels the only task of a sink.
    pub(in crate::pool) fn cancel(&self, sink: &dyn Sink) -> Cancel {
        let mut state = lock(&self.state);
        if state.phase == Phase::Terminated {
            return Cancel::Ended;
        }
        if let Some(at) = state.queue.iter().position(|batch| batch.is_for(sink))
            && let Some(batch) = state.queue.remove(at)
        {
            state.queue_bytes -= batch.bytes();
            self.announce_room(&state);
            drop(state);
            // The collector, if this was a closed pool's last task.
            self.events.notify_all();
            batch.fail(&TaskError::Cancelled);
            return Cancel::Removed;
        }
        let assigned = state.workers.iter().find_map(|worker| {
            let (seq, _) = worker.assigned.iter().find(|(_, batch)| batch.is_for(sink))?;
            Some((worker.id, *seq))
        });
        let Some((id, seq)) = assigned else {
            return Cancel::Ended;
        };
        let removed = state.worker(id).and_then(|worker| worker.reclaim_one(seq));
        let done = if removed.is_some() {
            Cancel::Removed
        } else if state.kill_in(id, KilledTask { seq, position: 0, error: TaskError::Cancelled }) {
            Cancel::Killed
        } else {
            Cancel::Ended
        };
        state.assign_queued();
        self.announce_room(&state);
        drop(state);
        self.events.notify_all();
        if let Some(batch) = removed {
            batch.fail(&TaskError::Cancelled);
        }
        done
    }
}

impl State {
    /// Kills a worker in this task, which it has begun, and puts what it has not begun into the
    /// queue. False if it has ended the task.
    fn kill_in(&mut self, id: u64, task: KilledTask) -> bool {
        let Some(worker) = self.worker(id) else {
            return false;
        };
        if let Some(killed) = &worker.killed {
            return (killed.seq, killed.position) == (task.seq, task.position);
        }
        let (behind, is_last) = worker.reclaim_behind(task.seq);
        let keep = task.position + 1;
        let rest = if is_last { worker.limit(task.seq, keep) } else { Err(()) };
        if rest.is_ok() {
            worker.killed = Some(task);
            worker.kill();
        }
        behind.into_iter().for_each(|batch| self.enqueue_first(batch));
        match rest {
            Ok(rest) => {
                rest.into_iter().for_each(|batch| self.enqueue_first(batch));
                true
            }
            Err(()) => false,
        }
    }

    /// Kills the workers whose tasks have exceeded their time limits, and plans the next look.
    /// Returns for each of them its id, and to how many tasks its batch is limited.
    pub(in crate::pool) fn enforce_time_limits(&mut self) -> Vec<(u64, usize)> {
        self.look_at = None;
        let (now, clock) = (Instant::now(), clock::now());
        let mut killed = Vec::new();
        for at in 0..self.workers.len() {
            let worker = &self.workers[at];
            let Some((left, started)) = worker.time_left(clock) else {
                continue;
            };
            if left.is_zero()
                && let Some(started) = started
                && worker.may_be_in(started)
            {
                let id = worker.id;
                let (seq, position) = (started.seq, started.position);
                let error = TaskError::TimedOut;
                if self.kill_in(id, KilledTask { seq, position, error }) {
                    killed.push((id, position + 1));
                    continue;
                }
            }
            plan_look(&mut self.look_at, now, left);
        }
        killed
    }
}
