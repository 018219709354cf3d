//! The queue and the workers: assigning batches, and rebalancing them.

use std::collections::VecDeque;
use std::time::Instant;

use super::look::plan_look_for;
use super::restart::{PROVEN, RestartPolicy};
use super::worker::WorkerHandle;
use crate::pool::batch::Batch;
use crate::pool::error::TaskError;

/// How far a pool's life has got.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Phase {
    Open,
    /// Nothing more is submitted; what was submitted is finished.
    Closed,
    /// Nothing more is run.
    Terminated,
}

/// What the scheduler's lock guards.
pub(in crate::pool) struct State {
    /// Batches that are not assigned, in the order in which they will be.
    pub(in crate::pool) queue: VecDeque<Batch>,
    pub(super) queue_bytes: usize,
    pub(in crate::pool) workers: Vec<WorkerHandle>,
    pub(in crate::pool) phase: Phase,
    /// Why the pool is broken, if it is.
    pub(super) broken: Option<String>,
    pub(super) restart: RestartPolicy,
    /// How many threads wait for room in the queue.
    pub(super) waiting: usize,
    /// Whether the collector has planned a tick, and whether it will read logs then: submitting a
    /// batch need not wake it.
    pub(in crate::pool) is_watched: bool,
    pub(in crate::pool) reads_logs: bool,
    /// When the collector looks at the time limits next.
    pub(in crate::pool) look_at: Option<Instant>,
    /// How many workers there are to be.
    size: usize,
    max_tasks_per_worker: Option<usize>,
    last_id: u64,
    /// A message being built.
    message: Vec<u8>,
}

impl State {
    pub(super) fn new(size: usize, max_tasks_per_worker: Option<usize>) -> Self {
        Self {
            queue: VecDeque::new(),
            queue_bytes: 0,
            workers: Vec::new(),
            phase: Phase::Open,
            broken: None,
            restart: RestartPolicy::default(),
            waiting: 0,
            is_watched: false,
            reads_logs: false,
            look_at: None,
            size,
            max_tasks_per_worker,
            last_id: 0,
            message: Vec::new(),
        }
    }

    /// The id of the next worker, from 1 on.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(in crate::pool) fn worker(&mut self, id: u64) -> Option<&mut WorkerHandle> {
        self.workers.iter_mut().find(|worker| worker.id == id)
    }

    pub(super) fn enqueue_last(&mut self, batch: Batch) {
        self.queue_bytes += batch.bytes();
        self.queue.push_back(batch);
    }

    pub(in crate::pool) fn enqueue_first(&mut self, batch: Batch) {
        self.queue_bytes += batch.bytes();
        self.queue.push_front(batch);
    }

    /// Assigns what is in the queue, each batch to the worker that has the fewest. If the queue is
    /// empty then, rebalances.
    pub(in crate::pool) fn assign_queued(&mut self) {
        self.workers.iter_mut().for_each(WorkerHandle::flush);
        while !self.queue.is_empty() {
            let accepting = self.workers.iter_mut().filter(|worker| worker.accepts());
            let Some(worker) = accepting.min_by_key(|worker| worker.assigned.len()) else {
                return;
            };
            if let Some(batch) = self.queue.pop_front() {
                self.queue_bytes -= batch.bytes();
                plan_look_for(&batch, &mut self.look_at);
                worker.assign(batch, self.max_tasks_per_worker, &mut self.message);
            }
        }
        self.rebalance();
    }

    /// Assigns to each idle worker half of the batches that another has not claimed.
    fn rebalance(&mut self) {
        for idle in 0..self.workers.len() {
            if !self.workers[idle].is_idle() {
                continue;
            }
            let Some(busiest) = self.workers.iter_mut().max_by_key(|worker| worker.assigned.len())
            else {
                return;
            };
            // The first batch has most likely been claimed.
            let half = busiest.assigned.len() / 2;
            if half == 0 {
                return;
            }
            for batch in busiest.reclaim(half).into_iter().rev() {
                let worker = &mut self.workers[idle];
                if worker.accepts() {
                    plan_look_for(&batch, &mut self.look_at);
                    worker.assign(batch, self.max_tasks_per_worker, &mut self.message);
                } else {
                    self.enqueue_first(batch);
                }
            }
        }
    }

    /// How many workers are idle.
    pub(in crate::pool) fn idle(&self) -> usize {
        self.workers.iter().filter(|worker| worker.is_idle()).count()
    }

    /// At a tick: puts the batches of stopped workers into the queue, if another worker is idle.
    pub(in crate::pool) fn reclaim_from_stopped(&mut self, now: Instant) {
        let is_any_idle = self.idle() > 0;
        for at in 0..self.workers.len() {
            let worker = &mut self.workers[at];
            if worker.is_overdue(now) && is_any_idle {
                let reclaimed = worker.reclaim_from_stopped();
                reclaimed.into_iter().for_each(|batch| self.enqueue_first(batch));
            }
        }
    }

    /// Limits the batch that a worker has claimed to the first `keep` tasks, and puts the others
    /// into the queue. False if it may have begun more.
    pub(in crate::pool) fn split_claimed(&mut self, id: u64, keep: usize) -> bool {
        let pieces = self.idle() + 1;
        let Some(mut rest) = self.worker(id).and_then(|worker| worker.split_claimed(keep)) else {
            return false;
        };
        // A piece for each idle worker, and one for the worker itself.
        let size = rest.len().div_ceil(pieces);
        let mut divided = Vec::new();
        while rest.len() > size {
            let behind = rest.split_off(size);
            divided.push(std::mem::replace(&mut rest, behind));
        }
        divided.push(rest);
        divided.into_iter().rev().for_each(|batch| self.enqueue_first(batch));
        true
    }

    /// Records that a worker was started successfully: it has begun a task.
    pub(in crate::pool) fn mark_proven(&mut self, id: u64) {
        if let Some(worker) = self.worker(id)
            && !worker.is_proven
        {
            worker.is_proven = true;
            self.restart.proven();
        }
    }

    /// Records the same of those that have been ready for a while.
    fn mark_proven_by_age(&mut self, now: Instant) {
        let is_old = |worker: &&WorkerHandle| is_proven_by_age(worker, now);
        let old: Vec<u64> = self.workers.iter().filter(is_old).map(|worker| worker.id).collect();
        old.into_iter().for_each(|id| self.mark_proven(id));
    }

    /// Records that a worker has ended, which is not among the workers any more. `left_batches` is
    /// whether it had not claimed what it was assigned, and `reason` the failure, if it is one.
    pub(in crate::pool) fn record_end(
        &mut self,
        worker: &WorkerHandle,
        left_batches: bool,
        now: Instant,
        reason: impl FnOnce() -> String,
    ) {
        self.mark_proven_by_age(now);
        if worker.is_proven || is_proven_by_age(worker, now) {
            self.restart.proven();
        } else if worker.is_retired {
            // It was to end.
        } else if worker.ready_at.is_none() || left_batches {
            self.restart.failed(reason(), now);
        } else {
            self.restart.ended_idle(now);
        }
    }

    /// From now on no task is run. Returns the batches in the queue; the collector fails those that
    /// were assigned.
    pub(super) fn stop(&mut self) -> VecDeque<Batch> {
        self.phase = Phase::Terminated;
        self.workers.iter_mut().for_each(WorkerHandle::kill);
        self.queue_bytes = 0;
        std::mem::take(&mut self.queue)
    }

    /// How many workers there should be now.
    pub(super) fn wanted_workers(&self) -> usize {
        match self.phase {
            Phase::Open => self.size,
            Phase::Closed => self.size.min(self.queue.len()),
            Phase::Terminated => 0,
        }
    }

    /// Why nothing can be submitted, if so.
    pub(in crate::pool) fn refusal(&self) -> Option<TaskError> {
        match (&self.broken, self.phase) {
            (Some(reason), _) => Some(TaskError::Broken(reason.clone())),
            (None, Phase::Open) => None,
            (None, Phase::Closed) => Some(TaskError::Closed),
            (None, Phase::Terminated) => Some(TaskError::Terminated),
        }
    }

    /// Whether a task is waiting or running.
    pub(in crate::pool) fn has_tasks(&self) -> bool {
        !self.queue.is_empty() || self.workers.iter().any(|worker| !worker.assigned.is_empty())
    }

    /// Whether a worker is in a batch of several tasks, whose results are in its log first.
    pub(in crate::pool) fn has_logs(&self) -> bool {
        let is_logged =
            |worker: &WorkerHandle| worker.assigned.front().is_some_and(|(_, it)| it.len() > 1);
        self.workers.iter().any(is_logged)
    }
}

fn is_proven_by_age(worker: &WorkerHandle, now: Instant) -> bool {
    worker.ready_at.is_some_and(|at| now - at >= PROVEN)
}
