//! A value that many threads can read at a time, or one can write.
//!
//! A writer holds the lock, a [robust mutex](crate::shm::robust), and waits until there are no
//! readers. A reader holds the lock only while it counts itself. So a waiting writer keeps new
//! readers out, and is not starved by them.
//!
//! # Invariants of the `unsafe` code
//!
//! - The value lies behind the structure and its table, where nothing else is. A write guard exists
//!   only while its thread holds the lock and no read lock is counted, and no read lock can be
//!   counted during that time. A read guard exists only while its read lock is counted. So a value
//!   is never written while another thread reads or writes it.
//! - A reader's count is removed by its own process after its last access, or by another process
//!   after the reader's process has ended.
//! - `T: Plain`: whatever bits a killed writer left there are a value.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{LockResult, PoisonError};
use std::thread;

use bytemuck::Pod;

use super::holders::Holders;
use super::object::{Naps, Object, check_fork, impl_handle, table_at, tables};
use super::plain::{Plain, bytes};
use crate::shm::event_count::word::EventWord;
use crate::shm::mapping::shared_struct;
use crate::shm::robust::{self, RobustMutex};
use crate::sys::failpoint::failpoint;
use crate::sys::fork;

shared_struct! {
    struct Header {
        lock: RobustMutex,
        /// A writer may have changed a part of the value.
        writing: AtomicU32,
        poisoned: AtomicU32,
        /// A reader is gone.
        released: EventWord,
    }
}

/// A lock between processes for many readers or one writer, which owns a value in shared memory.
///
/// As with a [`Mutex`](super::Mutex), the value is [plain](Plain), and when a *writer* has panicked
/// or has been killed, the next holders get a [`PoisonError`]. A reader that is killed leaves
/// nothing behind.
///
/// A clone is another handle to the same lock. A thread that has a read lock must not ask for a
/// second one, since a writer may be waiting in between, nor for a write lock.
pub struct RwLock<T: Plain + ?Sized>(Object<Header, T>);

impl_handle!(RwLock<T: Plain>);

/// Behind the table.
const VALUE_AT: usize = table_at(1);

impl<T: Pod> RwLock<T> {
    /// A lock that nobody holds.
    ///
    /// # Errors
    ///
    /// As [`Mutex::new`](super::Mutex::new).
    pub fn new(value: T) -> io::Result<RwLock<T>> {
        const { assert!(align_of::<T>() <= 4096) };
        let behind = tables(1) + size_of::<T>();
        let object = Object::new(behind, |object: &Object<Header, T>| {
            object.header().lock.initialize()?;
            // SAFETY: nobody else knows the memory yet.
            unsafe { object.memory().place(VALUE_AT).write(value) };
            Ok(())
        })?;
        Ok(RwLock(object))
    }
}

impl<T: Pod> RwLock<[T]> {
    /// A lock that nobody holds, of `len` values that are zero.
    ///
    /// # Errors
    ///
    /// As [`new`](RwLock::new), and when they are too many.
    pub fn zeroed(len: usize) -> io::Result<RwLock<[T]>> {
        const { assert!(align_of::<T>() <= 4096) };
        let behind = bytes::<T>(len).saturating_add(tables(1));
        Object::new(behind, |object: &Object<Header, [T]>| object.header().lock.initialize())
            .map(RwLock)
    }
}

impl<T: Plain + ?Sized> RwLock<T> {
    #[inline]
    fn value(&self) -> NonNull<T> {
        T::place(self.0.memory(), VALUE_AT, self.0.behind().saturating_sub(tables(1)))
    }

    fn readers(&self) -> Holders<'_> {
        Holders::at(self.0.memory(), table_at(0))
    }

    /// Takes the lock itself, and notes whether a writer died with it.
    fn lock(&self) -> robust::Guard<'_> {
        check_fork();
        let header = self.0.header();
        let lock = header.lock.lock();
        if lock.owner_died && header.writing.load(Ordering::Relaxed) != 0 {
            header.poisoned.store(1, Ordering::Relaxed);
            failpoint("rwlock: poisoned");
            header.writing.store(0, Ordering::Relaxed);
        }
        lock
    }

    /// Takes a read lock, waiting until nobody writes or waits to write.
    ///
    /// # Errors
    ///
    /// A writer has panicked or has been killed; the error has the guard all the same.
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        let lock = self.lock();
        failpoint("rwlock: reader has the lock");
        self.readers().add(self.0.seat());
        failpoint("rwlock: reader counted");
        drop(lock);
        self.tell(RwLockReadGuard { lock: self, not_send: PhantomData })
    }

    /// Takes the write lock, waiting until nobody reads or writes.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let lock = self.lock();
        failpoint("rwlock: writer has the lock");
        let header = self.0.header();
        let naps = Naps::until(None);
        loop {
            let key = header.released.prepare();
            if self.readers().total() == 0 {
                break;
            }
            if !self.readers().reclaim() {
                header.released.wait(key, naps.next());
            }
        }
        header.writing.store(1, Ordering::Relaxed);
        // Before any change of the value.
        fence(Ordering::SeqCst);
        failpoint("rwlock: writing");
        self.tell(RwLockWriteGuard {
            lock: self,
            guard: Some(lock),
            panicking: thread::panicking(),
        })
    }

    fn tell<G>(&self, guard: G) -> LockResult<G> {
        if self.is_poisoned() { Err(PoisonError::new(guard)) } else { Ok(guard) }
    }

    /// Whether a writer has panicked or has been killed, as far as a later one has noticed.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.0.header().poisoned.load(Ordering::Relaxed) != 0
    }

    /// The value is right again: later ones are not told any more.
    pub fn clear_poison(&self) {
        check_fork();
        self.0.header().poisoned.store(0, Ordering::Relaxed);
    }
}

impl<T: Plain + ?Sized> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock").field("is_poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

/// A read lock of an [`RwLock`]. Dereferences to the value; dropping it unlocks.
#[must_use = "if it is dropped at once, the lock is held for no time"]
pub struct RwLockReadGuard<'a, T: Plain + ?Sized> {
    lock: &'a RwLock<T>,
    not_send: PhantomData<*const ()>,
}

impl<T: Plain + ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a read lock is counted, so nobody writes, by the module's invariants.
        unsafe { self.lock.value().as_ref() }
    }
}

impl<T: Plain + ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        if fork::is_fork() {
            return; // it is the original's
        }
        self.lock.readers().remove(self.lock.0.seat());
        failpoint("rwlock: reader gone");
        self.lock.0.header().released.notify_all();
    }
}

impl<T: Plain + ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The write lock of an [`RwLock`]. Dereferences to the value; dropping it unlocks.
#[must_use = "if it is dropped at once, the lock is held for no time"]
pub struct RwLockWriteGuard<'a, T: Plain + ?Sized> {
    lock: &'a RwLock<T>,
    /// None while it is being dropped.
    guard: Option<robust::Guard<'a>>,
    panicking: bool,
}

impl<T: Plain + ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this thread has the write lock, by the module's invariants.
        unsafe { self.lock.value().as_ref() }
    }
}

impl<T: Plain + ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { self.lock.value().as_mut() }
    }
}

impl<T: Plain + ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        let header = self.lock.0.header();
        if !self.panicking && thread::panicking() {
            header.poisoned.store(1, Ordering::Relaxed);
        }
        failpoint("rwlock: written");
        header.writing.store(0, Ordering::Release);
        failpoint("rwlock: no longer writing");
        self.guard = None;
    }
}

impl<T: Plain + ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
