//! Offering, claiming and reclaiming whole batches.
//!
//! One word per batch decides. The pool offers the batch by storing its sequence number. Then the
//! worker adds [`CLAIMED`] to it, or the pool replaces it by 0, both by compare-and-swap.

use crate::shm::atomic::{AtomicU64, Ordering};

use super::memory::{Claims, MAX_SPAN};

const CLAIMED: u64 = 1 << 63;

impl Claims {
    fn claim_word(&self, seq: u64) -> &AtomicU64 {
        &self.words().claims[seq as usize % MAX_SPAN]
    }

    /// The pool: the worker may claim batch `seq` (from 1 on).
    pub(in crate::pool) fn offer(&self, seq: u64) {
        self.claim_word(seq).store(seq, Ordering::Release);
    }

    /// The worker: receives the batch and claims it; false if it was reclaimed.
    pub(super) fn claim(&self, seq: u64) -> bool {
        self.words().received.store(seq, Ordering::Relaxed);
        self.claim_word(seq)
            .compare_exchange(seq, seq | CLAIMED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// The pool: reclaims the batch; false if the worker has claimed it.
    pub(in crate::pool) fn reclaim(&self, seq: u64) -> bool {
        self.claim_word(seq).compare_exchange(seq, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The pool: whether the worker has not claimed the batch, and still may.
    pub(in crate::pool) fn is_offered(&self, seq: u64) -> bool {
        self.claim_word(seq).load(Ordering::Acquire) == seq
    }

    /// The pool: the sequence number of the latest batch that the worker has received.
    pub(in crate::pool) fn received(&self) -> u64 {
        self.words().received.load(Ordering::Relaxed)
    }
}
