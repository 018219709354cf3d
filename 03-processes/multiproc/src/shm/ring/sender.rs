//! The end of a ring that sends.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ends::{Closer, Ends, PREFIX};
use super::error::RingError;
use crate::shm::atomic::{AtomicU64, Ordering};
use crate::shm::{futex, spin};
use crate::sys::fork;
use crate::sys::sync::Deadline;

/// The end that sends. There is one.
#[derive(Debug)]
pub struct Sender {
    ends: Ends,
    tail: u64,
    /// The reader's counter when last looked at.
    head_seen: u64,
    /// How much of the message begun is written.
    written: Option<usize>,
}

impl Sender {
    pub(super) fn new(ends: Ends) -> Sender {
        let header = ends.header();
        let tail = header.tail.load(Ordering::Acquire);
        let head_seen = header.head.load(Ordering::Acquire);
        Sender { ends, tail, head_seen, written: None }
    }

    /// Sends `message`, waiting for room until `deadline` (`None` is no limit; see
    /// [deadlines](crate::ring#deadlines)).
    ///
    /// # Errors
    ///
    /// [`RingError::Closed`]; [`RingError::TimedOut`], after which a part may be written: call
    /// again with the same message, or close the ring.
    pub fn send(&mut self, message: &[u8], deadline: Deadline) -> Result<(), RingError> {
        loop {
            if self.try_send(message)? {
                return Ok(());
            }
            if self.wait_spinning() {
                continue;
            }
            let key = self.ends.space_event().prepare();
            if self.room() > 0 || self.ends.is_closed() {
                continue;
            }
            if futex::is_past(deadline) {
                return Err(RingError::TimedOut);
            }
            self.ends.space_event().wait(key, deadline);
        }
    }

    fn wait_spinning(&mut self) -> bool {
        spin::spin_until(spin::spins(), spin::SOON, || self.room() > 0)
    }

    /// How many bytes can be written now. A message takes its length, rounded up to a multiple of
    /// 8, and 8 more.
    pub fn room(&mut self) -> usize {
        self.head_seen = self.ends.header().head.load(Ordering::Acquire);
        self.ends.capacity - (self.tail - self.head_seen) as usize
    }

    /// Writes as much of `message` as there is room for; true when that was the rest of it. When
    /// false, call again with the *same* message before sending another.
    ///
    /// # Errors
    ///
    /// [`RingError::Closed`].
    pub fn try_send(&mut self, message: &[u8]) -> Result<bool, RingError> {
        if fork::is_fork() {
            return Err(RingError::Forked);
        }
        if self.ends.is_closed() {
            return Err(RingError::Closed);
        }
        let start = self.tail;
        let wanted = message.len().next_multiple_of(8) - self.written.unwrap_or(0) + PREFIX;
        let mut room = self.ends.capacity - (self.tail - self.head_seen) as usize;
        if room < wanted {
            room = self.room();
        }
        if self.written.is_none() {
            if room < PREFIX {
                return Ok(false);
            }
            let (at, _) = self.ends.locate(self.tail);
            self.ends.memory.get::<AtomicU64>(at).store(message.len() as u64, Ordering::Relaxed);
            self.tail += PREFIX as u64;
            room -= PREFIX;
            self.written = Some(0);
        }
        let mut written = self.written.unwrap_or(0);
        while written < message.len() && room > 0 {
            let (at, until_end) = self.ends.locate(self.tail);
            let piece = (message.len() - written).min(until_end).min(room);
            self.ends.memory.write(at, &message[written..written + piece]);
            written += piece;
            let padded = piece.next_multiple_of(8);
            self.tail += padded as u64;
            room -= padded;
        }
        let done = written == message.len();
        self.written = if done { None } else { Some(written) };
        if self.tail != start {
            self.ends.header().tail.store(self.tail, Ordering::Release);
            self.ends.data_event().notify_all();
        }
        Ok(done)
    }

    /// Closes the ring: the receiver gets what was sent, then [`RingError::Closed`].
    pub fn close(&self) {
        self.ends.close();
    }

    /// Something to close the ring with from elsewhere.
    #[must_use]
    pub fn closer(&self) -> Closer {
        Closer(self.ends.clone())
    }
}

/// Encoding gives the end away: use it in the other process only.
impl Serialize for Sender {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.ends.export(serializer)
    }
}

impl<'de> Deserialize<'de> for Sender {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sender, D::Error> {
        Ends::import(deserializer).map(Sender::new)
    }
}
