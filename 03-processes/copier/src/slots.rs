//! How far each worker is, told through memory that its death cannot take along.
//!
//! Each parcel under way has a slot. The worker counts there what it has written, for the progress,
//! and marks each file once it stands under its final name. When a parcel is done again because its
//! worker died, what is marked is not done again, and the one file that the dead worker may just
//! have renamed is known.

use std::io;
use std::ops::Index;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use multiproc::shared::Array;
use serde::{Deserialize, Serialize};

/// The words of one parcel under way.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Word {
    /// How often it was begun.
    Attempts,
    /// One bit for each file that stands under its final name.
    DoneLow,
    DoneHigh,
    /// One more than the position of the last file about to be renamed.
    Renaming,
    /// Written so far.
    Files,
    Bytes,
}

/// The words in front of all slots.
const STOP: usize = 0;
/// Worker processes that have begun to wait for parcels, replaced ones included.
const READY: usize = 1;

/// The last position that has a bit. A file with more names has one for all of them from this one
/// on.
pub(super) const LAST: usize = 127;

/// Words for the head, and for each slot: two cache lines, since processors fetch them in pairs.
const PLACE: usize = 16;

/// The slots of one run, in any of its processes.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Slots(Array<AtomicU64>);

/// One parcel under way.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a>(&'a [AtomicU64]);

impl Slots {
    pub(super) fn new(count: usize) -> io::Result<Self> {
        Ok(Self(Array::new((count + 1) * PLACE)?))
    }

    pub(super) fn slot(&self, number: usize) -> Slot<'_> {
        Slot(&self.0[(number + 1) * PLACE..][..PLACE])
    }

    /// Asks all workers to come to an end.
    pub(super) fn stop(&self) {
        self.0[STOP].store(1, Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0[STOP].load(Relaxed) != 0
    }

    /// A worker process is there.
    pub(super) fn is_ready(&self) {
        self.0[READY].fetch_add(1, Relaxed);
    }

    /// How many worker processes have been there.
    pub(super) fn ready(&self) -> usize {
        self.0[READY].load(Relaxed) as usize
    }

    /// Files and bytes under way in all slots.
    pub(super) fn under_way(&self) -> (u64, u64) {
        self.0[PLACE..].chunks(PLACE).map(Slot).fold((0, 0), |(files, bytes), slot| {
            (files + slot[Word::Files].load(Relaxed), bytes + slot[Word::Bytes].load(Relaxed))
        })
    }
}

impl Index<Word> for Slot<'_> {
    type Output = AtomicU64;

    fn index(&self, word: Word) -> &AtomicU64 {
        &self.0[word as usize]
    }
}

// Each slot has one writer at a time, and whoever reads after its death was told of that by the
// kernel: so no ordering is asked for.
impl Slot<'_> {
    /// Before a parcel is given to a worker, and after its result.
    pub(super) fn reset(&self) {
        self.0.iter().for_each(|word| word.store(0, Relaxed));
    }

    /// The worker begins; whether another one has before, and died.
    pub(super) fn begin(&self) -> bool {
        self[Word::Attempts].fetch_add(1, Relaxed) > 0
    }

    /// Whether more than one worker has begun: one has died.
    pub(super) fn is_begun_again(&self) -> bool {
        self[Word::Attempts].load(Relaxed) > 1
    }

    /// Whether any worker has begun.
    pub(super) fn is_begun(&self) -> bool {
        self[Word::Attempts].load(Relaxed) > 0
    }

    fn word(&self, position: usize) -> (&AtomicU64, u64) {
        let position = position.min(LAST);
        let word = if position < 64 { &self[Word::DoneLow] } else { &self[Word::DoneHigh] };
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
        self[Word::Renaming].store(position as u64 + 1, Relaxed);
    }

    /// Whether the file at this position was about to be renamed when the worker died.
    pub(super) fn was_renaming(&self, position: usize) -> bool {
        self[Word::Renaming].load(Relaxed) == position as u64 + 1
    }

    pub(super) fn report(&self, files: u64, bytes: u64) {
        self[Word::Files].store(files, Relaxed);
        self[Word::Bytes].store(bytes, Relaxed);
    }
}
