//! Sleeping on a word of shared memory, and waking those that sleep there.
//!
//! A *futex* is a 32-bit word that several processes map. [`wait`] sleeps as long as the word has
//! the value that the caller saw; a process that changes the word wakes the sleepers. The kernel
//! keeps no state for a word without sleepers.
//!
//! [`add_and_wake`] and [`set_and_wake`] change the word *and* wake in one system call
//! (`FUTEX_WAKE_OP`). A process cannot be killed between the two, so no change is made without its
//! wake-up. (Where the system does not have this call, they are two steps, and if a process is
//! killed between them, the wake-up is lost. Linux has had the call since 2.6.14.)
//!
//! Source: `futex(2)`; U. Drepper, "Futexes Are Tricky" (2011).

use std::time::Instant;

use crate::shm::atomic::{AtomicU32, Ordering, fence};
use crate::sys::futex as sys;
use crate::sys::futex::Change;
use crate::sys::sync::Deadline;

/// Whether a deadline (if there is one) has passed.
pub(crate) fn is_past(deadline: Deadline) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Sleeps while `word` holds `expected`, until somebody wakes it, or `deadline` (on the monotonic
/// clock; `None` is no limit). May return early, for instance after a signal: callers check their
/// condition in a loop.
#[track_caller]
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Deadline) {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if left.is_none_or(|left| !left.is_zero()) {
        sys::wait(word, expected, left);
    }
}

/// Adds `addend` (at most 2047) to `word` and wakes up to `count` that sleep on it, as one step.
///
/// The kernel does both before it returns to user mode, and a fatal signal takes effect only there:
/// a process killed at any instruction has done either nothing or both. What this process wrote
/// before is visible to every process that sees the change.
#[track_caller]
pub(crate) fn add_and_wake(word: &AtomicU32, addend: u32, count: i32) {
    fence(Ordering::SeqCst);
    if !sys::wake_op(word, Change::Add, addend, count) {
        word.fetch_add(addend, Ordering::SeqCst);
        sys::wake(word, count);
    }
}

/// Sets `bits` (at most 2047) in `word` and wakes up to `count` that sleep on it, as one step; see
/// [`add_and_wake`].
#[track_caller]
pub(crate) fn set_and_wake(word: &AtomicU32, bits: u32, count: i32) {
    fence(Ordering::SeqCst);
    if !sys::wake_op(word, Change::Or, bits, count) {
        word.fetch_or(bits, Ordering::SeqCst);
        sys::wake(word, count);
    }
}
