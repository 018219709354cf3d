//! Getting an item, and giving back the memory of large rings.

use super::position::{KEPT, MARKER, PREFIX, advance, footprint, ring_of, size};
use super::side::{CLOSED, State};
use super::{ByteQueue, GetFailure, Wait};
use crate::shm::atomic::{AtomicU64, Ordering};
use crate::shm::robust::Guard;
use crate::shm::{futex, spin};
use crate::sys::failpoint::failpoint;

/// A getter that found fewer items than this when it last looked is close behind the putters; it
/// gives them so many pauses' lead.
const CLOSE: u32 = 32;
const LEAD: u32 = 64;

impl ByteQueue {
    /// Gets the oldest item, appending it to `to`.
    pub(in crate::queue) fn get(&self, to: &mut Vec<u8>, wait: Wait) -> Result<(), GetFailure> {
        let control = self.control();
        let Some(guard) = self.side_lock(&control.get_lock, wait, || self.len() == 0) else {
            return Err(if self.is_closed() && self.len() == 0 {
                GetFailure::Closed
            } else {
                GetFailure::Empty
            });
        };
        failpoint("get: locked");
        if let Ok(()) = self.get_locked(to, wait)? {
            drop(guard);
            failpoint("get: unlocked");
            return Ok(());
        }
        self.get_patiently(guard, to, wait)
    }

    /// Gets under the getters' lock as soon as there is an item.
    #[cold]
    fn get_patiently(
        &self,
        guard: Guard<'_>,
        to: &mut Vec<u8>,
        wait: Wait,
    ) -> Result<(), GetFailure> {
        loop {
            let putters = match self.get_locked(to, Wait::Not)? {
                Ok(()) => {
                    drop(guard);
                    failpoint("get: unlocked");
                    return Ok(());
                }
                Err(putters) => putters,
            };
            // The word that says "closed" also says that no item came before that.
            if putters.word & CLOSED != 0 {
                return Err(GetFailure::Closed);
            }
            match wait {
                Wait::Until(deadline) if !futex::is_past(deadline) => {
                    self.control().put.wait_for_change(
                        putters,
                        1,
                        deadline,
                        |word| word & CLOSED != 0,
                        || self.give_back_if_empty(),
                    );
                }
                _ => return Err(GetFailure::Empty),
            }
        }
    }

    /// Gets under the getters' lock; when there is nothing, the putters' state that says so.
    #[inline]
    fn get_locked(&self, to: &mut Vec<u8>, wait: Wait) -> Result<Result<(), State>, GetFailure> {
        let control = self.control();
        let side = &*control.get;
        let state = side.mine();
        if state.count == side.seen_count.load(Ordering::Relaxed) {
            // Items come, but few at each look, and every look keeps a putter waiting for the line:
            // let some more come.
            let is_close = (2..CLOSE).contains(&side.found.load(Ordering::Relaxed));
            if is_close && matches!(wait, Wait::Until(_)) {
                spin::pause(LEAD.min(spin::spins()));
            }
            let putters = control.put.theirs();
            side.found.store((putters.count - state.count) as u32, Ordering::Relaxed);
            if putters.count == state.count {
                return Ok(Err(putters));
            }
            side.seen_count.store(putters.count, Ordering::Relaxed);
            failpoint("get: seen");
        }

        let mut position = state.position;
        let (memory, size, len) = loop {
            let ring = ring_of(position);
            let memory = self.ring(ring).map_err(GetFailure::System)?;
            let offset = (position - size(ring)) as usize;
            let word = memory.get::<AtomicU64>(offset).load(Ordering::Relaxed);
            if word & MARKER == 0 {
                break (memory, size(ring), word as usize);
            }
            if ring > KEPT {
                self.give_back(ring, position);
                failpoint("get: memory given back");
            }
            failpoint("get: marker followed");
            position = size((word & !MARKER) as usize);
        };
        let at = (advance(position, PREFIX) - size) as usize;
        let until_end = size as usize - at;
        memory.read(at, len.min(until_end), to);
        if len > until_end {
            memory.read(0, len - until_end, to);
        }
        failpoint("get: item read");
        side.commit(state, advance(position, footprint(len)), state.count + 1);
        Ok(Ok(()))
    }

    /// Gives back the memory of a ring whose items are all read, but for the page of the marker at
    /// `marker`: no getter has left the ring yet as far as the state says, so no putter writes
    /// there, and if this one is killed the next must find the marker.
    fn give_back(&self, ring: usize, marker: u64) {
        // If it fails the memory stays in use until the queue comes by again.
        let _ = self.region.discard_around(size(ring), size(ring), marker);
    }

    /// Gives back the memory of a large ring that is empty, unless a putter is at work. The caller
    /// holds the getters' lock.
    fn give_back_if_empty(&self) {
        let control = self.control();
        let mine = control.get.mine();
        let ring = ring_of(mine.position);
        if ring <= KEPT {
            return;
        }
        // With both locks held and no item left, nothing in the ring means anything.
        if let Some(_guard) = control.put_lock.try_lock()
            && control.put.mine().count == mine.count
        {
            let _ = self.region.discard(size(ring), size(ring));
        }
    }
}
