//! How many read locks, permits or places at a barrier each process holds.
//!
//! Each entry is one word: the serial number of a [seat](crate::shm::arena::seats) in the upper
//! half and a count in the lower half. It changes by one atomic store. So a process killed at any
//! instruction has either changed the count or not, and the count of a dead process can be removed.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::shm::arena::seats::{self, SEATS, Seat};
use crate::shm::mapping::Mapping;

const COUNT: u64 = u32::MAX as u64;

/// A table. Entries are added to, and cleared, only under the lock of the object it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Holders<'a>(&'a [AtomicU64; SEATS]);

impl<'a> Holders<'a> {
    pub(super) fn at(memory: &'a Mapping, offset: usize) -> Self {
        Self(memory.get(offset))
    }

    fn entries(self) -> &'a [AtomicU64] {
        &self.0[..seats::count()]
    }

    /// One more for this process. The caller has the object's lock.
    pub(super) fn add(self, own: Seat) {
        let entry = &self.0[own.number];
        if serial(entry.load(Relaxed)) == own.serial {
            entry.fetch_add(1, AcqRel);
        } else {
            entry.store(u64::from(own.serial) << 32 | 1, Release); // it was a dead one's
        }
    }

    /// One less for this process, which has some: also without the lock.
    pub(super) fn remove(self, own: Seat) {
        self.0[own.number].fetch_sub(1, AcqRel);
    }

    /// How many this process has.
    pub(super) fn of(self, own: Seat) -> u64 {
        let word = self.0[own.number].load(Acquire);
        if serial(word) == own.serial { word & COUNT } else { 0 }
    }

    /// How many all have, the dead included.
    pub(super) fn total(self) -> u64 {
        self.entries().iter().map(|entry| entry.load(Acquire) & COUNT).sum()
    }

    /// Takes off what dead processes have; whether there was any. The caller has the lock.
    pub(super) fn reclaim(self) -> bool {
        let mut found = false;
        for (number, entry) in self.entries().iter().enumerate() {
            let word = entry.load(Acquire);
            if word & COUNT != 0 && !seats::is_alive(Seat { number, serial: serial(word) }) {
                entry.store(0, Release);
                found = true;
            }
        }
        found
    }

    /// Whether a dead process has any.
    pub(super) fn has_dead(self) -> bool {
        self.entries().iter().enumerate().any(|(number, entry)| {
            let word = entry.load(Acquire);
            word & COUNT != 0 && !seats::is_alive(Seat { number, serial: serial(word) })
        })
    }

    /// Nobody has any. The caller has the lock, and nobody removes one meanwhile.
    pub(super) fn clear(self) {
        self.entries().iter().for_each(|entry| entry.store(0, Release));
    }
}

fn serial(word: u64) -> u32 {
    (word >> 32) as u32
}
