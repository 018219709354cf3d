//! The workers as the pool knows them, and which task goes to which.
//!
//! Each worker has a ring for tasks, and is given some ahead of time so that it need not wait.
//! Offers that it has not begun can be taken back ([`Claims`]), for a worker that has nothing to do,
//! or when this one dies.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ipc::codec;
use crate::process::Child;
use crate::shm::ring;

use super::claims::{Claims, MAX_SPAN};
use super::dispatch::Plan;
use super::health::{Health, PROVEN};
use super::task::{TaskError, Tasks};
use super::worker::{Head, keep_small};

/// How far ahead a worker is given tasks: so many batches, or so many bytes of arguments.
const AHEAD: usize = 128;
const AHEAD_BYTES: usize = 256 * 1024;

/// A worker that has not begun what it was given after this time is taken for stopped.
const OVERDUE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Nothing more is submitted; what is there is finished.
    Closed,
    /// Nothing more is run.
    Terminated,
}

pub(super) struct Worker {
    pub(super) id: u64,
    pub(super) child: Child<()>,
    tasks: ring::Sender,
    pub(super) claims: Arc<Claims>,
    /// Given and not finished, in the order they were sent.
    pub(super) given: VecDeque<(u64, Tasks)>,
    given_bytes: usize,
    /// The rest of a message that did not fit into the ring.
    unsent: Option<Vec<u8>>,
    number: u64,
    /// Tasks given in its whole life.
    lifetime: usize,
    /// Gets no more tasks, and ends after those it has.
    pub(super) is_retired: bool,
    /// Since when it is ready for tasks.
    pub(super) ready_at: Option<Instant>,
    /// Whether it has begun a task, or was ready for a while.
    is_proven: bool,
    /// Whether it was found not to take what it was given.
    is_stopped: bool,
    /// The first batch given, where it had not begun it, and when that was first seen.
    waiting: Option<(u64, Instant)>,
}

pub(super) struct State {
    pub(super) queue: VecDeque<Tasks>,
    pub(super) queue_bytes: usize,
    pub(super) workers: Vec<Worker>,
    pub(super) phase: Phase,
    pub(super) broken: Option<String>,
    pub(super) health: Health,
    /// Callers of `map` that wait for room in the queue.
    pub(super) waiting: usize,
    /// Whether the collector will look by itself within a tick for tasks that wait, and soon for
    /// results in the logs.
    pub(super) is_watched: bool,
    pub(super) reads_logs: bool,
    pub(super) next_id: u64,
    message: Vec<u8>,
}

impl Worker {
    pub(super) fn new(id: u64, child: Child<()>, tasks: ring::Sender, claims: Arc<Claims>) -> Self {
        Self {
            id,
            child,
            tasks,
            claims,
            given: VecDeque::new(),
            given_bytes: 0,
            unsent: None,
            number: 0,
            lifetime: 0,
            is_retired: false,
            ready_at: None,
            is_proven: false,
            is_stopped: false,
            waiting: None,
        }
    }

    fn accepts(&self) -> bool {
        let span = self.given.front().map_or(0, |(number, _)| self.number - number);
        self.ready_at.is_some()
            && !self.is_retired
            && self.unsent.is_none()
            // One that was stopped goes on when it has received what was sent.
            && (!self.is_stopped || self.claims.received() == self.number)
            && (self.given.is_empty()
                || (self.given.len() < AHEAD
                    && self.given_bytes < AHEAD_BYTES
                    && (span as usize) < MAX_SPAN - 1))
    }

    fn is_idle(&self) -> bool {
        self.given.is_empty() && self.accepts()
    }

    /// Gives it the tasks; the worker accepts them.
    fn give(&mut self, tasks: Tasks, limit: Option<usize>, message: &mut Vec<u8>) {
        self.number += 1;
        self.is_stopped = false;
        let head = Head { number: self.number, count: tasks.count, entry: tasks.entry };
        message.clear();
        codec::encode_own(&head, message);
        message.extend_from_slice(&tasks.arguments);
        self.claims.offer(self.number);
        self.lifetime += tasks.count;
        self.given_bytes += tasks.arguments.len();
        self.given.push_back((self.number, tasks));
        // A closed ring is one whose worker has died; its tasks go to others when that is seen.
        if let Ok(false) = self.tasks.try_send(message) {
            self.unsent = Some(std::mem::take(message));
        }
        keep_small(message);
        if limit.is_some_and(|limit| self.lifetime >= limit) {
            self.retire();
        }
    }

    /// Sends more of what did not fit.
    fn flush(&mut self) {
        if let Some(message) = &self.unsent
            && !matches!(self.tasks.try_send(message), Ok(false))
        {
            self.unsent = None;
            if self.is_retired {
                self.tasks.close();
            }
        }
    }

    /// Lets it end after what it was given.
    pub(super) fn retire(&mut self) {
        self.is_retired = true;
        if self.unsent.is_none() {
            self.tasks.close();
        }
    }

    /// Removes the first batch: it is finished.
    pub(super) fn finish(&mut self) -> Option<(u64, Tasks)> {
        let finished = self.given.pop_front()?;
        self.given_bytes -= finished.1.arguments.len();
        Some(finished)
    }

    /// Removes everything it was given.
    pub(super) fn take_all(&mut self) -> VecDeque<(u64, Tasks)> {
        self.given_bytes = 0;
        std::mem::take(&mut self.given)
    }

    /// Takes back up to so many batches that it has not begun, the latest first.
    fn take_back(&mut self, limit: usize) -> Vec<Tasks> {
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some((number, _)) = self.given.back()
            && self.claims.reclaim(*number)
            && let Some((_, tasks)) = self.given.pop_back()
        {
            self.given_bytes -= tasks.arguments.len();
            self.lifetime -= tasks.count;
            taken.push(tasks);
        }
        taken
    }

    /// Whether it has left what it was given untouched for a while.
    fn is_overdue(&mut self, now: Instant) -> bool {
        let front = self.given.front().map(|(number, _)| *number);
        let offered = front.filter(|number| self.claims.is_offered(*number));
        match (offered, self.waiting) {
            (Some(number), Some((seen, since))) if number == seen => now - since >= OVERDUE,
            (offered, _) => {
                self.waiting = offered.map(|number| (number, now));
                false
            }
        }
    }

    /// The number of the batch that it has begun, and how many tasks are in it.
    pub(super) fn current(&self) -> Option<(u64, usize)> {
        let (number, tasks) = self.given.front()?;
        (!self.claims.is_offered(*number)).then_some((*number, tasks.count))
    }

    /// Limits the batch it is in to the first `keep` tasks, and returns the others; `None` if it
    /// may have begun more.
    fn divide(&mut self, keep: usize) -> Option<Tasks> {
        let (number, tasks) = self.given.front_mut()?;
        if !self.claims.limit(*number, keep) {
            return None;
        }
        let rest = tasks.split_off(keep);
        self.given_bytes -= rest.arguments.len();
        self.lifetime -= rest.count;
        Some(rest)
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            queue_bytes: 0,
            workers: Vec::new(),
            phase: Phase::Open,
            broken: None,
            health: Health::default(),
            waiting: 0,
            is_watched: false,
            reads_logs: false,
            next_id: 1,
            message: Vec::new(),
        }
    }

    pub(super) fn worker(&mut self, id: u64) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.id == id)
    }

    /// Hands out what is in the queue, each to the worker that has the least.
    pub(super) fn hand_out(&mut self, limit: Option<usize>) {
        self.workers.iter_mut().for_each(Worker::flush);
        while !self.queue.is_empty() {
            let accepting = self.workers.iter_mut().filter(|worker| worker.accepts());
            let Some(worker) = accepting.min_by_key(|worker| worker.given.len()) else {
                return;
            };
            if let Some(tasks) = self.queue.pop_front() {
                self.queue_bytes -= tasks.arguments.len();
                worker.give(tasks, limit, &mut self.message);
            }
        }
        self.level(limit);
    }

    /// With nothing in the queue: a worker with nothing to do gets half of what another has not
    /// begun.
    fn level(&mut self, limit: Option<usize>) {
        for idle in 0..self.workers.len() {
            if !self.workers[idle].is_idle() {
                continue;
            }
            let Some(busiest) = self.workers.iter_mut().max_by_key(|worker| worker.given.len())
            else {
                return;
            };
            // The first batch has most likely been begun.
            let half = busiest.given.len() / 2;
            if half == 0 {
                return;
            }
            for tasks in busiest.take_back(half).into_iter().rev() {
                let worker = &mut self.workers[idle];
                if worker.accepts() {
                    worker.give(tasks, limit, &mut self.message);
                } else {
                    self.enqueue_first(tasks);
                }
            }
        }
    }

    /// How many workers have nothing to do.
    pub(super) fn idle(&self) -> usize {
        self.workers.iter().filter(|worker| worker.is_idle()).count()
    }

    /// At a tick: puts into the queue what stopped workers were given, if another has nothing to
    /// do.
    pub(super) fn relieve_stopped(&mut self, now: Instant) {
        let is_any_idle = self.idle() > 0;
        for at in 0..self.workers.len() {
            let worker = &mut self.workers[at];
            if worker.is_overdue(now) && is_any_idle {
                worker.is_stopped = true;
                let taken = worker.take_back(usize::MAX);
                taken.into_iter().for_each(|tasks| self.enqueue_first(tasks));
            }
        }
    }

    /// Limits the batch that a worker is in to the first `keep` tasks, and puts the others into the
    /// queue. False if it may have begun more.
    pub(super) fn divide(&mut self, id: u64, keep: usize) -> bool {
        let pieces = self.idle() + 1;
        let Some(mut rest) = self.worker(id).and_then(|worker| worker.divide(keep)) else {
            return false;
        };
        // A piece for each idle worker, and one for the worker itself.
        let size = rest.count.div_ceil(pieces);
        let mut divided = Vec::new();
        while rest.count > size {
            let behind = rest.split_off(size);
            divided.push(std::mem::replace(&mut rest, behind));
        }
        divided.push(rest);
        divided.into_iter().rev().for_each(|tasks| self.enqueue_first(tasks));
        true
    }

    pub(super) fn enqueue_first(&mut self, tasks: Tasks) {
        self.queue_bytes += tasks.arguments.len();
        self.queue.push_front(tasks);
    }

    /// A worker is of use.
    pub(super) fn prove(&mut self, id: u64) {
        if let Some(worker) = self.worker(id)
            && !worker.is_proven
        {
            worker.is_proven = true;
            self.health.proven();
        }
    }

    /// So are those that were ready for a while.
    pub(super) fn prove_by_age(&mut self, now: Instant) {
        let is_old = |worker: &&Worker| worker.ready_at.is_some_and(|at| now - at >= PROVEN);
        let old: Vec<u64> = self.workers.iter().filter(is_old).map(|worker| worker.id).collect();
        old.into_iter().for_each(|id| self.prove(id));
    }

    /// A worker has ended. `left` is whether it had not begun what it was given, and `reason` the
    /// failure, if it is one.
    pub(super) fn worker_ended(
        &mut self,
        worker: &Worker,
        left: bool,
        now: Instant,
        reason: impl FnOnce() -> String,
    ) {
        self.prove_by_age(now);
        let is_old = worker.ready_at.is_some_and(|at| now - at >= PROVEN);
        if worker.is_proven || is_old {
            self.health.proven();
        } else if worker.is_retired {
            // It was to end.
        } else if worker.ready_at.is_none() || left {
            self.health.failed(reason(), now);
        } else {
            self.health.ended_idle(now);
        }
    }

    /// No task is run any more. Returns those in the queue; the collector sees to those that were
    /// given.
    pub(super) fn stop(&mut self) -> VecDeque<Tasks> {
        self.phase = Phase::Terminated;
        for worker in &mut self.workers {
            worker.is_retired = true;
            // One that has become another user's cannot be killed; it ends when its ring is closed.
            let _ = worker.child.kill();
            worker.tasks.close();
        }
        self.queue_bytes = 0;
        std::mem::take(&mut self.queue)
    }

    /// How many workers there should be.
    pub(super) fn wanted(&self, plan: &Plan) -> usize {
        match self.phase {
            Phase::Open => plan.workers,
            Phase::Closed => plan.workers.min(self.queue.len()),
            Phase::Terminated => 0,
        }
    }

    /// Why nothing can be submitted, if so.
    pub(super) fn refusal(&self) -> Option<TaskError> {
        match (&self.broken, self.phase) {
            (Some(reason), _) => Some(TaskError::Broken(reason.clone())),
            (None, Phase::Open) => None,
            (None, Phase::Closed) => Some(TaskError::Closed),
            (None, Phase::Terminated) => Some(TaskError::Terminated),
        }
    }

    /// Whether a task is waiting or running.
    pub(super) fn has_tasks(&self) -> bool {
        !self.queue.is_empty() || self.workers.iter().any(|worker| !worker.given.is_empty())
    }

    /// Whether a worker is in a batch of several tasks, whose results are in its log first.
    pub(super) fn has_logs(&self) -> bool {
        let is_gathering =
            |worker: &Worker| worker.given.front().is_some_and(|(_, tasks)| tasks.count > 1);
        self.workers.iter().any(is_gathering)
    }
}
