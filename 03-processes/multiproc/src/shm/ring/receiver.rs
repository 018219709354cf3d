//! The end of a ring that receives.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ends::{Closer, Ends, PREFIX};
use super::error::RingError;
use crate::shm::atomic::{AtomicU64, Ordering};
use crate::shm::{futex, spin};
use crate::sys::fork;
use crate::sys::sync::Deadline;

/// The end that receives. There is one.
#[derive(Debug)]
pub struct Receiver {
    ends: Ends,
    head: u64,
    /// The writer's counter when last looked at.
    tail_seen: u64,
    /// The value of `head` the writer knows.
    published: u64,
    /// How much of the message begun is missing.
    missing: Option<usize>,
    message: Vec<u8>,
}

/// A message buffer larger than this is not kept for the next one.
const KEEP: usize = 1 << 20;

impl Receiver {
    pub(super) fn new(ends: Ends) -> Receiver {
        let header = ends.header();
        let head = header.head.load(Ordering::Acquire);
        let tail_seen = header.tail.load(Ordering::Acquire);
        Receiver { ends, head, tail_seen, published: head, missing: None, message: Vec::new() }
    }

    /// The next message, waited for until `deadline` (`None` is no limit; see
    /// [deadlines](crate::ring#deadlines)).
    ///
    /// # Errors
    ///
    /// [`RingError::Closed`] when the ring is closed and all that was sent whole has been received;
    /// [`RingError::TimedOut`].
    pub fn recv(&mut self, deadline: Deadline) -> Result<&[u8], RingError> {
        self.recv_spinning(spin::spins(), deadline)
    }

    /// As [`recv`](Self::recv), looking for `spins` pauses before it sleeps: few, where somebody
    /// else needs the core to get the next message ready.
    pub(crate) fn recv_spinning(
        &mut self,
        spins: u32,
        deadline: Deadline,
    ) -> Result<&[u8], RingError> {
        loop {
            if self.advance()? {
                return Ok(&self.message);
            }
            if spin::spin_until(spins, spin::SOON, || {
                self.ends.header().tail.load(Ordering::Relaxed) != self.head
            }) {
                continue;
            }
            let key = self.ends.data_event().prepare();
            if self.has_bytes() || self.ends.is_closed() {
                continue;
            }
            if futex::is_past(deadline) {
                return Err(RingError::TimedOut);
            }
            self.ends.data_event().wait(key, deadline);
        }
    }

    /// The next message if it is there whole.
    ///
    /// # Errors
    ///
    /// [`RingError::Closed`], as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<&[u8]>, RingError> {
        Ok(if self.advance()? { Some(&self.message) } else { None })
    }

    /// Whether anything has been written that is not yet received: the beginning of a message at
    /// least.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        self.ends.header().tail.load(Ordering::Acquire) != self.head
    }

    /// Reads on; true when `self.message` is a whole message.
    fn advance(&mut self) -> Result<bool, RingError> {
        if fork::is_fork() {
            return Err(RingError::Forked);
        }
        if self.missing.is_none() {
            if self.message.capacity() > KEEP {
                self.message = Vec::new();
            }
            self.message.clear();
        }
        loop {
            let mut bytes = (self.tail_seen - self.head) as usize;
            if bytes == 0 {
                // Closed is looked at first: what was written before is then seen by the second
                // look.
                let closed = self.ends.is_closed();
                self.tail_seen = self.ends.header().tail.load(Ordering::Acquire);
                bytes = (self.tail_seen - self.head) as usize;
                if bytes == 0 {
                    self.publish();
                    return if closed { Err(RingError::Closed) } else { Ok(false) };
                }
            }
            let missing = match self.missing {
                Some(missing) => missing,
                None => {
                    // The writer publishes a length only whole.
                    let (at, _) = self.ends.locate(self.head);
                    let len = self.ends.memory.get::<AtomicU64>(at).load(Ordering::Relaxed);
                    self.head += PREFIX as u64;
                    bytes -= PREFIX;
                    usize::try_from(len).expect("the length of a slice")
                }
            };
            let (at, until_end) = self.ends.locate(self.head);
            let piece = missing.min(until_end).min(bytes);
            self.ends.memory.read(at, piece, &mut self.message);
            self.head += piece.next_multiple_of(8) as u64;
            let missing = missing - piece;
            self.missing = if missing == 0 { None } else { Some(missing) };
            // In a long message every piece counts, for its writer may be waiting.
            if missing > 0 || self.head - self.published >= self.ends.capacity as u64 / 4 {
                self.publish();
            }
            if missing == 0 {
                return Ok(true);
            }
        }
    }

    /// Tells the writer what has been read.
    fn publish(&mut self) {
        if self.published != self.head {
            self.published = self.head;
            self.ends.header().head.store(self.head, Ordering::Release);
            self.ends.space_event().notify_all();
        }
    }

    /// Closes the ring: the sender gets [`RingError::Closed`].
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
impl Serialize for Receiver {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.ends.export(serializer)
    }
}

impl<'de> Deserialize<'de> for Receiver {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Receiver, D::Error> {
        Ends::import(deserializer).map(Receiver::new)
    }
}
