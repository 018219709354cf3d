//! Condition variables: waiting for a change of a value that a mutex guards.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{LockResult, PoisonError};
use std::time::Duration;

use super::mutex::MutexGuard;
use super::object::{Object, check_fork, impl_handle};
use super::plain::Plain;
use crate::shm::futex;
use crate::shm::mapping::shared_struct;
use crate::sys::sync::{Deadline, deadline_after};

shared_struct! {
    struct Header {
        /// How many notifications there have been.
        notified: AtomicU32,
    }
}

/// A condition variable between processes, used with a [`Mutex`](super::Mutex).
///
/// A notification is one system call, so a process that is killed has either notified or not. It
/// wakes *all* waiters. A notification of a single waiter would be lost if that waiter were killed
/// when it was woken. There is no need for one, since each waiter checks its condition again.
pub struct Condvar(Object<Header, ()>);

impl_handle!(Condvar);

impl Condvar {
    /// A condition variable that nobody waits for.
    ///
    /// # Errors
    ///
    /// As [`Mutex::new`](super::Mutex::new).
    pub fn new() -> io::Result<Condvar> {
        Object::new(0, |_| Ok(())).map(Condvar)
    }

    /// Gives the lock up, waits for a notification, and takes the lock again. May return without a
    /// notification: use it in a loop, or [`wait_while`](Self::wait_while).
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock`](super::Mutex::lock), when the lock is taken again.
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn wait<'a, T: Plain + ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> LockResult<MutexGuard<'a, T>> {
        self.wait_until(guard, None)
    }

    /// Waits as long as `condition` holds of the value.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock`](super::Mutex::lock), as soon as the lock is poisoned: also if `condition`
    /// holds.
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn wait_while<'a, T: Plain + ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait_while`](Self::wait_while), at most `timeout`: the flag says whether the condition
    /// still held then.
    ///
    /// # Errors
    ///
    /// As [`wait_while`](Self::wait_while).
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn wait_timeout_while<'a, T: Plain + ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        let deadline = deadline_after(timeout);
        loop {
            if !condition(&mut guard) {
                return Ok((guard, false));
            }
            if futex::is_past(deadline) {
                return Ok((guard, true));
            }
            guard = self
                .wait_until(guard, deadline)
                .map_err(|poisoned| PoisonError::new((poisoned.into_inner(), false)))?;
        }
    }

    fn wait_until<'a, T: Plain + ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Deadline,
    ) -> LockResult<MutexGuard<'a, T>> {
        check_fork();
        let notified = &self.0.header().notified;
        // Under the lock: a notification that follows a later change is another number.
        let seen = notified.load(SeqCst);
        let mutex = guard.mutex();
        drop(guard);
        futex::wait(notified, seen, deadline);
        mutex.lock()
    }

    /// Wakes all that wait. To be called after the change, with or without the lock.
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn notify_all(&self) {
        check_fork();
        futex::add_and_wake(&self.0.header().notified, 1, i32::MAX);
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
