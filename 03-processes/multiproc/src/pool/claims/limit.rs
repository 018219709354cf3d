//! Limiting a claimed batch to its first tasks, so that the others do not wait behind a long one.
//!
//! The worker publishes each result in the log and then reads the limit, before it begins the next
//! task. The pool *proposes* a limit, executes a barrier in the worker (`membarrier`), and then
//! reads the log. Therefore either the worker sees the proposal before it begins a task behind the
//! limit, or the pool sees the result of the last task before it. A proposal is decided by one
//! compare-and-swap: the worker confirms it, or the pool confirms or withdraws it, whichever comes
//! first.
//!
//! The barrier spares the worker a fence per task, which would cost more than a short task. (The
//! technique is known as an asymmetric fence; see `membarrier(2)`.) In a batch with a time limit,
//! the worker reads the clock before each task, and executes a fence as well. Such a batch can be
//! limited where there is no `membarrier`.

use crate::shm::atomic::{Ordering, fence};

use super::memory::Claims;
use crate::sys::membarrier;

/// In a limit: the pool has proposed it, and it is undecided.
const PROPOSED: u64 = 1 << 31;

impl Claims {
    /// The worker: makes the pool's barriers reach this process. Without them, a claimed batch is
    /// not divided.
    pub(in crate::pool) fn accept_barriers(&self) {
        if membarrier::accept() {
            self.words().has_barriers.store(1, Ordering::Release);
        }
    }

    /// The pool: limits the batch that the worker is in to its first `keep` tasks; false if the
    /// worker may have begun more. `is_fenced` is whether the worker executes a fence before each
    /// task of this batch.
    pub(in crate::pool) fn limit(&self, seq: u64, keep: usize, is_fenced: bool) -> bool {
        let words = self.words();
        let has_barriers = words.has_barriers.load(Ordering::Acquire) != 0;
        if !(is_fenced || has_barriers) || !(1..PROPOSED).contains(&(keep as u64)) {
            return false;
        }
        let confirmed = seq << 32 | keep as u64;
        words.limit.store(confirmed | PROPOSED, Ordering::SeqCst);
        // From here on, the worker sees the proposal after each result, or this process sees the
        // result.
        let is_seen = if is_fenced {
            fence(Ordering::SeqCst);
            true
        } else {
            membarrier::execute()
        };
        let is_possible = is_seen && self.completed(seq).is_some_and(|completed| completed < keep);
        let decision = if is_possible { confirmed } else { 0 };
        match words.limit.compare_exchange(
            confirmed | PROPOSED,
            decision,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => is_possible,
            // The worker has confirmed it.
            Err(_) => true,
        }
    }

    /// The worker, in batch `seq`: whether there is no limit for the batch. Every limit for it is
    /// at least this number, and those for earlier batches are smaller.
    #[inline]
    pub(super) fn is_unlimited(&self, seq: u64) -> bool {
        self.words().limit.load(Ordering::Relaxed) < seq << 32
    }

    /// The worker, in batch `seq`, where there may be a limit: whether it may run the task at
    /// position `next`. Confirms a proposed limit there.
    #[cold]
    pub(super) fn is_within_limit(&self, seq: u64, next: usize) -> bool {
        let limit = &self.words().limit;
        let next = next as u64;
        loop {
            let word = limit.load(Ordering::Acquire);
            let keep = word & (PROPOSED - 1);
            // Zero is not a limit: a limit allows one task at least.
            if word == 0 || word >> 32 != seq || next < keep {
                return true;
            }
            if word & PROPOSED == 0 {
                return false;
            }
            // One that was passed before it was proposed will be withdrawn.
            if next > keep {
                return true;
            }
            let confirmed = word & !PROPOSED;
            if limit.compare_exchange(word, confirmed, Ordering::AcqRel, Ordering::Acquire).is_ok()
            {
                return false;
            }
        }
    }
}
