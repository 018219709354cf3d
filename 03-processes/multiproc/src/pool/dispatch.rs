//! The pool's side: where tasks wait, and how they get to the workers.
//!
//! Tasks wait in one queue here, in the parent, where no worker's death can touch them. The thread
//! that submits a task also hands it out, without waiting for the pool's own thread, the
//! [collector](super::collector).
//!
//! Locks: a sink's lock may be held while the state's is taken, never the other way round.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use crate::process::reaper::End;
use crate::process::remote::Remote;
use crate::process::{Builder, SpawnError};
use crate::shm::ring::{self, EventCount};
use crate::sys::fork;
use crate::sys::signals;
use crate::sys::sync::lock;

use super::claims::Claims;
use super::collector::{Collector, Source};
use super::task::{TaskError, Tasks};
use super::worker::{Begin, Setup, work};
use super::workers::{Phase, State, Worker};

/// Bytes a ring holds; longer messages pass in pieces.
const TASKS_RING: usize = 512 * 1024;
const RESULTS_RING: usize = 256 * 1024;

/// Where a `map` waits before it encodes more: so many batches in the queue, or so many bytes.
const QUEUE: usize = 1024;
const QUEUE_BYTES: usize = 16 << 20;

/// How the workers are to be.
pub(super) struct Plan {
    pub(super) workers: usize,
    pub(super) tasks_a_worker: Option<usize>,
    /// The function that each worker runs first, and its encoded argument.
    pub(super) initializer: Option<(Remote<Setup>, Vec<u8>)>,
    pub(super) ignore_interrupts: bool,
}

/// What the pool, its collector and its iterators share.
pub(super) struct Dispatch {
    plan: Plan,
    pub(super) state: Mutex<State>,
    room: Condvar,
    /// Wakes the collector. The workers ring it when they have written, and the reaper when one of
    /// them has ended.
    pub(super) events: EventCount,
    pub(super) ended: Arc<Mutex<Vec<(u64, End)>>>,
}

impl Dispatch {
    /// Starts the workers and the collector.
    pub(super) fn start(plan: Plan) -> Result<(Arc<Self>, thread::JoinHandle<()>), SpawnError> {
        let dispatch = Arc::new(Self {
            plan,
            state: Mutex::new(State::new()),
            room: Condvar::new(),
            events: EventCount::new()?,
            ended: Arc::default(),
        });
        let started = dispatch.start_all();
        if started.is_err() {
            lock(&dispatch.state).stop();
        }
        Ok((dispatch, started?))
    }

    fn start_all(self: &Arc<Self>) -> Result<thread::JoinHandle<()>, SpawnError> {
        let mut sources = Vec::new();
        let mut state = lock(&self.state);
        for _ in 0..self.plan.workers {
            sources.push(self.start_worker(&mut state)?);
        }
        drop(state);
        let shared = Arc::clone(self);
        let collect = move || Collector::new(&shared, sources).run();
        Ok(signals::start("pool", None, collect)?)
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The ids of the living workers.
    pub(super) fn worker_ids(&self) -> Vec<u32> {
        if fork::is_fork() {
            return Vec::new();
        }
        let state = lock(&self.state);
        state
            .workers
            .iter()
            .filter(|worker| worker.child.is_alive())
            .map(|worker| worker.child.id())
            .collect()
    }

    /// Puts tasks into the queue and hands out what can be. With `patient`, waits first while the
    /// queue is long.
    pub(super) fn submit(&self, tasks: Tasks, patient: bool) -> Result<(), TaskError> {
        if fork::is_fork() {
            return Err(TaskError::Forked);
        }
        let mut state = lock(&self.state);
        while patient
            && (state.queue.len() >= QUEUE || state.queue_bytes >= QUEUE_BYTES)
            && state.phase == Phase::Open
        {
            state.waiting += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        if let Some(error) = state.refusal() {
            return Err(error);
        }
        let is_gathered = tasks.count > 1;
        state.queue_bytes += tasks.arguments.len();
        state.queue.push_back(tasks);
        state.hand_out(self.plan.tasks_a_worker);
        if !state.is_watched || (is_gathered && !state.reads_logs) {
            state.is_watched = true;
            state.reads_logs |= is_gathered;
            drop(state);
            self.events.notify_all();
        }
        Ok(())
    }

    /// Wakes callers of `map` if there is room in the queue again.
    pub(super) fn announce_room(&self, state: &State) {
        if state.waiting > 0 && state.queue.len() < QUEUE / 2 && state.queue_bytes < QUEUE_BYTES / 2
        {
            self.room.notify_all();
        }
    }

    /// Nothing more is submitted.
    pub(super) fn close(&self) {
        if fork::is_fork() {
            return;
        }
        let mut state = lock(&self.state);
        if state.phase == Phase::Open {
            state.phase = Phase::Closed;
        }
        drop(state);
        self.room.notify_all();
        self.events.notify_all();
    }

    /// Nothing more is run.
    pub(super) fn terminate(&self) {
        if !fork::is_fork() {
            self.stop(None);
        }
    }

    /// The pool cannot go on.
    pub(super) fn give_up(&self, reason: String) {
        self.stop(Some(reason));
    }

    fn stop(&self, broken: Option<String>) {
        let mut state = lock(&self.state);
        state.broken = state.broken.take().or(broken);
        let waiting = state.stop();
        let error = state.refusal().unwrap_or(TaskError::Terminated);
        drop(state);
        self.room.notify_all();
        self.events.notify_all();
        waiting.into_iter().for_each(|tasks| tasks.fail(&error));
    }

    /// Starts one worker.
    pub(super) fn start_worker(&self, state: &mut State) -> Result<Source, SpawnError> {
        let id = state.next_id;
        state.next_id += 1;
        let (tasks, their_tasks) = ring::create_with(TASKS_RING, None, Some(&self.events))?;
        let (their_results, results) = ring::create_with(RESULTS_RING, Some(&self.events), None)?;
        let claims = Arc::new(Claims::new()?);
        let begin = Begin {
            tasks: their_tasks,
            results: their_results,
            claims: claims.try_clone()?,
            initializer: self.plan.initializer.clone(),
            ignore_interrupts: self.plan.ignore_interrupts,
        };
        let (ended, events) = (Arc::clone(&self.ended), self.events.clone());
        let on_end = move |end| {
            lock(&ended).push((id, end));
            events.notify_all();
        };
        let child = Builder::new(work)
            .name(format!("PoolWorker-{id}"))
            .spawn_and_then(begin, Some(Box::new(on_end)))?;
        state.workers.push(Worker::new(id, child, tasks, Arc::clone(&claims)));
        Ok(Source::new(id, results, claims))
    }
}
