//! Event counts: a process waits until another process has changed something, without a lock.
//!
//! The word and its protocol are in [`word`]. Here is the handle to an event count that several
//! rings, or a program's own structures, share.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::shm::arena::{Region, RegionId};
use crate::shm::handle;
use crate::shm::mapping::Mapping;
use crate::sys::fork;
use crate::sys::sync::Deadline;

pub(crate) mod word;

use word::EventWord;
pub use word::Key;

/// The bytes of its region.
const LEN: usize = 4096;

/// An event count in shared memory. Several rings can share one, so that a process can wait for all
/// of them at once.
///
/// A waiter takes a [key](EventCount::prepare), checks whether there is something to do, and if not
/// [waits](EventCount::wait) with the key: a notification since then ends the wait at once. A
/// process that changes something [notifies](EventCount::notify_all) afterwards; a ring made with
/// [`create_with`](crate::ring::create_with) does so by itself. So no notification is lost. A
/// notifier that is killed has, at any instruction, either notified all waiters or left them to the
/// next notification.
///
/// A clone, and a handle decoded in another process, is the same event count.
///
/// ```
/// use multiproc::ring::{self, EventCount};
///
/// let data = EventCount::new()?;
/// let (mut one, mut from_one) = ring::create_with(4096, Some(&data), None)?;
/// let (_two, mut from_two) = ring::create_with(4096, Some(&data), None)?;
/// let sender = std::thread::spawn(move || one.send(b"done", None));
/// let message = loop {
///     let key = data.prepare();
///     if let Some(message) = from_one.try_recv()?.or(from_two.try_recv()?) {
///         break message.to_vec();
///     }
///     data.wait(key, None);
/// };
/// assert_eq!(message, b"done");
/// sender.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct EventCount {
    region: Region,
    memory: Arc<Mapping>,
}

impl EventCount {
    /// A new event count.
    ///
    /// # Errors
    ///
    /// When the system gives no shared memory, and in a process [forked](crate::fork) after the
    /// first use of the library.
    pub fn new() -> io::Result<EventCount> {
        EventCount::at(Region::create(LEN as u64)?)
    }

    fn at(region: Region) -> io::Result<EventCount> {
        let memory = Arc::new(region.map(0, LEN)?);
        Ok(EventCount { region, memory })
    }

    #[inline]
    pub(crate) fn word(&self) -> &EventWord {
        self.memory.get(0)
    }

    /// Announces that the caller may wait; to be followed by a look at what it waits for.
    #[must_use]
    pub fn prepare(&self) -> Key {
        self.word().prepare()
    }

    /// Sleeps until there is a notification, unless there has been one since `key` was taken, or
    /// until `deadline` (`None` is no limit; see [deadlines](crate::ring#deadlines)). It may return
    /// without a notification: check the condition, and wait again with a new key. In a fork of the
    /// process that has the event count it returns at once.
    pub fn wait(&self, key: Key, deadline: Deadline) {
        if !fork::is_fork() {
            self.word().wait(key, deadline);
        }
    }

    /// Wakes all that wait. Costs a few nanoseconds while nobody does.
    pub fn notify_all(&self) {
        if !fork::is_fork() {
            self.word().notify_all();
        }
    }

    /// The numbers of the event count, for an encoding of something that uses it.
    pub(crate) fn export<E: serde::ser::Error>(&self) -> Result<RegionId, E> {
        handle::export(&self.region)
    }

    /// The event count of the numbers.
    pub(crate) fn import<E: de::Error>(id: RegionId) -> Result<EventCount, E> {
        EventCount::at(handle::import(id)?).map_err(E::custom)
    }
}

impl Serialize for EventCount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.export::<S::Error>()?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EventCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventCount, D::Error> {
        EventCount::import(RegionId::deserialize(deserializer)?)
    }
}
