//! A point that a fixed number of parties pass together.
//!
//! Under the lock, a party counts itself. The last party begins the next *generation* by one store,
//! and wakes the others. Each process at the barrier is recorded by its
//! [seat](crate::shm::arena::seats), so that its death is noticed.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::holders::Holders;
use super::object::{Naps, Object, check_fork, table_at, tables};
use crate::shm::event_count::word::EventWord;
use crate::shm::mapping::shared_struct;
use crate::shm::robust::RobustMutex;
use crate::sys::failpoint::failpoint;
use crate::sys::fork;
use crate::sys::sync::{Deadline, deadline_after};

shared_struct! {
    struct Header {
        lock: RobustMutex,
        parties: AtomicU64,
        /// How often all parties have come together.
        generation: AtomicU64,
        broken: AtomicU32,
        /// The generation or `broken` has changed.
        changed: EventWord,
    }
}

/// Why a party cannot pass a [`Barrier`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BarrierError {
    /// Another party has died, has left, has waited too long, or has [aborted](Barrier::abort) it.
    Broken,
    /// The others did not come in time, and the barrier is broken by that.
    TimedOut,
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BarrierError::Broken => "the barrier is broken: a party died, left or gave up",
            BarrierError::TimedOut => "timed out waiting for the other parties at the barrier",
        })
    }
}

impl Error for BarrierError {}

/// A barrier between processes, used again and again: Python's `Barrier`.
///
/// A process is *at* the barrier from the moment it decodes a handle or waits for the first time,
/// until it drops its last handle. When a process that is at the barrier ends without dropping its
/// handles, the barrier is *broken*: all that wait, and all that wait later, get an error, until
/// [`reset`](Self::reset). The barrier is also broken when a process leaves while others wait.
///
/// A clone is another handle of the same process, for another thread, for instance.
#[derive(Clone)]
pub struct Barrier(Arc<Inner>);

/// The handles of this process that are clones of each other.
struct Inner {
    object: Object<Header, ()>,
    /// Whether they are counted among those at the barrier.
    is_here: AtomicBool,
}

/// The table of arrivals in this generation.
const ARRIVED: usize = table_at(0);
/// The table of those at the barrier.
const HERE: usize = table_at(1);

impl Barrier {
    /// A barrier for `parties` parties: threads or processes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when there are none; and as [`Mutex::new`](super::Mutex::new).
    pub fn new(parties: usize) -> io::Result<Barrier> {
        if parties == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a barrier without parties"));
        }
        let object = Object::new(tables(2), |object: &Object<Header, ()>| {
            object.header().parties.store(parties as u64, Ordering::Relaxed);
            object.header().lock.initialize()
        })?;
        Ok(Barrier(Arc::new(Inner { object, is_here: AtomicBool::new(false) })))
    }

    /// Waits until all parties are here. For one of them, the *leader*, the result is true.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Broken`].
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn wait(&self) -> Result<bool, BarrierError> {
        self.wait_until(None)
    }

    /// Waits until all parties are here, at most `timeout`. One that gives up breaks the barrier.
    ///
    /// # Errors
    ///
    /// [`BarrierError`].
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, BarrierError> {
        self.wait_until(deadline_after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> Result<bool, BarrierError> {
        check_fork();
        let inner = &*self.0;
        let (header, seat) = (inner.header(), inner.object.seat());
        let lock = header.lock.lock();
        inner.come();
        if inner.is_broken() {
            return Err(BarrierError::Broken);
        }
        failpoint("barrier: here");
        inner.arrived().add(seat);
        failpoint("barrier: arrived");
        let generation = header.generation.load(Ordering::Relaxed);
        if inner.arrived().total() >= header.parties.load(Ordering::Relaxed) {
            inner.arrived().clear();
            failpoint("barrier: arrivals cleared");
            header.generation.store(generation + 1, Ordering::Release);
            failpoint("barrier: next generation");
            header.changed.notify_all();
            return Ok(true);
        }
        drop(lock);
        let naps = Naps::until(deadline);
        let has_passed = || header.generation.load(Ordering::Acquire) != generation;
        loop {
            let key = header.changed.prepare();
            if has_passed() {
                return Ok(false);
            }
            if inner.is_broken() {
                return Err(BarrierError::Broken);
            }
            let lock = header.lock.lock();
            if !has_passed() && !inner.is_broken() {
                if naps.are_over() {
                    inner.break_it();
                    return Err(BarrierError::TimedOut);
                }
                inner.break_if_dead();
            }
            drop(lock);
            if !has_passed() && !inner.is_broken() {
                header.changed.wait(key, naps.next());
            }
        }
    }

    /// Breaks the barrier: all that wait, and all that wait later, get an error.
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn abort(&self) {
        check_fork();
        let _lock = self.0.header().lock.lock();
        self.0.break_it();
    }

    /// Makes a broken barrier whole again, with those that are still at it, and nobody waiting. One
    /// that is not broken is left alone.
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn reset(&self) {
        check_fork();
        let header = self.0.header();
        let _lock = header.lock.lock();
        if self.0.is_broken() {
            self.0.here().reclaim();
            self.0.arrived().clear();
            header.broken.store(0, Ordering::Release);
        }
    }

    /// Whether it is broken, as far as one that waited has noticed.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.0.is_broken()
    }

    /// How many parties it is for.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.0.header().parties.load(Ordering::Relaxed) as usize
    }

    /// How many are waiting at the moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.arrived().total() as usize
    }
}

impl Inner {
    fn header(&self) -> &Header {
        self.object.header()
    }

    fn arrived(&self) -> Holders<'_> {
        Holders::at(self.object.memory(), ARRIVED)
    }

    fn here(&self) -> Holders<'_> {
        Holders::at(self.object.memory(), HERE)
    }

    fn is_broken(&self) -> bool {
        self.header().broken.load(Ordering::Acquire) != 0
    }

    /// Counts this process among those at the barrier. The caller has the lock.
    fn come(&self) {
        // First: the entry of a dead process becomes this one's, if it has that one's seat.
        self.break_if_dead();
        if !self.is_here.swap(true, Ordering::Relaxed) {
            self.here().add(self.object.seat());
        }
    }

    /// The caller has the lock.
    fn break_it(&self) {
        self.header().broken.store(1, Ordering::Release);
        failpoint("barrier: broken");
        self.header().changed.notify_all();
    }

    /// The caller has the lock.
    fn break_if_dead(&self) {
        if self.here().has_dead() {
            self.break_it();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if fork::is_fork() || !*self.is_here.get_mut() {
            return;
        }
        let _lock = self.header().lock.lock();
        // First, so that one killed in between is either at the barrier still or has broken it.
        if self.arrived().total() > 0 && self.here().of(self.object.seat()) == 1 {
            self.break_it();
        }
        failpoint("barrier: leaving");
        self.here().remove(self.object.seat());
        failpoint("barrier: left");
    }
}

impl Serialize for Barrier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.object.serialize(serializer)
    }
}

/// Fails when the barrier is gone.
impl<'de> Deserialize<'de> for Barrier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Object::deserialize(deserializer)?;
        let inner = Inner { object, is_here: AtomicBool::new(false) };
        let lock = inner.header().lock.lock();
        inner.come();
        drop(lock);
        Ok(Barrier(Arc::new(inner)))
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("waiting", &self.waiting())
            .field("is_broken", &self.is_broken())
            .finish()
    }
}
