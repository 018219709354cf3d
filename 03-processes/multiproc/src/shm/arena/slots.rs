//! Finding a free slot of the directory, and freeing a slot that no process holds.

use std::io;
use std::sync::atomic::Ordering;

use super::directory::{Arena, Local, slot_at};
use super::layout::SLOTS;
use crate::sys::failpoint::failpoint;
use crate::sys::file_lock::Kind;

/// How many slots one creation looks at for one to use again.
const SWEEP: u64 = 16;

impl Arena {
    /// Frees the slot if no process holds it and no handle in flight keeps it. The caller holds the
    /// arena's lock; this process does not hold the slot, or has just given it up, and does not
    /// have its lock afterwards.
    pub(super) fn free_if_unheld(&self, local: &Local, slot: u32) -> io::Result<bool> {
        let entry = self.slot(slot);
        let generation = entry.generation.load(Ordering::Relaxed);
        if generation.is_multiple_of(2) {
            return Ok(true);
        }
        let is_mine = self.lock_byte(slot.into(), Kind::Write, false);
        let freed = match is_mine {
            // From here on no process can take a read lock; one that waits for it will find the
            // generation changed.
            Ok(true) => match self.is_in_flight(local, slot) {
                Ok(false) => {
                    failpoint("free: nobody holds it");
                    entry.generation.store(generation + 1, Ordering::Release);
                    failpoint("free: no longer live");
                    self.punch(slot).map(|()| true)
                }
                other => other.map(|_| false),
            },
            other => other,
        };
        self.lock_byte(slot.into(), Kind::Unlock, false)?;
        freed
    }

    /// Gives up a region that this process holds no longer.
    pub(super) fn release(&self, local: &mut Local, slot: u32) {
        local.held.remove(&slot);
        let _lock = self.header().lock.lock();
        // An error is ignored: a later sweep frees the memory.
        let _ = self.free_if_unheld(local, slot);
    }

    /// A slot to use: free, or held by nobody, or never used. The caller holds the arena's lock.
    pub(super) fn find_slot(&self, local: &Local) -> io::Result<u32> {
        let header = self.header();
        let used = header.slots.load(Ordering::Relaxed).min(SLOTS);
        let mut found = None;
        let look = |found: &mut Option<u32>| -> io::Result<()> {
            let slot = (header.hand.load(Ordering::Relaxed) % used) as u32;
            header.hand.store(u64::from(slot) + 1, Ordering::Relaxed);
            if !local.held.contains_key(&slot) && self.free_if_unheld(local, slot)? {
                *found = Some(slot);
            }
            Ok(())
        };
        // Beyond the first free one, so that regions without a holder are freed soon.
        (0..SWEEP.min(used)).try_for_each(|_| look(&mut found))?;
        if found.is_none() && used < SLOTS {
            self.lengthen(slot_at(used as u32 + 1) as u64)?;
            header.slots.store(used + 1, Ordering::Release);
            found = Some(used as u32);
        }
        for _ in 0..used {
            if found.is_some() {
                break;
            }
            look(&mut found)?;
        }
        let full =
            || io::Error::new(io::ErrorKind::StorageFull, "65536 queues and rings are in use");
        found.ok_or_else(full)
    }
}
