//! In place of `shm/robust.rs`: a lock that is neither robust nor fast.

use std::io;
use std::marker::PhantomData;
use std::time::Instant;

use super::atomic::{AtomicU32, Ordering};
use super::mapping::shared_struct;
use crate::sys::futex;

shared_struct! {
    pub(crate) struct RobustMutex {
        word: AtomicU32,
    }
}

impl RobustMutex {
    pub(crate) fn initialize(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn lock(&self) -> Guard<'_> {
        self.lock_until(None).expect("without a deadline")
    }

    pub(crate) fn try_lock(&self) -> Option<Guard<'_>> {
        let taken = self.word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok().then(|| Guard { word: &self.word, not_send: PhantomData })
    }

    pub(crate) fn lock_until(&self, _deadline: Option<Instant>) -> Option<Guard<'_>> {
        loop {
            if let Some(guard) = self.try_lock() {
                return Some(guard);
            }
            futex::wait(&self.word, 1, None);
        }
    }
}

pub(crate) struct Guard<'a> {
    word: &'a AtomicU32,
    not_send: PhantomData<*const ()>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // A failed execution has no more threads that wait.
        if !std::thread::panicking() {
            // Not a plain store: its place among the waiters' changes would be unknown to loom.
            self.word.inner().swap(0, Ordering::Release);
            futex::wake(self.word, i32::MAX);
        }
    }
}
