//! The worker's side of the log: it appends results, and asks after each whether its batch goes on.

use crate::shm::atomic::{Ordering, compiler_fence, fence};

use super::memory::{Claims, LOG, LOW, RESTARTING};
use super::records::{RUN, append_words, head};

/// The worker's handle of the shared pages.
pub(in crate::pool) struct LogWriter {
    claims: Claims,
    epoch: u64,
    /// Words written.
    len: usize,
    /// The batch whose results these are, and the position of the first one.
    batch: u64,
    first: usize,
    /// Results before the run that the log ends with.
    count: usize,
    /// Empty results in that run; 0 if the log ends with another record.
    run: u64,
    /// The batch that is run.
    current: u64,
}

impl LogWriter {
    pub(in crate::pool) fn new(claims: Claims) -> Self {
        Self { claims, epoch: 0, len: 0, batch: 0, first: 0, count: 0, run: 0, current: 0 }
    }

    /// Receives and claims a batch; false if it was reclaimed.
    pub(in crate::pool) fn claim(&mut self, seq: u64) -> bool {
        self.current = seq;
        self.claims.claim(seq)
    }

    /// Whether the batch's next task may be run, after a result was published; false if the pool
    /// has reclaimed it and those behind it.
    #[inline]
    pub(in crate::pool) fn may_go_on(&self) -> bool {
        // The processor may still read the limit before the result is published. The pool's barrier
        // excludes that where it matters.
        compiler_fence(Ordering::SeqCst);
        self.claims.is_unlimited(self.current)
            || self.claims.is_within_limit(self.current, self.end())
    }

    /// Begins the task at this position, in a batch with a time limit. False if the pool has
    /// reclaimed it and those behind it.
    pub(in crate::pool) fn start_task(&self, position: usize) -> bool {
        self.claims.start_task(self.current, position);
        // The result of the task before is published before the limit is read.
        fence(Ordering::SeqCst);
        self.claims.is_unlimited(self.current)
            || self.claims.is_within_limit(self.current, position)
    }

    /// Empties the log, for the results of batch `seq` from position `first` on. That is a new
    /// *epoch*.
    pub(in crate::pool) fn restart(&mut self, seq: u64, first: usize) {
        let words = self.claims.words();
        self.epoch = (self.epoch + 1) & LOW;
        (self.len, self.batch, self.first, self.count, self.run) = (0, seq, first, 0, 0);
        // A reader that sees anything of what is written from here on also sees the new epoch.
        words.log_state.store(self.epoch << 32 | RESTARTING, Ordering::Relaxed);
        fence(Ordering::Release);
        words.log_batch.store(seq, Ordering::Relaxed);
        words.log_first.store(first as u64, Ordering::Relaxed);
        // An empty log, too, says how far its batch is.
        words.log_state.store(self.epoch << 32, Ordering::Release);
    }

    /// Adds a result; false if there is no room for it.
    #[inline]
    pub(in crate::pool) fn push(&mut self, tag: u8, result: &[u8]) -> bool {
        let size = 1 + result.len().div_ceil(8);
        if size > LOG - self.len {
            return false;
        }
        let words = self.claims.words();
        let record = &words.log[self.len..self.len + size];
        record[0].store(head(tag, result.len() as u64), Ordering::Relaxed);
        let (whole, rest) = result.as_chunks::<8>();
        for (word, bytes) in record[1..].iter().zip(whole) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            record[size - 1].store(u64::from_le_bytes(last), Ordering::Relaxed);
        }
        self.len += size;
        self.count += 1 + self.run as usize;
        self.run = 0;
        words.log_state.store(self.epoch << 32 | self.len as u64, Ordering::Release);
        true
    }

    /// Adds an empty result, as functions that return nothing have: a number that counts up.
    /// Returns whether the batch [goes on](Self::may_go_on); `None` if there is no room.
    #[inline]
    pub(in crate::pool) fn push_empty(&mut self) -> Option<bool> {
        if self.run == 0 {
            return self.begin_run().then(|| self.may_go_on());
        }
        self.run += 1;
        // Ordered after what the run's functions have done, as the length is.
        self.claims.words().log[self.len - 1].store(head(RUN, self.run), Ordering::Release);
        Some(self.may_go_on())
    }

    fn begin_run(&mut self) -> bool {
        if self.len == LOG {
            return false;
        }
        let words = self.claims.words();
        words.log[self.len].store(head(RUN, 1), Ordering::Release);
        (self.run, self.len) = (1, self.len + 1);
        words.log_state.store(self.epoch << 32 | self.len as u64, Ordering::Release);
        true
    }

    /// The position after the last result.
    pub(in crate::pool) fn end(&self) -> usize {
        self.first + self.count + self.run as usize
    }

    pub(in crate::pool) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends what is in the log to `bytes`.
    pub(in crate::pool) fn copy_to(&self, bytes: &mut Vec<u8>) {
        append_words(&self.claims.words().log[..self.len], bytes);
    }

    /// The position of the log's first result.
    pub(in crate::pool) fn first(&self) -> usize {
        self.first
    }

    /// The batch whose results the log holds.
    pub(in crate::pool) fn batch(&self) -> u64 {
        self.batch
    }
}
