//! The word of an event count, which lies in shared memory.
//!
//! Bit 0 means that a process may be asleep. The other bits count the notifications that found bit
//! 0 set.
//!
//! Why no notification is lost: the waiter sets bit 0, then checks whether there is something to
//! do. The notifier makes its change, then reads bit 0. With a full fence between the two steps on
//! either side, at least one of the two sees what the other did. Bit 0 is cleared in the same step
//! that wakes the sleepers. So a notifier that is killed before this step leaves the bit set, and
//! the next notifier wakes the sleepers. (Two processes that notify at once may leave the bit set
//! although no process sleeps, which costs one system call.)

use crate::shm::atomic::{AtomicU32, Ordering, fence};
use crate::shm::futex;
use crate::shm::mapping::shared_struct;
use crate::sys::sync::Deadline;

shared_struct! {
    /// An event count in memory that is already shared. Zero is one for which nobody waits.
    pub(crate) struct EventWord {
        word: AtomicU32,
    }
}

/// An event count's state before its holder looked whether there is something to do: by
/// [`EventCount::prepare`](super::EventCount::prepare), for
/// [`EventCount::wait`](super::EventCount::wait).
#[derive(Debug, Clone, Copy)]
pub struct Key(u32);

impl EventWord {
    /// Announces a waiter. What it looks at after this is either up to date or will be notified.
    pub(crate) fn prepare(&self) -> Key {
        let seen = self.word.fetch_or(1, Ordering::SeqCst) | 1;
        fence(Ordering::SeqCst);
        Key(seen)
    }

    /// Sleeps until there is a notification, unless there has been one since the key was taken, or
    /// until the deadline. May return early.
    pub(crate) fn wait(&self, key: Key, deadline: Deadline) {
        futex::wait(&self.word, key.0, deadline);
    }

    /// Wakes all that wait; costs one fence and one load while nobody does.
    #[inline]
    pub(crate) fn notify_all(&self) {
        fence(Ordering::SeqCst);
        if self.word.load(Ordering::Relaxed) & 1 != 0 {
            // One more is the next number, with bit 0 clear.
            futex::add_and_wake(&self.word, 1, i32::MAX);
        }
    }
}
