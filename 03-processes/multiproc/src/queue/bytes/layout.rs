//! What lies in a queue's first page: the settings, the two sides, and their locks.

use crate::shm::atomic::{AtomicU32, AtomicU64};
use crate::shm::mapping::{Line, shared_struct};
use crate::shm::robust::RobustMutex;

/// The bytes of the control page.
pub(super) const CONTROL_LEN: usize = 4096;

shared_struct! {
    pub(super) struct Control {
        settings: Line<QueueSettings>,
        put: Line<Side>,
        get: Line<Side>,
        put_lock: Line<RobustMutex>,
        get_lock: Line<RobustMutex>,
    }
}

shared_struct! {
    /// Written once, or once and at close.
    pub(super) struct QueueSettings {
        /// Zero is unbounded.
        capacity: AtomicU64,
        max_len: AtomicU64,
        /// Somebody wants the queue closed; the next to hold the putters' lock does it.
        closing: AtomicU32,
        unused: AtomicU32,
    }
}

shared_struct! {
    pub(super) struct Side {
        /// Sequence number (from bit 2), `CLOSED`, `WAITING`.
        word: AtomicU32,
        /// How many items the getters found when they last looked. A hint.
        found: AtomicU32,
        /// The state, twice: which counts is the sequence number's parity.
        position: [AtomicU64; 2],
        count: [AtomicU64; 2],
        /// The other side's state as this side's lock holders last saw it: never ahead of it.
        seen_position: AtomicU64,
        seen_count: AtomicU64,
    }
}
