//! A byte ring between one writer and one reader: the fastest way from one process to another.
//!
//! Messages can have any size; one that is larger than the ring passes in pieces. There is no lock,
//! and no system call while both sides are busy. A side that has to wait spins for a moment, then
//! sleeps.
//!
//! The protocol: `tail` counts the bytes ever written and only the writer stores it; `head` counts
//! the bytes ever read and only the reader stores it. The writer writes bytes between `tail` and
//! `head + capacity`, then stores the new `tail` (release); the reader loads `tail` (acquire),
//! reads the bytes between `head` and `tail`, then stores the new `head` (release), which the
//! writer loads (acquire) before it writes there again. So no byte is read before it is written,
//! overwritten before it is read. Each side caches the other's counter, and loads it again only
//! when the cached value does not suffice, so the cache lines seldom move between the two.
//!
//! A side that is killed at any instruction leaves its counter at the old or at the new value. Of a
//! message that was sent in part, the other side drops what has arrived: when the writer is dead,
//! close the ring with [`Closer::close`] and receive the complete messages.
//!
//! # Deadlines
//!
//! [`Sender::send`], [`Receiver::recv`] and [`EventCount::wait`] take a deadline, where the rest of
//! the library takes a time-out. They are called in loops: a wait may end early, and a message that
//! was sent in part is sent again. One deadline limits the whole loop; a time-out would begin anew
//! with each call. `None` is no limit. `Instant::now().checked_add(timeout)` turns a time-out into
//! a deadline, and one that the clock cannot represent into `None`.
//!
//! Source of the scheme: L. Lamport, "Proving the Correctness of Multiprocess Programs" (1977); the
//! cached counters: J. Giacomoni et al., "FastForward for Efficient Pipeline Parallelism" (2008).

use std::io;

use crate::shm::arena::Region;

mod ends;
mod error;
mod receiver;
mod sender;

#[cfg(test)]
mod tests;

pub use crate::shm::event_count::{EventCount, Key};
pub use ends::Closer;
use ends::DATA_AT;
use ends::Ends;
pub use error::RingError;
pub use receiver::Receiver;
pub use sender::Sender;

/// Makes a ring of at least `capacity` bytes (rounded up to a power of two, 4096 at the least): the
/// end that sends and the end that receives. Either can be sent to another process.
///
/// ```
/// use multiproc::ring;
/// let (mut sender, mut receiver) = ring::create(1 << 16)?;
/// sender.send(b"hello", None)?;
/// assert_eq!(receiver.recv(None)?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// When the system gives no shared memory, and in a process [forked](crate::fork) after the first
/// use of the library.
pub fn create(capacity: usize) -> io::Result<(Sender, Receiver)> {
    create_with(capacity, None, None)
}

/// As [`create`], with event counts of the caller's in place of the ring's own: `data` is notified
/// when something was written, `space` when something was read.
///
/// # Errors
///
/// When the system gives no shared memory, and in a process [forked](crate::fork) after the first
/// use of the library.
pub fn create_with(
    capacity: usize,
    data: Option<&EventCount>,
    space: Option<&EventCount>,
) -> io::Result<(Sender, Receiver)> {
    let capacity =
        capacity.max(4096).checked_next_power_of_two().ok_or(io::ErrorKind::InvalidInput)?;
    let region = Region::create((DATA_AT + capacity) as u64)?;
    let ends = Ends::at(region, capacity, data.cloned(), space.cloned())?;
    Ok((Sender::new(ends.clone()), Receiver::new(ends)))
}
