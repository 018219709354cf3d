//! Semaphores: a limited number of permits.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::holders::Holders;
use super::object::{Naps, Object, check_fork, impl_handle, table_at, tables};
use crate::shm::event_count::word::EventWord;
use crate::shm::mapping::shared_struct;
use crate::shm::robust::RobustMutex;
use crate::sys::failpoint::failpoint;
use crate::sys::fork;
use crate::sys::sync::{Deadline, deadline_after};

shared_struct! {
    struct Header {
        lock: RobustMutex,
        permits: AtomicU64,
        released: EventWord,
    }
}

/// A fixed number of permits between processes.
///
/// Each permit belongs to the *process* that acquired it, on any of its threads, and returns when
/// it is dropped there or when that process ends, however it ends. Not promised: an order among
/// those that wait, and that what the process did with the permit is whole.
pub struct Semaphore(Object<Header, ()>);

impl_handle!(Semaphore);

impl Semaphore {
    /// A semaphore with `permits` permits, all of them free.
    ///
    /// # Errors
    ///
    /// As [`Mutex::new`](super::Mutex::new).
    pub fn new(permits: usize) -> io::Result<Semaphore> {
        let object = Object::new(tables(1), |object: &Object<Header, ()>| {
            object.header().permits.store(permits as u64, Relaxed);
            object.header().lock.initialize()
        })?;
        Ok(Semaphore(object))
    }

    fn holders(&self) -> Holders<'_> {
        Holders::at(self.0.memory(), table_at(0))
    }

    /// Acquires a permit, waiting for one as long as it takes.
    ///
    /// # Panics
    ///
    /// In a fork.
    pub fn acquire(&self) -> Permit<'_> {
        self.acquire_until(None).expect("without a deadline there is a permit")
    }

    /// Acquires a permit if one is free. One that a process has died with may count as not free.
    ///
    /// # Panics
    ///
    /// In a fork.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        check_fork();
        let header = self.0.header();
        let _lock = header.lock.lock();
        if self.holders().total() >= header.permits.load(Relaxed) {
            return None;
        }
        failpoint("semaphore: permit found");
        self.holders().add(self.0.seat());
        failpoint("semaphore: acquired");
        Some(Permit { semaphore: self })
    }

    /// Acquires a permit, waiting for one at most `timeout`.
    ///
    /// # Panics
    ///
    /// In a fork.
    #[must_use]
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.acquire_until(deadline_after(timeout))
    }

    fn acquire_until(&self, deadline: Deadline) -> Option<Permit<'_>> {
        let naps = Naps::until(deadline);
        loop {
            let key = self.0.header().released.prepare();
            let permit = self.try_acquire().or_else(|| {
                let lock = self.0.header().lock.lock();
                let found = self.holders().reclaim();
                drop(lock);
                if found {
                    // As many may be free as there are waiters: all look again.
                    self.0.header().released.notify_all();
                    self.try_acquire()
                } else {
                    None
                }
            });
            if permit.is_some() || naps.are_over() {
                return permit;
            }
            self.0.header().released.wait(key, naps.next());
        }
    }

    /// How many permits are free at the moment. What processes have died with may be missing.
    #[must_use]
    pub fn available(&self) -> usize {
        let permits = self.0.header().permits.load(Relaxed);
        permits.saturating_sub(self.holders().total()) as usize
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish_non_exhaustive()
    }
}

/// A permit of a [`Semaphore`]. Dropping it gives it back, on any thread of the process.
#[derive(Debug)]
#[must_use = "if it is dropped at once, it is given back at once"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if fork::is_fork() {
            return; // it is the original's
        }
        let semaphore = &self.semaphore.0;
        self.semaphore.holders().remove(semaphore.seat());
        failpoint("semaphore: released");
        semaphore.header().released.notify_all();
    }
}
