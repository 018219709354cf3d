//! The queue of byte strings on which [`Queue`](super::Queue) is built: its protocol in shared
//! memory.
//!
//! # The protocol
//!
//! There are two *sides*, each with a robust lock of its own: producers (*putters*, those that call
//! `put`) share one, and consumers (*getters*) share the other. So a putter and a getter never wait
//! for each other's lock, and between the holders of the two locks the queue is a ring with a
//! single writer and a single reader.
//!
//! Each side publishes a *state*: how many items it has put or got, and the position of the next
//! one. There are two copies of the state; the side's `word` holds a sequence number whose parity
//! selects the valid copy. A put writes the item behind the last one, then the new state into the
//! copy that is not valid, and then takes effect by one atomic change of `word`. A get reads the
//! item, and takes effect in the same way. If a process is killed before this change, its operation
//! has had no effect; if it is killed after it, the operation is complete. The kernel passes its
//! lock to the next waiter, which has nothing to repair.
//!
//! # Sleeping
//!
//! Only the holder of a side's lock waits for the other side (the rest wait for the lock), by
//! setting `WAITING` in the *other* side's word and sleeping on that word. The other side's next
//! change sees the bit in the very word that it changes. It then makes the change by one system
//! call that adds to the word, clears the bit and wakes the sleeper. So a process killed there has
//! either changed nothing or woken the sleeper too. A sleeper that is killed after it was woken
//! held its side's lock, so the kernel wakes the next waiter for that lock, which checks the state
//! first. No wake-up between the sides is lost, and none depends on a time-out. (Among the waiters
//! for one side's lock a wake-up can be lost in one case, which is why they poll; see
//! [`robust`](crate::shm::robust).)
//!
//! # Positions
//!
//! Items lie in *rings* of doubling size, ring `k` in the bytes `FIRST << k .. FIRST << (k + 1)` of
//! a sparse region. A position is an offset in that region, so the ring follows from it. The queue
//! uses the smallest ring at first. A putter that finds no room there writes a marker and continues
//! in a larger ring that no getter can be in; it returns to a small ring when the queue is empty.
//! The memory of a large ring is given back when its last item has been read.
//!
//! Source of the two locks: M. Michael, M. Scott, "Simple, Fast, and Practical Non-Blocking and
//! Blocking Concurrent Queue Algorithms" (1996). The rest is our own.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::shm::arena::Region;
use crate::shm::atomic::{Ordering, fence};
use crate::shm::futex;
use crate::shm::mapping::Mapping;
use crate::shm::robust::{Guard, RobustMutex};
use crate::sys::failpoint::failpoint;
use crate::sys::sync::Deadline;

mod get;
mod layout;
mod position;
mod put;
mod side;

use layout::{CONTROL_LEN, Control};
use position::{MAX_LEN, REGION_LEN, RINGS, size};
use side::CLOSED;
#[cfg(test)]
use side::WAITING;

/// Why bytes could not be put.
#[derive(Debug)]
pub(super) enum PutFailure {
    Full,
    Closed,
    System(io::Error),
}

/// Why no bytes could be got.
#[derive(Debug)]
pub(super) enum GetFailure {
    Empty,
    Closed,
    System(io::Error),
}

/// How long to wait for the other side.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    Not,
    Until(Deadline),
}

/// One process's view of a queue of byte strings.
#[derive(Debug)]
pub(super) struct ByteQueue {
    region: Region,
    control: Mapping,
    rings: [OnceLock<Mapping>; RINGS],
}

impl ByteQueue {
    /// A new queue for at most `capacity` items (zero: any number), each of at most `max_len`
    /// bytes.
    pub(super) fn create(capacity: u64, max_len: u64) -> io::Result<ByteQueue> {
        let queue = ByteQueue::at(Region::create_split(REGION_LEN)?)?;
        let control = queue.control();
        control.put_lock.initialize()?;
        control.get_lock.initialize()?;
        control.settings.capacity.store(capacity, Ordering::Relaxed);
        control.settings.max_len.store(max_len.min(MAX_LEN), Ordering::Relaxed);
        for side in [&*control.put, &*control.get] {
            side.position[0].store(size(0), Ordering::Relaxed);
            side.seen_position.store(size(0), Ordering::Relaxed);
        }
        // A process that learns the region's numbers gets them by a message, after this.
        fence(Ordering::Release);
        Ok(queue)
    }

    /// The queue in `region`.
    pub(super) fn at(region: Region) -> io::Result<ByteQueue> {
        let control = region.map(0, CONTROL_LEN)?;
        Ok(ByteQueue { region, control, rings: Default::default() })
    }

    pub(super) fn region(&self) -> &Region {
        &self.region
    }

    #[inline]
    fn control(&self) -> &Control {
        self.control.get(0)
    }

    /// Zero is unbounded.
    #[inline]
    pub(super) fn capacity(&self) -> u64 {
        self.control().settings.capacity.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn max_len(&self) -> u64 {
        self.control().settings.max_len.load(Ordering::Relaxed)
    }

    pub(super) fn len(&self) -> u64 {
        // In this order the difference is never negative.
        let got = self.control().get.theirs().count;
        let len = self.control().put.theirs().count - got;
        // Gets between the two looks make room for puts: then it is more than there ever were at
        // once.
        if self.capacity() == 0 { len } else { len.min(self.capacity()) }
    }

    /// The bytes of memory it takes.
    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.region.used().unwrap()
    }

    /// How many items were ever put, and got.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.control().put.theirs().count, self.control().get.theirs().count)
    }

    /// Whether a putter has announced that it goes to sleep, and no item has been got since.
    #[cfg(test)]
    pub(super) fn putter_is_waiting(&self) -> bool {
        self.control().get.word.load(Ordering::SeqCst) & WAITING != 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.capacity() != 0 && self.len() >= self.capacity()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.control().put.word.load(Ordering::Acquire) & CLOSED != 0
    }

    #[inline]
    fn ring(&self, ring: usize) -> io::Result<&Mapping> {
        if let Some(mapping) = self.rings[ring].get() {
            return Ok(mapping);
        }
        let mapping = self.region.map(size(ring), size(ring) as usize)?;
        Ok(self.rings[ring].get_or_init(|| mapping))
    }

    /// A side's lock; `None` if it cannot be had by the deadline or, without waiting, while
    /// `hopeless` says there is no use in it.
    #[inline]
    fn side_lock<'a>(
        &self,
        lock: &'a RobustMutex,
        wait: Wait,
        hopeless: impl Fn() -> bool,
    ) -> Option<Guard<'a>> {
        match wait {
            Wait::Until(deadline) => lock.lock_until(deadline),
            Wait::Not => loop {
                if let Some(guard) = lock.try_lock() {
                    return Some(guard);
                }
                if hopeless() {
                    return None;
                }
                // Its holder is at work, for as long as it takes to copy an item.
                if let Some(guard) =
                    lock.lock_until(Some(Instant::now() + Duration::from_millis(1)))
                {
                    return Some(guard);
                }
            },
        }
    }

    /// Closes the queue: what is in it can still be got.
    pub(super) fn close(&self) {
        let control = self.control();
        if self.is_closed() {
            return;
        }
        control.settings.closing.store(1, Ordering::SeqCst);
        failpoint("close: wanted");
        // A putter asleep holds the lock; it does the closing itself.
        futex::set_and_wake(&control.get.word, CLOSED, 1);
        failpoint("close: putter woken");
        let guard = control.put_lock.lock();
        self.finish_closing(&guard);
        failpoint("close: done");
    }

    /// Makes "closed" true. Under the putters' lock, so that no item comes after it.
    fn finish_closing(&self, _: &Guard<'_>) {
        if !self.is_closed() {
            futex::set_and_wake(&self.control().put.word, CLOSED, 1);
        }
    }
}
