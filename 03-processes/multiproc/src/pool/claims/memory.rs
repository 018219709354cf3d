//! The pages that the pool and one worker share, and how the worker gets them.

use crate::shm::atomic::AtomicU64;
use std::io;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::shm::arena::{Region, RegionId};
use crate::shm::handle;
use crate::shm::mapping::{Mapping, shared_struct};

/// The sequence numbers of the batches that a worker is assigned at a time differ by less than
/// this.
pub(in crate::pool) const MAX_SPAN: usize = 256;

/// Words of the log: 64 KiB.
pub(super) const LOG: usize = 8192;

/// The lower half of a word.
pub(super) const LOW: u64 = 0xffff_ffff;

/// The log's length while its batch and its first position change.
pub(super) const RESTARTING: u64 = LOW;

shared_struct! {
    /// The shared memory's layout. All zeros is valid: nothing offered, nothing logged.
    pub(super) struct Words {
        /// For each batch, at its sequence number modulo [`MAX_SPAN`]: that number while it is
        /// offered, with `CLAIMED` once it is claimed; 0 if it was reclaimed.
        claims: [AtomicU64; MAX_SPAN],
        /// The sequence number of the latest batch that the worker has received.
        received: AtomicU64,
        /// 1 if the pool's barriers reach the worker.
        has_barriers: AtomicU64,
        /// A batch's sequence number in the upper half; in the lower one, how many of its tasks the
        /// worker may run, and `PROPOSED` while that is undecided.
        limit: AtomicU64,
        /// The latest task with a time limit that the worker has begun: its batch's sequence number
        /// in the upper half, its position in the lower one; 0 while the next word changes.
        started: AtomicU64,
        /// When it began, in nanoseconds.
        started_at: AtomicU64,
        /// The log's epoch in the upper half, its length in words, or
        /// [`RESTARTING`], in the lower one.
        log_state: AtomicU64,
        /// The sequence number of the batch whose results the log holds.
        log_batch: AtomicU64,
        /// The position in that batch of the log's first result.
        log_first: AtomicU64,
        log: [AtomicU64; LOG],
    }
}

const SIZE: usize = size_of::<Words>();

/// The shared pages, in either process.
pub(in crate::pool) struct Claims {
    region: Region,
    memory: Mapping,
}

impl Claims {
    /// New pages: nothing offered, nothing logged.
    pub(in crate::pool) fn new() -> io::Result<Self> {
        Self::map(Region::create(SIZE as u64)?)
    }

    fn map(region: Region) -> io::Result<Self> {
        let memory = region.map(0, SIZE)?;
        Ok(Self { region, memory })
    }

    #[inline]
    pub(super) fn words(&self) -> &Words {
        self.memory.get(0)
    }

    /// Another handle to the same pages.
    pub(in crate::pool) fn try_clone(&self) -> io::Result<Self> {
        Self::map(self.region.clone())
    }
}

impl Serialize for Claims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handle::export(&self.region)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let region = handle::import(RegionId::deserialize(deserializer)?)?;
        Self::map(region).map_err(de::Error::custom)
    }
}
