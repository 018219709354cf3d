//! A lock that its holder may take again.
//!
//! # Invariants of the `unsafe` code
//!
//! The value is reached by the thread that holds the lock only, through a `&Cell`, of which there
//! may be several on that thread. Only the holder changes `owner` and `depth`, and `owner`
//! identifies it as long as it holds the lock. No other thread has an equal number, since a seat
//! belongs to one process while it lives, and a thread's number to one thread of its process.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{LockResult, PoisonError};
use std::thread;

use bytemuck::Pod;

use super::object::{Object, VALUE_AT, check_fork, impl_handle};
use crate::shm::mapping::shared_struct;
use crate::shm::robust::{self, RobustMutex};

shared_struct! {
    struct Header {
        lock: RobustMutex,
        poisoned: AtomicU32,
        /// How often the holder has taken it.
        depth: AtomicU32,
        /// The holder: its process's seat above, its thread below. Zero: nobody.
        owner: AtomicU64,
        /// The serial number of the holder's seat.
        serial: AtomicU64,
    }
}

/// A mutex between processes that the thread that holds it may take again: Python's `RLock`.
///
/// The guard dereferences to a [`Cell`], since several guards of one thread reach the value. For
/// the value and for a holder's death the same holds as for a [`Mutex`](super::Mutex).
pub struct ReentrantMutex<T: Pod>(Object<Header, T>);

impl_handle!(ReentrantMutex<T: Pod>);

impl<T: Pod> ReentrantMutex<T> {
    /// A mutex that nobody holds.
    ///
    /// # Errors
    ///
    /// As [`Mutex::new`](super::Mutex::new).
    pub fn new(value: T) -> io::Result<ReentrantMutex<T>> {
        const { assert!(align_of::<T>() <= 4096) };
        let object = Object::new(size_of::<T>(), |object: &Object<Header, T>| {
            object.header().lock.initialize()?;
            // SAFETY: nobody else knows the memory yet.
            unsafe { object.memory().place(VALUE_AT).write(value) };
            Ok(())
        })?;
        Ok(ReentrantMutex(object))
    }

    /// Takes the lock, once more if this thread holds it already.
    ///
    /// # Errors
    ///
    /// A holder has panicked or has been killed; the error has the guard all the same.
    ///
    /// # Panics
    ///
    /// In a fork, and when this thread has taken it four billion times.
    pub fn lock(&self) -> LockResult<ReentrantMutexGuard<'_, T>> {
        check_fork();
        let (header, seat) = (self.0.header(), self.0.seat());
        let me = (seat.number as u64 + 1) << 32 | u64::from(thread_number());
        // If the owner is this thread, it stays so: nobody else can change that meanwhile.
        let is_mine =
            header.owner.load(Relaxed) == me && header.serial.load(Relaxed) == seat.serial.into();
        if is_mine {
            let depth = header.depth.load(Relaxed);
            header.depth.store(depth.checked_add(1).expect("not so often"), Relaxed);
        } else {
            let lock = header.lock.lock();
            if lock.owner_died {
                header.poisoned.store(1, Relaxed);
            }
            // Released by the last guard of this thread, by hand.
            std::mem::forget(lock);
            header.depth.store(1, Relaxed);
            header.serial.store(seat.serial.into(), Relaxed);
            header.owner.store(me, Relaxed);
        }
        let guard = ReentrantMutexGuard {
            mutex: self,
            panicking: thread::panicking(),
            not_send: PhantomData,
        };
        if header.poisoned.load(Relaxed) == 0 { Ok(guard) } else { Err(PoisonError::new(guard)) }
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
}

impl<T: Pod> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReentrantMutex")
            .field("is_poisoned", &self.is_poisoned())
            .finish_non_exhaustive()
    }
}

/// The lock of a [`ReentrantMutex`], held. Dereferences to the value's [`Cell`]; dropping the last
/// one of the thread unlocks.
#[must_use = "if it is dropped at once, the lock is held for no time"]
pub struct ReentrantMutexGuard<'a, T: Pod> {
    mutex: &'a ReentrantMutex<T>,
    panicking: bool,
    not_send: PhantomData<*const ()>,
}

impl<T: Pod> Deref for ReentrantMutexGuard<'_, T> {
    type Target = Cell<T>;

    fn deref(&self) -> &Cell<T> {
        // SAFETY: this thread holds the lock, so by the module's invariants only it reaches the
        // value, always through such a `Cell`, which has the layout of `T`.
        unsafe { self.mutex.0.memory().place::<Cell<T>>(VALUE_AT).as_ref() }
    }
}

impl<T: Pod> Drop for ReentrantMutexGuard<'_, T> {
    fn drop(&mut self) {
        let header = self.mutex.0.header();
        if !self.panicking && thread::panicking() {
            header.poisoned.store(1, Relaxed);
        }
        let depth = header.depth.load(Relaxed) - 1;
        header.depth.store(depth, Relaxed);
        if depth == 0 {
            header.owner.store(0, Relaxed);
            // SAFETY: this thread holds the lock: it took it and forgot that guard.
            drop(unsafe { robust::Guard::held_by_this_thread(&header.lock) });
        }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// The kernel's number of this thread.
fn thread_number() -> u32 {
    thread_local! {
        static NUMBER: u32 = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
    }
    NUMBER.with(|number| *number)
}
