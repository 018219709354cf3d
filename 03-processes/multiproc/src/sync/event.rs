//! Events: a flag that processes set and wait for.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use super::object::{Object, check_fork, impl_handle};
use crate::shm::futex;
use crate::shm::mapping::shared_struct;
use crate::sys::sync::{Deadline, deadline_after};

shared_struct! {
    struct Header {
        /// Bit 0: it is set. Above: how often it has been cleared.
        word: AtomicU32,
    }
}

const SET: u32 = 1;

/// A flag between processes that one can wait for: Python's `Event`.
///
/// Setting it and waking all that wait is one step of the kernel's, so a process that is killed has
/// done both or nothing.
pub struct Event(Object<Header, ()>);

impl_handle!(Event);

impl Event {
    /// An event that is not set.
    ///
    /// # Errors
    ///
    /// As [`Mutex::new`](super::Mutex::new).
    pub fn new() -> io::Result<Event> {
        Object::new(0, |_| Ok(())).map(Event)
    }

    fn word(&self) -> &AtomicU32 {
        &self.0.header().word
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.word().load(SeqCst) & SET != 0
    }

    /// Sets it, which ends the waiting of all.
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn set(&self) {
        check_fork();
        if !self.is_set() {
            futex::set_and_wake(self.word(), SET, i32::MAX);
        }
    }

    /// Clears it. Those that waited when it was set return all the same.
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn clear(&self) {
        check_fork();
        let clear = |word: u32| (word & SET != 0).then(|| word.wrapping_add(1));
        let _ = self.word().fetch_update(SeqCst, SeqCst, clear);
    }

    /// Waits until it is set.
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn wait(&self) {
        self.wait_until(None);
    }

    /// Waits until it is set, at most `timeout`; whether it has been set.
    ///
    /// # Panics
    ///
    /// In a fork.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(deadline_after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> bool {
        check_fork();
        let seen = self.word().load(SeqCst);
        loop {
            let now = self.word().load(SeqCst);
            // Another number: it has been set in between, and perhaps cleared.
            if now & SET != 0 || now != seen {
                return true;
            }
            if futex::is_past(deadline) {
                return false;
            }
            futex::wait(self.word(), seen, deadline);
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish()
    }
}
