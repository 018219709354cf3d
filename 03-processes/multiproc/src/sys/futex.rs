//! The three futex system calls that the library uses: wait, wake, and change with wake.
//!
//! They are shared ones (without `FUTEX_PRIVATE_FLAG`): the word may lie at different addresses in
//! different processes. What to do with them is in `shm::futex`.
//!
//! # Invariants of the `unsafe` code
//!
//! Every system call here gets the address of a live `&AtomicU32`, which is readable, writable and
//! aligned for as long as the reference lives; the kernel touches nothing but that word (and reads
//! a `timespec` on our stack).
//!
//! Source: `futex(2)`.
#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// An operation of [`wake_op`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Adds the operand.
    Add = 1,
    /// Sets the operand's bits.
    Or = 2,
}

/// Sleeps while `word` holds `expected`, for at most `timeout` (`None`: without a limit). Returns
/// early after a wake-up or a signal.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `word` is a live, aligned 32-bit word; `timeout` is null or points to a `timespec`
    // that outlives the call.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, timeout);
    }
}

/// Wakes up to `count` of those that sleep on `word`.
pub(crate) fn wake(word: &AtomicU32, count: i32) {
    // SAFETY: `word` is a live, aligned 32-bit word; `FUTEX_WAKE` uses its address only.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count);
    }
}

/// Changes `word` by `operand` (at most 2047) and wakes up to `count` that sleep on it, as one step
/// (`FUTEX_WAKE_OP`); false if the system does not have the operation, and nothing was done.
pub(crate) fn wake_op(word: &AtomicU32, change: Change, operand: u32, count: i32) -> bool {
    assert!(operand < 2048, "the kernel takes a signed 12-bit operand");
    // Operation, comparison (0 is EQ), operand, what to compare with. The comparison decides over
    // one more wake-up, which is not wanted but does no harm: here of a word that was 2047.
    let operation = (change as u32) << 28 | operand << 12 | 2047;
    loop {
        // SAFETY: `word` is a live, aligned 32-bit word that this process may write; both addresses
        // are that word.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAKE_OP,
                count,
                0usize,
                word.as_ptr(),
                operation,
            )
        };
        if result >= 0 {
            return true;
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR | libc::EAGAIN) => {}
            _ => return false,
        }
    }
}
