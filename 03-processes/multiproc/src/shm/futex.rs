//! Sleeping on a word of shared memory, and waking who sleeps there.
//!
//! A *futex* is a 32-bit word that several processes map. [`wait`] sleeps as long as the word has the value the caller
//! saw; whoever changes the word calls [`wake`]. Nothing is held in the kernel while nobody sleeps.
//!
//! Two things here go beyond the plain pair:
//!
//! - [`add_and_wake`] changes the word *and* wakes in one system call (`FUTEX_WAKE_OP`). A process cannot be killed
//!   between the two, so a change that somebody waits for is never made without its wake.
//! - [`Bell`] is a word many may ring and many may wait for; ringing costs no system call while nobody sleeps, and is such a
//!   single step where somebody does.
//!
//! # Invariants of the `unsafe` code
//!
//! Every system call here gets the address of a live `&AtomicU32`, which is readable, writable and aligned for as long
//! as the reference lives; the kernel touches nothing but that word (and reads a `timespec` on our stack).
//!
//! Source: `futex(2)`; U. Drepper, "Futexes Are Tricky" (2011).
#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Instant;

use nix::errno::Errno;
use nix::libc;

/// Whether a deadline (if there is one) has passed.
pub(crate) fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Sleeps while `word` holds `expected`, until somebody wakes it, or `deadline` (on the monotonic clock; `None` is
/// for ever). May return early, after a signal for instance: callers look again and come back.
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) {
    let timeout = match deadline {
        None => None,
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            Some(libc::timespec {
                tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: left.subsec_nanos().into(),
            })
        }
    };
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `word` is a live, aligned 32-bit word; `timeout` is null or points to a `timespec` that outlives the call.
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

/// An operation of [`change_and_wake`].
#[derive(Clone, Copy)]
enum Change {
    Add = 1,
    Or = 2,
}

/// Adds `addend` (at most 2047) to `word` and wakes one that sleeps on it, as one step.
///
/// The kernel does both before it returns to user mode, and a fatal signal takes effect only there: a process killed
/// at any instruction has done either nothing or both.
pub(crate) fn add_and_wake(word: &AtomicU32, addend: u32) {
    change_and_wake(word, Change::Add, addend, 1);
}

/// Sets `bits` (at most 2047) in `word` and wakes one that sleeps on it, as one step; see [`add_and_wake`].
pub(crate) fn set_and_wake(word: &AtomicU32, bits: u32) {
    change_and_wake(word, Change::Or, bits, 1);
}

/// Changes the word and wakes up to `count` that sleep on it.
fn change_and_wake(word: &AtomicU32, change: Change, operand: u32, count: i32) {
    assert!(operand < 2048, "the kernel takes a signed 12-bit operand");
    // Operation, comparison (0 is EQ), operand, what to compare with. The comparison decides over one more wake, which is
    // not wanted but does no harm: here of a word that was 2047.
    let operation = (change as u32) << 28 | operand << 12 | 2047;
    // What this process wrote before is visible to whoever sees the change.
    fence(Ordering::SeqCst);
    loop {
        // SAFETY: `word` is a live, aligned 32-bit word that this process may write; both addresses are that word.
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
            return;
        }
        match Errno::last() {
            Errno::EINTR | Errno::EAGAIN => {}
            _ => break,
        }
    }
    // A kernel or sandbox without the operation: the same in two steps.
    match change {
        Change::Add => word.fetch_add(operand, Ordering::SeqCst),
        Change::Or => word.fetch_or(operand, Ordering::SeqCst),
    };
    wake(word, count);
}

/// How long to look before sleeping, in pauses of the processor (some 15 to 40 ns each): nothing on one core, where looking
/// only keeps the other away.
pub(crate) fn spins() -> u32 {
    static SPINS: OnceLock<u32> = OnceLock::new();
    *SPINS.get_or_init(|| match std::thread::available_parallelism() {
        Ok(cores) if cores.get() > 1 => 2000,
        _ => 0,
    })
}

/// The pauses before a look, where what is waited for may come at any moment.
pub(crate) const SOON: u32 = 32;

/// Looks for up to `spins` pauses whether `ready` holds; says whether it came to hold.
///
/// The first look comes after `pauses` pauses, each further one after twice as many. Each look takes the cache line away from the one who is
/// to change it, so looking seldom lets that one do several changes in a row.
#[inline]
pub(crate) fn spin_until(spins: u32, pauses: u32, mut ready: impl FnMut() -> bool) -> bool {
    let (mut left, mut next) = (spins, pauses);
    while left > 0 {
        pause(next.min(left));
        if ready() {
            return true;
        }
        left = left.saturating_sub(next);
        next = pauses * 2;
    }
    ready()
}

/// Lets so many pauses of the processor pass.
pub(crate) fn pause(pauses: u32) {
    (0..pauses).for_each(|_| std::hint::spin_loop());
}

/// A word in shared memory to wait for and to ring: "something changed, look again".
///
/// Bit 0 says that somebody may be asleep; the rest counts. Who waits takes a [`ticket`](Bell::ticket), *then* looks
/// whether there is something to do, and sleeps only if the bell has not rung since.
///
/// Why no ring is lost: the waiter sets bit 0, then looks; the ringer makes its change, then looks at bit 0; with a
/// full fence between the two steps on either side, at least one of them sees what the other did. And bit 0 is cleared in the
/// step that wakes: a ringer killed before it leaves the bit to the next one, who wakes in its place. (Two who ring at once
/// may leave the bit set while nobody sleeps, which costs a system call.)
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct Bell(AtomicU32);

/// A bell's state before its holder looked whether there is something to do.
#[derive(Debug, Clone, Copy)]
pub struct Ticket(u32);

impl Bell {
    /// Announces a waiter. What it looks at after this is either up to date or will ring.
    pub(crate) fn ticket(&self) -> Ticket {
        let seen = self.0.fetch_or(1, Ordering::SeqCst) | 1;
        fence(Ordering::SeqCst);
        Ticket(seen)
    }

    /// Sleeps until the bell rings, or has rung since the ticket was taken, or the deadline. May return early.
    pub(crate) fn wait(&self, ticket: Ticket, deadline: Option<Instant>) {
        wait(&self.0, ticket.0, deadline);
    }

    /// Wakes everybody who waits; costs one fence and one load while nobody does.
    #[inline]
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.0.load(Ordering::Relaxed) & 1 != 0 {
            // One more is the next number, with bit 0 clear.
            change_and_wake(&self.0, Change::Add, 1, i32::MAX);
        }
    }
}
