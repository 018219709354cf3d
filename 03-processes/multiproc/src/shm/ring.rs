//! A byte ring between one writer and one reader: the fastest way from one process to another.
//!
//! Messages of any size pass, larger ones than the ring in pieces. No lock, no system call while
//! both are busy; a side that has nothing to do looks for a moment, then sleeps.
//!
//! The protocol: `tail` counts the bytes ever written and only the writer stores it; `head` counts
//! the bytes ever read and only the reader stores it. The writer writes bytes between `tail` and
//! `head + capacity`, then stores the new `tail` (release); the reader loads `tail` (acquire),
//! reads the bytes between `head` and `tail`, then stores the new `head` (release), which the
//! writer loads (acquire) before it writes there again. So no byte is read before it is written,
//! nor written before it is read. Each side keeps the other's counter as it last saw it, and looks
//! again only when that does not suffice, so the cache lines change hands seldom.
//!
//! A side killed at any instruction leaves a counter at its old or new value. What it leaves of a
//! message cut off half-way is for the other side to drop: when a writer is dead, [`Closer::close`]
//! the ring and read what is whole.
//!
//! Source of the scheme: L. Lamport, "Proving the Correctness of Multiprocess Programs" (1977); the
//! cached counters: J. Giacomoni et al., "FastForward for Efficient Pipeline Parallelism" (2008).

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::shm::arena::{self, Region, RegionId};
pub use crate::shm::futex::Ticket;
use crate::shm::futex::{self, Bell};
use crate::shm::mapping::{Line, Mapping, shared_struct};
use crate::sys::fork;

/// Where the bytes begin.
const DATA_AT: usize = 4096;
/// A message begins with its length.
const PREFIX: usize = 8;

shared_struct! {
    struct Header {
        tail: Line<AtomicU64>,
        head: Line<AtomicU64>,
        closed: Line<AtomicU32>,
        data: Line<Bell>,
        space: Line<Bell>,
    }
}

/// Why a message did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingError {
    /// The ring is closed; for the reader: and all that was written whole has been read.
    Closed,
    /// The deadline came first.
    TimedOut,
    /// This process is a fork of the one that has the ring.
    Forked,
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RingError::Closed => "the ring is closed",
            RingError::TimedOut => "timed out",
            RingError::Forked => fork::EXPLANATION,
        })
    }
}

impl std::error::Error for RingError {}

/// A bell that several rings share: one sleeper waits for all of them.
///
/// A dispatcher takes a [`ticket`](Doorbell::ticket), looks at every ring, and if there is nothing
/// to do [`wait`](Doorbell::wait)s with the ticket: whatever rang since then ends the wait at once.
///
/// ```
/// use multiproc::ring::{self, Doorbell};
///
/// let bell = Doorbell::new()?;
/// let (mut one, mut from_one) = ring::create_with(4096, Some(&bell), None)?;
/// let (_two, mut from_two) = ring::create_with(4096, Some(&bell), None)?;
/// let sender = std::thread::spawn(move || one.send(b"done", None));
/// let message = loop {
///     let ticket = bell.ticket();
///     if let Some(message) = from_one.try_recv()?.or(from_two.try_recv()?) {
///         break message.to_vec();
///     }
///     bell.wait(ticket, None);
/// };
/// assert_eq!(message, b"done");
/// sender.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Doorbell {
    region: Region,
    memory: Arc<Mapping>,
}

impl Doorbell {
    /// A new bell.
    ///
    /// # Errors
    ///
    /// When there is no shared memory to be had.
    pub fn new() -> io::Result<Doorbell> {
        Doorbell::at(Region::create(DATA_AT as u64)?)
    }

    fn at(region: Region) -> io::Result<Doorbell> {
        let memory = Arc::new(region.map(0, DATA_AT)?);
        Ok(Doorbell { region, memory })
    }

    fn bell(&self) -> &Bell {
        self.memory.get(0)
    }

    /// Announces that the caller may wait; to be followed by a look at whatever the bell stands
    /// for.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.bell().ticket()
    }

    /// Sleeps until the bell rings, unless it has since `ticket` was taken, or until `deadline`
    /// (`None`: forever). May return for no reason: look, and wait again with a new ticket.
    /// Returns at once in a fork of the process that has the bell.
    pub fn wait(&self, ticket: Ticket, deadline: Option<Instant>) {
        if !fork::is_fork() {
            self.bell().wait(ticket, deadline);
        }
    }

    /// Wakes all who wait. Costs a few nanoseconds while nobody does.
    pub fn ring(&self) {
        if !fork::is_fork() {
            self.bell().ring();
        }
    }
}

/// What both ends hold.
#[derive(Debug, Clone)]
struct Shared {
    region: Region,
    memory: Arc<Mapping>,
    capacity: usize,
    /// Bells to ring instead of the ring's own.
    data: Option<Doorbell>,
    space: Option<Doorbell>,
}

impl Shared {
    fn at(
        region: Region,
        capacity: usize,
        data: Option<Doorbell>,
        space: Option<Doorbell>,
    ) -> io::Result<Shared> {
        let memory = Arc::new(region.map(0, DATA_AT + capacity)?);
        Ok(Shared { region, memory, capacity, data, space })
    }

    #[inline]
    fn header(&self) -> &Header {
        self.memory.get(0)
    }

    #[inline]
    fn data_bell(&self) -> &Bell {
        self.data.as_ref().map_or_else(|| &*self.header().data, Doorbell::bell)
    }

    #[inline]
    fn space_bell(&self) -> &Bell {
        self.space.as_ref().map_or_else(|| &*self.header().space, Doorbell::bell)
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.header().closed.load(Ordering::Acquire) != 0
    }

    fn close(&self) {
        if fork::is_fork() {
            return;
        }
        self.header().closed.store(1, Ordering::Release);
        self.data_bell().ring();
        self.space_bell().ring();
    }

    /// Where the bytes at `position` lie, and how many follow before the ring's end.
    #[inline]
    fn place(&self, position: u64) -> (usize, usize) {
        let offset = position as usize & (self.capacity - 1);
        (DATA_AT + offset, self.capacity - offset)
    }
}

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
/// When there is no shared memory to be had.
pub fn create(capacity: usize) -> io::Result<(Sender, Receiver)> {
    create_with(capacity, None, None)
}

/// As [`create`], with bells of the caller's: `data` is rung when something was written, `space`
/// when something was read, instead of the ring's own.
///
/// # Errors
///
/// When there is no shared memory to be had.
pub fn create_with(
    capacity: usize,
    data: Option<&Doorbell>,
    space: Option<&Doorbell>,
) -> io::Result<(Sender, Receiver)> {
    let capacity =
        capacity.max(4096).checked_next_power_of_two().ok_or(io::ErrorKind::InvalidInput)?;
    let region = Region::create((DATA_AT + capacity) as u64)?;
    let shared = Shared::at(region, capacity, data.cloned(), space.cloned())?;
    Ok((Sender::new(shared.clone()), Receiver::new(shared)))
}

/// The end that sends. There is one.
#[derive(Debug)]
pub struct Sender {
    shared: Shared,
    tail: u64,
    /// The reader's counter when last looked at.
    head_seen: u64,
    /// How much of the message begun is written.
    written: Option<usize>,
}

impl Sender {
    fn new(shared: Shared) -> Sender {
        let header = shared.header();
        let tail = header.tail.load(Ordering::Acquire);
        let head_seen = header.head.load(Ordering::Acquire);
        Sender { shared, tail, head_seen, written: None }
    }

    /// Sends `message`, waiting for room until `deadline` (`None`: as long as it takes).
    ///
    /// # Errors
    ///
    /// [`RingError::Closed`]; [`RingError::TimedOut`], after which a part may be written: call
    /// again with the same message, or close the ring.
    pub fn send(&mut self, message: &[u8], deadline: Option<Instant>) -> Result<(), RingError> {
        loop {
            if self.try_send(message)? {
                return Ok(());
            }
            if self.wait_spinning() {
                continue;
            }
            let ticket = self.shared.space_bell().ticket();
            if self.room() > 0 || self.shared.is_closed() {
                continue;
            }
            if futex::is_past(deadline) {
                return Err(RingError::TimedOut);
            }
            self.shared.space_bell().wait(ticket, deadline);
        }
    }

    fn wait_spinning(&mut self) -> bool {
        futex::spin_until(futex::spins(), futex::SOON, || self.room() > 0)
    }

    /// How many bytes can be written now. A message takes its length, rounded up to a multiple of
    /// 8, and 8 more.
    pub fn room(&mut self) -> usize {
        self.head_seen = self.shared.header().head.load(Ordering::Acquire);
        self.shared.capacity - (self.tail - self.head_seen) as usize
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
        if self.shared.is_closed() {
            return Err(RingError::Closed);
        }
        let start = self.tail;
        let wanted = message.len().next_multiple_of(8) - self.written.unwrap_or(0) + PREFIX;
        let mut room = self.shared.capacity - (self.tail - self.head_seen) as usize;
        if room < wanted {
            room = self.room();
        }
        if self.written.is_none() {
            if room < PREFIX {
                return Ok(false);
            }
            let (at, _) = self.shared.place(self.tail);
            self.shared.memory.get::<AtomicU64>(at).store(message.len() as u64, Ordering::Relaxed);
            self.tail += PREFIX as u64;
            room -= PREFIX;
            self.written = Some(0);
        }
        let mut written = self.written.unwrap_or(0);
        while written < message.len() && room > 0 {
            let (at, until_end) = self.shared.place(self.tail);
            let piece = (message.len() - written).min(until_end).min(room);
            self.shared.memory.write(at, &message[written..written + piece]);
            written += piece;
            let padded = piece.next_multiple_of(8);
            self.tail += padded as u64;
            room -= padded;
        }
        let done = written == message.len();
        self.written = if done { None } else { Some(written) };
        if self.tail != start {
            self.shared.header().tail.store(self.tail, Ordering::Release);
            self.shared.data_bell().ring();
        }
        Ok(done)
    }

    /// Closes the ring: the receiver gets what was sent, then [`RingError::Closed`].
    pub fn close(&self) {
        self.shared.close();
    }

    /// Something to close the ring with from elsewhere.
    #[must_use]
    pub fn closer(&self) -> Closer {
        Closer(self.shared.clone())
    }
}

/// The end that receives. There is one.
#[derive(Debug)]
pub struct Receiver {
    shared: Shared,
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
    fn new(shared: Shared) -> Receiver {
        let header = shared.header();
        let head = header.head.load(Ordering::Acquire);
        let tail_seen = header.tail.load(Ordering::Acquire);
        Receiver { shared, head, tail_seen, published: head, missing: None, message: Vec::new() }
    }

    /// The next message, waited for until `deadline` (`None`: as long as it takes).
    ///
    /// # Errors
    ///
    /// [`RingError::Closed`] when the ring is closed and all that was sent whole has been received;
    /// [`RingError::TimedOut`].
    pub fn recv(&mut self, deadline: Option<Instant>) -> Result<&[u8], RingError> {
        self.recv_spinning(futex::spins(), deadline)
    }

    /// As [`recv`](Self::recv), looking for `spins` pauses before it sleeps: few, where somebody
    /// else needs the core to get the next message ready.
    pub(crate) fn recv_spinning(
        &mut self,
        spins: u32,
        deadline: Option<Instant>,
    ) -> Result<&[u8], RingError> {
        loop {
            if self.advance()? {
                return Ok(&self.message);
            }
            if futex::spin_until(spins, futex::SOON, || {
                self.shared.header().tail.load(Ordering::Relaxed) != self.head
            }) {
                continue;
            }
            let ticket = self.shared.data_bell().ticket();
            if self.has_bytes() || self.shared.is_closed() {
                continue;
            }
            if futex::is_past(deadline) {
                return Err(RingError::TimedOut);
            }
            self.shared.data_bell().wait(ticket, deadline);
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
        self.shared.header().tail.load(Ordering::Acquire) != self.head
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
                let closed = self.shared.is_closed();
                self.tail_seen = self.shared.header().tail.load(Ordering::Acquire);
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
                    let (at, _) = self.shared.place(self.head);
                    let len = self.shared.memory.get::<AtomicU64>(at).load(Ordering::Relaxed);
                    self.head += PREFIX as u64;
                    bytes -= PREFIX;
                    usize::try_from(len).expect("the length of a slice")
                }
            };
            let (at, until_end) = self.shared.place(self.head);
            let piece = missing.min(until_end).min(bytes);
            self.shared.memory.read(at, piece, &mut self.message);
            self.head += piece.next_multiple_of(8) as u64;
            let missing = missing - piece;
            self.missing = if missing == 0 { None } else { Some(missing) };
            // In a long message every piece counts, for its writer may be waiting.
            if missing > 0 || self.head - self.published >= self.shared.capacity as u64 / 4 {
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
            self.shared.header().head.store(self.head, Ordering::Release);
            self.shared.space_bell().ring();
        }
    }

    /// Closes the ring: the sender gets [`RingError::Closed`].
    pub fn close(&self) {
        self.shared.close();
    }

    /// Something to close the ring with from elsewhere.
    #[must_use]
    pub fn closer(&self) -> Closer {
        Closer(self.shared.clone())
    }
}

/// Closes a ring from outside, from any thread: when the process at its other end has died, for
/// instance.
#[derive(Debug, Clone)]
pub struct Closer(Shared);

impl Closer {
    /// Closes the ring and wakes both ends.
    pub fn close(&self) {
        self.0.close();
    }
}

/// How an end travels.
#[derive(Serialize, Deserialize)]
struct Wire {
    region: RegionId,
    capacity: u64,
    data: Option<RegionId>,
    space: Option<RegionId>,
}

impl Shared {
    fn export<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bell = |bell: &Option<Doorbell>| {
            bell.as_ref().map(|bell| arena::export(&bell.region)).transpose()
        };
        let wire = Wire {
            region: arena::export(&self.region)?,
            capacity: self.capacity as u64,
            data: bell(&self.data)?,
            space: bell(&self.space)?,
        };
        wire.serialize(serializer)
    }

    fn import<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Shared, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let bell = |id: Option<RegionId>| match id {
            None => Ok(None),
            Some(id) => Doorbell::at(arena::import(id)?).map(Some).map_err(de::Error::custom),
        };
        let capacity =
            usize::try_from(wire.capacity).ok().filter(|capacity| capacity.is_power_of_two());
        let capacity = capacity.ok_or_else(|| de::Error::custom("no capacity of a ring"))?;
        Shared::at(arena::import(wire.region)?, capacity, bell(wire.data)?, bell(wire.space)?)
            .map_err(de::Error::custom)
    }
}

/// Encoding gives the end away: use it in the other process only.
impl Serialize for Sender {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shared.export(serializer)
    }
}

impl<'de> Deserialize<'de> for Sender {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sender, D::Error> {
        Shared::import(deserializer).map(Sender::new)
    }
}

/// Encoding gives the end away: use it in the other process only.
impl Serialize for Receiver {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shared.export(serializer)
    }
}

impl<'de> Deserialize<'de> for Receiver {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Receiver, D::Error> {
        Shared::import(deserializer).map(Receiver::new)
    }
}

impl Serialize for Doorbell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        arena::export(&self.region)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Doorbell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Doorbell, D::Error> {
        Doorbell::at(arena::import(RegionId::deserialize(deserializer)?)?)
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    fn pattern(seed: usize, len: usize) -> Vec<u8> {
        (0..len).map(|at| (seed.wrapping_mul(31) + at) as u8).collect()
    }

    #[test]
    fn messages_of_every_size_pass_in_order() {
        let sizes: Vec<usize> =
            (0..300).chain([4000, 4087, 4088, 4089, 4096, 5000, 100_000, 3 << 20, 0, 1]).collect();
        let (mut sender, mut receiver) = create(4096).unwrap();
        let expected = sizes.clone();
        let writer = thread::spawn(move || {
            for (seed, len) in sizes.into_iter().enumerate() {
                sender.send(&pattern(seed, len), None).unwrap();
            }
            sender.close();
        });
        for (seed, len) in expected.into_iter().enumerate() {
            assert!(
                receiver.recv(None).unwrap() == pattern(seed, len),
                "message {seed} of {len} bytes"
            );
        }
        assert_eq!(receiver.recv(None), Err(RingError::Closed));
        writer.join().unwrap();
    }

    #[test]
    fn a_full_ring_takes_the_rest_of_a_message_later() {
        let (mut sender, mut receiver) = create(4096).unwrap();
        let long = pattern(1, 10_000);
        assert!(!sender.try_send(&long).unwrap());
        assert_eq!(receiver.try_recv().unwrap(), None);
        assert!(!sender.try_send(&long).unwrap());
        assert_eq!(receiver.try_recv().unwrap(), None);
        assert!(sender.try_send(&long).unwrap());
        assert_eq!(receiver.try_recv().unwrap(), Some(&long[..]));
        assert_eq!(receiver.try_recv().unwrap(), None);
    }

    #[test]
    fn time_outs_are_kept() {
        let (mut sender, mut receiver) = create(4096).unwrap();
        let soon = || crate::sys::sync::deadline_after(Duration::from_millis(60));
        let start = Instant::now();
        assert_eq!(receiver.recv(soon()), Err(RingError::TimedOut));
        assert_eq!(sender.send(&[0; 9000], soon()), Err(RingError::TimedOut));
        let took = start.elapsed();
        assert!(
            took >= Duration::from_millis(120) && took < Duration::from_millis(2000),
            "{took:?}"
        );
    }

    #[test]
    fn closing_from_outside_wakes_both_ends() {
        let (mut sender, mut receiver) = create(4096).unwrap();
        let closer = sender.closer();
        sender.try_send(&[0; 9000]).unwrap();
        let (mut empty_sender, mut empty) = create(4096).unwrap();
        let empty_closer = empty.closer();
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(sender.send(&[0; 9000], None), Err(RingError::Closed)));
            scope.spawn(|| assert_eq!(empty.recv(None), Err(RingError::Closed)));
            thread::sleep(Duration::from_millis(30)); // so that both are asleep
            closer.close();
            empty_closer.close();
        });
        assert_eq!(empty_sender.try_send(b"x"), Err(RingError::Closed));
        assert_eq!(
            receiver.recv(None),
            Err(RingError::Closed),
            "a message cut off is not a message"
        );
    }

    #[test]
    fn one_doorbell_serves_several_rings() {
        let bell = Doorbell::new().unwrap();
        let (senders, mut receivers): (Vec<_>, Vec<_>) =
            (0..3).map(|_| create_with(4096, Some(&bell), None).unwrap()).unzip();
        let writers: Vec<_> = senders
            .into_iter()
            .map(|mut sender| {
                thread::spawn(move || {
                    (0..2000u32).for_each(|n| sender.send(&n.to_le_bytes(), None).unwrap())
                })
            })
            .collect();
        let mut next = [0u32; 3];
        while next != [2000; 3] {
            let ticket = bell.ticket();
            let before = next;
            for (receiver, next) in receivers.iter_mut().zip(&mut next) {
                while let Some(message) = receiver.try_recv().unwrap() {
                    assert_eq!(message, next.to_le_bytes());
                    *next += 1;
                }
            }
            if next == before {
                bell.wait(ticket, None);
            }
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    }
}
