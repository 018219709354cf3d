//! A batch: tasks of one call that are assigned to a worker together.

use std::sync::Arc;
use std::time::Duration;

use super::arguments::Arguments;
use super::error::TaskError;
use super::gather::Sink;
use super::worker::Execution;
use crate::process::remote::Remote;

/// What a call's options say of each of its tasks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Policy {
    /// Whether a task that is lost with its worker is run again.
    pub(super) retry_lost: bool,
    /// How long a task may run.
    pub(super) time_limit: Option<Duration>,
}

/// Some tasks of one call, which run one after the other in one worker.
pub(super) struct Batch {
    pub(super) entry: Remote<Execution>,
    pub(super) arguments: Arguments,
    /// Where the results go.
    pub(super) sink: Arc<dyn Sink>,
    /// The first task's index in the sink.
    pub(super) first: usize,
    pub(super) policy: Policy,
    /// How many workers have died in the first task.
    pub(super) deaths: u32,
}

impl Batch {
    /// How many tasks these are.
    pub(super) fn len(&self) -> usize {
        self.arguments.count
    }

    /// Whether its results go to this sink.
    pub(super) fn is_for(&self, sink: &dyn Sink) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.sink), sink)
    }

    /// The encoded arguments' size.
    pub(super) fn bytes(&self) -> usize {
        self.arguments.bytes.len()
    }

    /// What is left after the first `done` tasks; `None` if nothing is.
    pub(super) fn after(mut self, done: usize) -> Option<Self> {
        if done == 0 {
            return Some(self);
        }
        if done >= self.len() {
            return None;
        }
        self.arguments.remove_first(done);
        self.first += done;
        self.deaths = 0;
        Some(self)
    }

    /// Divides it: returns the tasks from position `at` on, which is not 0.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        Self {
            entry: self.entry,
            arguments: self.arguments.split_off(at),
            sink: Arc::clone(&self.sink),
            first: self.first + at,
            policy: self.policy,
            deaths: 0,
        }
    }

    /// Delivers the same error for each task.
    pub(super) fn fail(self, error: &TaskError) {
        self.sink.fail(self.first, self.len(), error);
    }
}
