//! The pool's side of the log: reading it while the worker writes.
//!
//! The worker stores how much there is after each result, and counts the log's *epoch* up when it
//! empties it. The pool may read at any time: it loads epoch and length, copies, loads the epoch
//! again, and drops the copy if the epoch has changed. (This is a sequence lock; H.-J. Boehm, "Can
//! Seqlocks Get Along With Programming Language Memory Models?", 2012.)

use crate::shm::atomic::{Ordering, fence};

use super::memory::{Claims, LOG, LOW, RESTARTING};
use super::records::{Records, append_words};

/// Results read from a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::pool) struct Logged {
    /// The sequence number of their batch.
    pub(in crate::pool) batch: u64,
    /// The position in the batch of the first one.
    pub(in crate::pool) first: usize,
    /// [`Records`].
    pub(in crate::pool) bytes: Vec<u8>,
}

impl Claims {
    /// What is in the worker's log. `None` if there is nothing, or if the worker has just emptied
    /// it (and so has sent what was there).
    pub(in crate::pool) fn read_log(&self) -> Option<Logged> {
        let (epoch, logged) = self.copy_log();
        (!logged.bytes.is_empty() && self.is_in_epoch(epoch)).then_some(logged)
    }

    /// How many results of batch `seq` the worker has published. `None` if the log is not of this
    /// batch, or was just emptied.
    pub(in crate::pool) fn completed(&self, seq: u64) -> Option<usize> {
        let (epoch, logged) = self.copy_log();
        let is_whole = self.is_in_epoch(epoch);
        let count = Records::new(&logged.bytes).count_up_to(usize::MAX);
        (is_whole && logged.batch == seq).then_some(logged.first + count)
    }

    /// The epoch before, and what is there then; to be dropped unless the epoch is still the same.
    fn copy_log(&self) -> (u64, Logged) {
        let words = self.words();
        let state = words.log_state.load(Ordering::Acquire);
        if state & LOW == RESTARTING {
            return (state >> 32, Logged::default());
        }
        let len = (state & LOW) as usize;
        let batch = words.log_batch.load(Ordering::Relaxed);
        let first = words.log_first.load(Ordering::Relaxed) as usize;
        let mut bytes = Vec::new();
        append_words(&words.log[..len.min(LOG)], &mut bytes);
        fence(Ordering::Acquire);
        (state >> 32, Logged { batch, first, bytes })
    }

    fn is_in_epoch(&self, epoch: u64) -> bool {
        self.words().log_state.load(Ordering::Relaxed) >> 32 == epoch
    }
}
