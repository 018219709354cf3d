//! Starting workers, and keeping the pool at its size.

use std::sync::Arc;
use std::time::Instant;

use super::core::Scheduler;
use super::state::State;
use super::worker::WorkerHandle;
use crate::pool::claims::Claims;
use crate::pool::worker::{self, Startup};
use crate::process::{Builder, SpawnError};
use crate::shm::ring;
use crate::sys::sync::lock;

/// Bytes a ring holds; longer messages pass in pieces.
const BATCHES_RING: usize = 512 * 1024;
const RESULTS_RING: usize = 256 * 1024;

/// What the collector needs of a worker that was started.
pub(in crate::pool) struct Spawned {
    pub(in crate::pool) id: u64,
    pub(in crate::pool) results: ring::Receiver,
    pub(in crate::pool) claims: Arc<Claims>,
}

impl Scheduler {
    /// Starts a new pool's workers. If one cannot be started, the others are killed.
    ///
    /// # Errors
    ///
    /// A worker cannot be started.
    pub(in crate::pool) fn spawn_all(&self) -> Result<Vec<Spawned>, SpawnError> {
        let mut state = lock(&self.state);
        let spawned: Result<_, _> =
            (0..self.config.workers).map(|_| self.spawn_worker(&mut state)).collect();
        if spawned.is_err() {
            state.stop();
        }
        spawned
    }

    /// Starts workers where some are missing, and passes each to `add`. Returns when the next
    /// attempt is due.
    ///
    /// # Errors
    ///
    /// The pool is broken: no worker is left, and none can be started. The reason.
    pub(in crate::pool) fn keep_at_size(
        &self,
        state: &mut State,
        now: Instant,
        mut add: impl FnMut(Spawned),
    ) -> Result<Option<Instant>, String> {
        // A retired worker counts until it has ended: there are never more processes than were
        // asked for.
        while state.workers.len() < state.wanted_workers() {
            let is_any_ready = state.workers.iter().any(|worker| worker.ready_at.is_some());
            if state.restart.is_hopeless(now) && !is_any_ready {
                // Those that are starting may still get ready.
                return if state.workers.is_empty() {
                    Err(state.restart.reason())
                } else {
                    Ok(None)
                };
            }
            if !state.restart.may_start(now) {
                return Ok(state.restart.retry_at());
            }
            match self.spawn_worker(state) {
                Ok(spawned) => {
                    state.restart.started();
                    add(spawned);
                }
                Err(error) => state.restart.not_started(&error, now),
            }
        }
        Ok(None)
    }

    fn spawn_worker(&self, state: &mut State) -> Result<Spawned, SpawnError> {
        let id = state.next_id();
        let (batches, their_batches) = ring::create_with(BATCHES_RING, None, Some(&self.events))?;
        let (their_results, results) = ring::create_with(RESULTS_RING, Some(&self.events), None)?;
        let claims = Arc::new(Claims::new()?);
        let startup = Startup {
            batches: their_batches,
            results: their_results,
            claims: claims.try_clone()?,
            initializer: self.config.initializer.clone(),
            ignore_interrupts: self.config.ignore_interrupts,
        };
        let (ended, events) = (Arc::clone(&self.ended), self.events.clone());
        let on_end = move |end| {
            lock(&ended).push((id, end));
            events.notify_all();
        };
        let child = Builder::new(worker::run)
            .name(format!("PoolWorker-{id}"))
            .spawn_and_then(startup, Some(Box::new(on_end)))?;
        state.workers.push(WorkerHandle::new(id, child, batches, Arc::clone(&claims)));
        Ok(Spawned { id, results, claims })
    }
}
