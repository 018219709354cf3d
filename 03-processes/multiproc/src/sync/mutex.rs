//! A value that one thread of all processes can access at a time.
//!
//! The lock is the library's [robust mutex](crate::shm::robust): the kernel knows who holds it.
//!
//! # Invariants of the `unsafe` code
//!
//! - The value lies behind the structure, where nothing else is. It is reached through a
//!   [`MutexGuard`] only, whose process and thread hold the lock, so nobody else reads or writes it
//!   meanwhile; the lock orders one holder's accesses before the next one's.
//! - `T: Plain`: whatever bits a killed holder left there are a value, and all its bytes are
//!   initialized.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{LockResult, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use bytemuck::Pod;

use super::object::{Object, VALUE_AT, check_fork, impl_handle};
use super::plain::{Plain, bytes};
use crate::shm::mapping::shared_struct;
use crate::shm::robust::{self, RobustMutex};
use crate::sys::sync::{Deadline, deadline_after};

shared_struct! {
    struct Header {
        lock: RobustMutex,
        poisoned: AtomicU32,
    }
}

/// A mutex between processes, which owns a value in shared memory.
///
/// The value is [plain](Plain), since a process that is killed may leave it half written; it may be
/// a slice. The next one that takes the lock is then told, by [`PoisonError`], as after a panic of
/// the holder; it repairs the value and calls [`clear_poison`](Self::clear_poison), or goes on all
/// the same.
///
/// A clone is another handle to the same mutex. Each thread may take it once at a time; see
/// [`ReentrantMutex`](super::ReentrantMutex).
pub struct Mutex<T: Plain + ?Sized>(Object<Header, T>);

impl_handle!(Mutex<T: Plain>);

impl<T: Pod> Mutex<T> {
    /// A mutex that nobody holds.
    ///
    /// # Errors
    ///
    /// When the system gives no more memory or mappings, when 4096 processes use this module, and
    /// in a fork.
    pub fn new(value: T) -> io::Result<Mutex<T>> {
        const { assert!(align_of::<T>() <= 4096) };
        let object = Object::new(size_of::<T>(), |object: &Object<Header, T>| {
            object.header().lock.initialize()?;
            // SAFETY: nobody else knows the memory yet.
            unsafe { object.memory().place(VALUE_AT).write(value) };
            Ok(())
        })?;
        Ok(Mutex(object))
    }
}

impl<T: Pod> Mutex<[T]> {
    /// A mutex that nobody holds, of `len` values that are zero.
    ///
    /// # Errors
    ///
    /// As [`new`](Mutex::new), and when they are too many.
    pub fn zeroed(len: usize) -> io::Result<Mutex<[T]>> {
        const { assert!(align_of::<T>() <= 4096) };
        Object::new(bytes::<T>(len), |object: &Object<Header, [T]>| {
            object.header().lock.initialize()
        })
        .map(Mutex)
    }
}

impl<T: Plain + ?Sized> Mutex<T> {
    /// Takes the lock, waiting for it as long as it takes.
    ///
    /// # Errors
    ///
    /// A holder has panicked or has been killed; the error has the guard all the same.
    ///
    /// # Panics
    ///
    /// In a fork.
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        check_fork();
        self.guard(self.0.header().lock.lock())
    }

    /// Takes the lock if nobody holds it.
    ///
    /// # Errors
    ///
    /// Somebody holds it ([`WouldBlock`](TryLockError::WouldBlock)); and as [`lock`](Self::lock).
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError<MutexGuard<'_, T>>> {
        check_fork();
        let guard = self.0.header().lock.try_lock().ok_or(TryLockError::WouldBlock)?;
        Ok(self.guard(guard)?)
    }

    /// Takes the lock, waiting for it at most `timeout`.
    ///
    /// # Errors
    ///
    /// It was held all the time ([`WouldBlock`](TryLockError::WouldBlock)); and as
    /// [`lock`](Self::lock).
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<MutexGuard<'_, T>, TryLockError<MutexGuard<'_, T>>> {
        check_fork();
        let deadline: Deadline = deadline_after(timeout);
        let guard = self.0.header().lock.lock_until(deadline).ok_or(TryLockError::WouldBlock)?;
        Ok(self.guard(guard)?)
    }

    #[inline]
    fn value(&self) -> NonNull<T> {
        T::place(self.0.memory(), VALUE_AT, self.0.behind())
    }

    #[inline]
    fn guard<'a>(&'a self, lock: robust::Guard<'a>) -> LockResult<MutexGuard<'a, T>> {
        let poisoned = &self.0.header().poisoned;
        if lock.owner_died {
            poisoned.store(1, Relaxed);
        }
        let guard = MutexGuard { mutex: self, lock: Some(lock), panicking: thread::panicking() };
        if poisoned.load(Relaxed) == 0 { Ok(guard) } else { Err(PoisonError::new(guard)) }
    }

    /// Whether a holder has panicked or has been killed, as far as a later one has noticed.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.0.header().poisoned.load(Relaxed) != 0
    }

    /// The value is right again: later holders are not told any more.
    pub fn clear_poison(&self) {
        check_fork();
        self.0.header().poisoned.store(0, Relaxed);
    }

    /// Whether both are handles to the same mutex.
    #[must_use]
    pub fn is_same(&self, other: &Mutex<T>) -> bool {
        self.0.is(&other.0)
    }
}

impl<T: Plain + ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("is_poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

/// The lock of a [`Mutex`], held. Dereferences to the value; dropping it unlocks.
#[must_use = "if it is dropped at once, the lock is held for no time"]
pub struct MutexGuard<'a, T: Plain + ?Sized> {
    mutex: &'a Mutex<T>,
    /// None while it is being dropped.
    lock: Option<robust::Guard<'a>>,
    /// Whether the thread was panicking already when it took the lock.
    panicking: bool,
}

impl<'a, T: Plain + ?Sized> MutexGuard<'a, T> {
    /// The mutex that is held.
    pub(super) fn mutex(&self) -> &'a Mutex<T> {
        self.mutex
    }
}

impl<T: Plain + ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock, by the module's invariants; the guard is borrowed.
        unsafe { self.mutex.value().as_ref() }
    }
}

impl<T: Plain + ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { self.mutex.value().as_mut() }
    }
}

impl<T: Plain + ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if !self.panicking && thread::panicking() {
            self.mutex.0.header().poisoned.store(1, Relaxed);
        }
        self.lock = None;
    }
}

impl<T: Plain + ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Plain + ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
