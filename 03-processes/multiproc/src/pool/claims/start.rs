//! When the worker began the task that it is in: only for batches with a time limit.
//!
//! Two words, of which the first says which task it is, and is 0 while the second one changes. (A
//! sequence lock, as for the [log](super::log_reader).)

use std::time::Duration;

use super::memory::{Claims, LOW};
use crate::shm::atomic::{Ordering, fence};
use crate::sys::clock;

/// The latest task with a time limit that a worker has begun. It may have ended since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) struct Started {
    /// The sequence number of its batch.
    pub(in crate::pool) seq: u64,
    /// Its position in the batch.
    pub(in crate::pool) position: usize,
    /// When it began, by the [clock] of all processes.
    pub(in crate::pool) at: Duration,
}

impl Claims {
    /// The worker: it begins a task.
    pub(super) fn start_task(&self, seq: u64, position: usize) {
        let words = self.words();
        words.started.store(0, Ordering::Relaxed);
        // A reader that sees the new time also sees the 0.
        fence(Ordering::Release);
        words.started_at.store(clock::now().as_nanos() as u64, Ordering::Relaxed);
        words.started.store(seq << 32 | position as u64, Ordering::Release);
    }

    /// The pool: the latest task that the worker has begun in a batch with a time limit. `None` if
    /// there is none, or if the worker is just beginning one.
    pub(in crate::pool) fn started(&self) -> Option<Started> {
        let words = self.words();
        let task = words.started.load(Ordering::Acquire);
        let at = Duration::from_nanos(words.started_at.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let is_whole = task != 0 && words.started.load(Ordering::Relaxed) == task;
        let (seq, position) = (task >> 32, (task & LOW) as usize);
        is_whole.then_some(Started { seq, position, at })
    }
}
