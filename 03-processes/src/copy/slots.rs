//! How far each worker is, told through memory that its death cannot take along.
//!
//! Each parcel under way has a slot. The worker counts there what it has written, for the progress,
//! and marks each file once it stands under its final name. When a parcel is done again because its
//! worker died, what is marked is not done again, and the one file that the dead worker may just
//! have renamed is known.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::arena::{self, Range, RangeId};
use crate::mapping::{Mapping, shared_struct};

shared_struct! {
    /// One parcel under way.
    pub(super) struct Slot {
        /// How often it was begun.
        attempts: AtomicU64,
        /// One bit for each file that stands under its final name.
        done_low: AtomicU64,
        done_high: AtomicU64,
        /// One more than the position of the last file about to be renamed.
        renaming: AtomicU64,
        /// Written so far.
        files: AtomicU64,
        bytes: AtomicU64,
    }
}

shared_struct! {
    struct Head {
        stop: AtomicU64,
        /// Worker processes that have begun to wait for parcels, replaced ones included.
        ready: AtomicU64,
    }
}

/// The last position that has a bit. A file with more names has one for all of them from this one
/// on.
pub(super) const LAST: usize = 127;

/// Bytes for the head, and for each slot: cache lines of its own.
const PLACE: usize = 128;
const _: () = assert!(size_of::<Slot>() <= PLACE && size_of::<Head>() <= PLACE);

/// The slots of one run, in any of its processes.
pub(super) struct Slots {
    range: Range,
    memory: Mapping,
    count: usize,
}

impl Slots {
    pub(super) fn new(count: usize) -> io::Result<Self> {
        Self::map(Range::create(((count + 1) * PLACE) as u64)?, count)
    }

    fn map(range: Range, count: usize) -> io::Result<Self> {
        let memory = range.map(0, (count + 1) * PLACE)?;
        Ok(Self { range, memory, count })
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Self::map(self.range.clone(), self.count)
    }

    pub(super) fn slot(&self, number: usize) -> &Slot {
        assert!(number < self.count);
        self.memory.get((number + 1) * PLACE)
    }

    /// Asks all workers to come to an end.
    pub(super) fn stop(&self) {
        self.memory.get::<Head>(0).stop.store(1, Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.memory.get::<Head>(0).stop.load(Relaxed) != 0
    }

    /// A worker process is there.
    pub(super) fn is_ready(&self) {
        self.memory.get::<Head>(0).ready.fetch_add(1, Relaxed);
    }

    /// How many worker processes have been there.
    pub(super) fn ready(&self) -> usize {
        self.memory.get::<Head>(0).ready.load(Relaxed) as usize
    }

    /// Files and bytes under way in all slots.
    pub(super) fn under_way(&self) -> (u64, u64) {
        let slots = (0..self.count).map(|number| self.slot(number));
        slots.fold((0, 0), |(files, bytes), slot| {
            (files + slot.files.load(Relaxed), bytes + slot.bytes.load(Relaxed))
        })
    }
}

// Each slot has one writer at a time, and whoever reads after its death was told of that by the
// kernel: so no ordering is asked for.
impl Slot {
    /// Before a parcel is given to a worker, and after its result.
    pub(super) fn reset(&self) {
        let all = [&self.attempts, &self.done_low, &self.done_high, &self.renaming];
        all.into_iter().chain([&self.files, &self.bytes]).for_each(|word| word.store(0, Relaxed));
    }

    /// The worker begins; whether another one has before, and died.
    pub(super) fn begin(&self) -> bool {
        self.attempts.fetch_add(1, Relaxed) > 0
    }

    /// Whether more than one worker has begun: one has died.
    pub(super) fn is_begun_again(&self) -> bool {
        self.attempts.load(Relaxed) > 1
    }

    /// Whether any worker has begun.
    pub(super) fn is_begun(&self) -> bool {
        self.attempts.load(Relaxed) > 0
    }

    fn word(&self, position: usize) -> (&AtomicU64, u64) {
        let position = position.min(LAST);
        let word = if position < 64 { &self.done_low } else { &self.done_high };
        (word, 1 << (position % 64))
    }

    pub(super) fn mark_done(&self, position: usize) {
        let (word, bit) = self.word(position);
        word.fetch_or(bit, Relaxed);
    }

    pub(super) fn is_done(&self, position: usize) -> bool {
        let (word, bit) = self.word(position);
        word.load(Relaxed) & bit != 0
    }

    pub(super) fn mark_renaming(&self, position: usize) {
        self.renaming.store(position as u64 + 1, Relaxed);
    }

    /// Whether the file at this position was about to be renamed when the worker died.
    pub(super) fn was_renaming(&self, position: usize) -> bool {
        self.renaming.load(Relaxed) == position as u64 + 1
    }

    pub(super) fn report(&self, files: u64, bytes: u64) {
        self.files.store(files, Relaxed);
        self.bytes.store(bytes, Relaxed);
    }
}

impl Serialize for Slots {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (arena::export(&self.range)?, self.count).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Slots {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (id, count) = <(RangeId, usize)>::deserialize(deserializer)?;
        Self::map(arena::import(id)?, count).map_err(de::Error::custom)
    }
}
