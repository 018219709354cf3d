//! Putting an item.

use super::layout::Side;
use super::position::{KEPT, MARKER, PREFIX, advance, find_room, footprint, ring_of, size};
use super::side::{State, WAITING};
use super::{ByteQueue, PutFailure, Wait};
use crate::shm::atomic::{AtomicU64, Ordering};
use crate::shm::futex;
use crate::shm::robust::Guard;
use crate::sys::failpoint::failpoint;

/// How far ahead of an item, in bytes, the cache lines to write next are asked for.
const AHEAD: usize = 256;
/// A putter that waits for room looks for a quarter of the capacity, but not for more than this.
const ROOM: u64 = 256;

impl ByteQueue {
    /// Puts an item of at most `max_len` bytes.
    pub(in crate::queue) fn put(&self, bytes: &[u8], wait: Wait) -> Result<(), PutFailure> {
        let control = self.control();
        let closing = || control.settings.closing.load(Ordering::SeqCst) != 0;
        if self.is_closed() {
            return Err(PutFailure::Closed);
        }
        let Some(guard) = self.side_lock(&control.put_lock, wait, || {
            // A putter that sleeps for want of room holds the lock: then there is none.
            self.is_full() || control.get.word.load(Ordering::Relaxed) & WAITING != 0
        }) else {
            return Err(PutFailure::Full);
        };
        failpoint("put: locked");
        if !closing()
            && let Ok(()) = self.put_locked(bytes)?
        {
            drop(guard);
            failpoint("put: unlocked");
            return Ok(());
        }
        self.put_patiently(guard, bytes, wait)
    }

    /// Puts under the putters' lock as soon as there is room.
    #[cold]
    fn put_patiently(&self, guard: Guard<'_>, bytes: &[u8], wait: Wait) -> Result<(), PutFailure> {
        let control = self.control();
        let closing = || control.settings.closing.load(Ordering::SeqCst) != 0;
        // As long as much is in the queue, nobody misses an item: so look seldom, and then put
        // many.
        let worth = (self.capacity() / 4).clamp(1, ROOM) as u32;
        loop {
            if closing() {
                self.finish_closing(&guard);
                return Err(PutFailure::Closed);
            }
            let full = match self.put_locked(bytes)? {
                Ok(()) => {
                    drop(guard);
                    failpoint("put: unlocked");
                    return Ok(());
                }
                Err(full) => full,
            };
            match wait {
                Wait::Until(deadline) if !futex::is_past(deadline) => {
                    control.get.wait_for_change(full, worth, deadline, |_| closing(), || {});
                }
                _ => return Err(PutFailure::Full),
            }
        }
    }

    /// Puts under the putters' lock; when there is no room, the getters' state that says so.
    #[inline]
    fn put_locked(&self, bytes: &[u8]) -> Result<Result<(), State>, PutFailure> {
        let control = self.control();
        let side = &*control.put;
        let state = side.mine();
        let capacity = self.capacity();
        let needed = footprint(bytes.len());

        let mut getters = State {
            word: 0,
            position: side.seen_position.load(Ordering::Relaxed),
            count: side.seen_count.load(Ordering::Relaxed),
        };
        // In a large ring always look, to leave it as soon as it is empty.
        let mut fresh = ring_of(state.position) > KEPT;
        if fresh {
            getters = self.look_at_getters(side);
        }
        let place = loop {
            let may_put = capacity == 0 || state.count - getters.count < capacity;
            if may_put && let Some(place) = find_room(state, getters, needed, fresh) {
                break place;
            }
            if fresh {
                return Ok(Err(getters));
            }
            getters = self.look_at_getters(side);
            fresh = true;
        };

        let ring = ring_of(place);
        let memory = self.ring(ring).map_err(PutFailure::System)?;
        let size = size(ring);
        let offset = (place - size) as usize;
        memory.get::<AtomicU64>(offset).store(bytes.len() as u64, Ordering::Relaxed);
        failpoint("put: length written");
        let at = (advance(place, PREFIX) - size) as usize;
        let until_end = size as usize - at;
        if bytes.len() <= until_end {
            memory.write(at, bytes);
        } else {
            let (first, second) = bytes.split_at(until_end);
            memory.write(at, first);
            failpoint("put: first piece written");
            memory.write(0, second);
        }
        failpoint("put: item written");
        // The getters have read there, a round ago: a put to come would wait for the lines.
        let next = offset + AHEAD;
        memory.will_write(next..next + (needed as usize).min(AHEAD));
        if ring != ring_of(state.position) {
            let old = ring_of(state.position);
            let memory = self.ring(old).map_err(PutFailure::System)?;
            let offset = (state.position - self::size(old)) as usize;
            memory.get::<AtomicU64>(offset).store(MARKER | ring as u64, Ordering::Relaxed);
            failpoint("put: marker written");
        }
        side.commit(state, advance(place, needed), state.count + 1);
        Ok(Ok(()))
    }

    /// The getters' state, kept for the next putter.
    fn look_at_getters(&self, side: &Side) -> State {
        let getters = self.control().get.theirs();
        // Either may stay behind the other if this process is killed here: each is a bound of its
        // own.
        side.seen_position.store(getters.position, Ordering::Relaxed);
        failpoint("put: between seen position and count");
        side.seen_count.store(getters.count, Ordering::Relaxed);
        failpoint("put: seen");
        getters
    }
}
