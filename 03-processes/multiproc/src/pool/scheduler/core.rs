//! What a pool's handle, its collector and its iterators share: submitting, closing, terminating.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::state::{Phase, State};
use crate::pool::batch::Batch;
use crate::pool::error::TaskError;
use crate::pool::worker::InitializerCall;
use crate::process::reaper::End;
use crate::process::remote::Remote;
use crate::shm::ring::EventCount;
use crate::sys::fork;
use crate::sys::sync::lock;

/// Where a `map` or an `imap` waits before it submits more: so many batches in the queue, or so
/// many bytes of arguments.
const QUEUE: usize = 1024;
const QUEUE_BYTES: usize = 16 << 20;

/// What a pool was built with.
pub(in crate::pool) struct Config {
    pub(in crate::pool) workers: usize,
    pub(in crate::pool) max_tasks_per_worker: Option<usize>,
    /// The function that each worker runs first, and its encoded argument.
    pub(in crate::pool) initializer: Option<(Remote<InitializerCall>, Vec<u8>)>,
    pub(in crate::pool) ignore_interrupts: bool,
}

/// Assigns batches to workers.
pub(in crate::pool) struct Scheduler {
    pub(super) config: Config,
    pub(in crate::pool) state: Mutex<State>,
    /// For threads that wait for room in the queue.
    room: Condvar,
    /// Wakes the collector. The workers notify it when they have written or read, and the reaper
    /// when one of them has ended.
    pub(in crate::pool) events: EventCount,
    /// The workers that have ended and that the collector has not reaped.
    pub(super) ended: Arc<Mutex<Vec<(u64, End)>>>,
}

impl Scheduler {
    pub(in crate::pool) fn new(config: Config) -> io::Result<Self> {
        let state = State::new(config.workers, config.max_tasks_per_worker);
        Ok(Self {
            config,
            state: Mutex::new(state),
            room: Condvar::new(),
            events: EventCount::new()?,
            ended: Arc::default(),
        })
    }

    /// How many workers there are to be.
    pub(in crate::pool) fn workers(&self) -> usize {
        self.config.workers
    }

    /// The process ids of the workers alive now.
    pub(in crate::pool) fn worker_ids(&self) -> Vec<u32> {
        if fork::is_fork() {
            return Vec::new();
        }
        let state = lock(&self.state);
        let alive = state.workers.iter().filter(|worker| worker.child.is_alive());
        alive.map(|worker| worker.child.id()).collect()
    }

    /// Takes the workers that have ended since the last call.
    pub(in crate::pool) fn take_ended(&self) -> Vec<(u64, End)> {
        std::mem::take(&mut *lock(&self.ended))
    }

    /// Puts a batch into the queue, and assigns what can be assigned. With `waits`, waits first
    /// while the queue is long.
    ///
    /// # Errors
    ///
    /// The pool is closed, terminated or broken.
    pub(in crate::pool) fn submit(&self, batch: Batch, waits: bool) -> Result<(), TaskError> {
        if fork::is_fork() {
            return Err(TaskError::Forked);
        }
        let mut state = lock(&self.state);
        while waits && state.phase == Phase::Open && is_long(&state, 1) {
            state.waiting += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        if let Some(error) = state.refusal() {
            return Err(error);
        }
        if batch.policy.time_limit == Some(Duration::ZERO) {
            drop(state);
            batch.fail(&TaskError::TimedOut);
            return Ok(());
        }
        let is_logged = batch.len() > 1;
        let look_at = state.look_at;
        state.enqueue_last(batch);
        state.assign_queued();
        if !state.is_watched || (is_logged && !state.reads_logs) || state.look_at != look_at {
            state.is_watched = true;
            state.reads_logs |= is_logged;
            drop(state);
            self.events.notify_all();
        }
        Ok(())
    }

    /// Wakes threads that wait for room if half of the queue is free.
    pub(in crate::pool) fn announce_room(&self, state: &State) {
        if state.waiting > 0 && !is_long(state, 2) {
            self.room.notify_all();
        }
    }

    /// From now on nothing is submitted.
    pub(in crate::pool) fn close(&self) {
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

    /// From now on nothing is run.
    pub(in crate::pool) fn terminate(&self) {
        if !fork::is_fork() {
            self.stop(None);
        }
    }

    /// Terminates the pool because it cannot go on.
    pub(in crate::pool) fn give_up(&self, reason: String) {
        self.stop(Some(reason));
    }

    fn stop(&self, broken: Option<String>) {
        let mut state = lock(&self.state);
        state.broken = state.broken.take().or(broken);
        let queued = state.stop();
        let error = state.refusal().unwrap_or(TaskError::Terminated);
        drop(state);
        self.room.notify_all();
        self.events.notify_all();
        queued.into_iter().for_each(|batch| batch.fail(&error));
    }
}

/// Whether the queue has reached its limits, divided by `divisor`.
fn is_long(state: &State, divisor: usize) -> bool {
    state.queue.len() >= QUEUE / divisor || state.queue_bytes >= QUEUE_BYTES / divisor
}
