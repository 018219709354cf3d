//! A lock with a condition to wait for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::sys::sync::{Deadline, lock};

/// A value, its lock, and the threads that wait for it to change.
pub(in crate::pool) struct Monitor<T> {
    value: Mutex<T>,
    changed: Condvar,
    /// How many threads wait. It changes while the lock is held.
    waiting: AtomicUsize,
}

impl<T> Monitor<T> {
    pub(in crate::pool) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new(), waiting: AtomicUsize::new(0) }
    }

    pub(in crate::pool) fn lock(&self) -> MutexGuard<'_, T> {
        lock(&self.value)
    }

    /// Wakes the threads that wait. The caller holds the lock, or has just released it.
    pub(in crate::pool) fn notify(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }

    /// Changes the value, and wakes the threads that wait if `is_ready` returns true for it.
    pub(super) fn change(&self, change: impl FnOnce(&mut T), is_ready: impl FnOnce(&T) -> bool) {
        let mut value = self.lock();
        change(&mut value);
        let notifies = is_ready(&value) && self.waiting.load(Ordering::Relaxed) > 0;
        drop(value);
        if notifies {
            self.changed.notify_all();
        }
    }

    /// Waits until `ready` returns something, and returns that; `None` at the deadline.
    pub(in crate::pool) fn wait<R>(
        &self,
        deadline: Deadline,
        mut ready: impl FnMut(&mut T) -> Option<R>,
    ) -> Option<R> {
        let mut value = self.lock();
        loop {
            if let Some(result) = ready(&mut value) {
                return Some(result);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            self.waiting.fetch_add(1, Ordering::Relaxed);
            value = match left {
                None => self.changed.wait(value).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.changed.wait_timeout(value, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
