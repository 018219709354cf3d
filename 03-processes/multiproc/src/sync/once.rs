//! A function that is run once, by one of several processes.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use super::object::{Object, check_fork, impl_handle};
use crate::shm::mapping::shared_struct;
use crate::shm::robust::RobustMutex;
use crate::sys::failpoint::failpoint;

shared_struct! {
    struct Header {
        lock: RobustMutex,
        done: AtomicU32,
    }
}

/// Something that one process of many does, once, before any of them goes on.
///
/// If the one that does it panics or is killed, the next one does it, from the beginning: a
/// function that changes something outside must be one that can be done again.
pub struct Once(Object<Header, ()>);

impl_handle!(Once);

impl Once {
    /// One that has not been done.
    ///
    /// # Errors
    ///
    /// As [`Mutex::new`](super::Mutex::new).
    pub fn new() -> io::Result<Once> {
        Object::new(0, |object: &Object<Header, ()>| object.header().lock.initialize()).map(Once)
    }

    /// Calls `function` unless it has been done, here or elsewhere; while another process or thread
    /// does it, waits for that. When this returns, it has been done, and what was done happens
    /// before what follows.
    ///
    /// # Panics
    ///
    /// If `function` does, and in a fork. A `function` that calls this again waits forever.
    pub fn call_once(&self, function: impl FnOnce()) {
        check_fork();
        let header = self.0.header();
        if header.done.load(Ordering::Acquire) != 0 {
            return;
        }
        let _lock = header.lock.lock();
        if header.done.load(Ordering::Relaxed) == 0 {
            failpoint("once: begun");
            function();
            header.done.store(1, Ordering::Release);
            failpoint("once: done");
        }
    }

    /// Whether it has been done.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.0.header().done.load(Ordering::Acquire) != 0
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("is_completed", &self.is_completed()).finish()
    }
}
