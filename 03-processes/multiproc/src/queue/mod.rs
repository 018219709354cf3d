//! A queue between processes, for any number of producers and consumers, bounded or unbounded.
//!
//! ```
//! use multiproc::queue::{GetError, PutError, Queue};
//!
//! let queue = Queue::bounded(2)?;
//! queue.put(&"ready".to_string())?;
//! queue.put(&"steady".to_string())?;
//! assert!(matches!(queue.try_put(&"go".to_string()), Err(PutError::Full)));
//! assert_eq!(queue.len(), 2);
//!
//! queue.close();
//! assert_eq!(queue.get()?, "ready");
//! assert_eq!(queue.get()?, "steady");
//! assert!(matches!(queue.get(), Err(GetError::Closed)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! - Items put by one thread come out in the order it put them.
//! - When `put` has returned, the item is in the queue, and stays there when its producer ends or
//!   is killed.
//! - A process killed at any instruction of any operation leaves the queue consistent: its
//!   operation has either taken effect or not. No operation waits for a process that has died. One
//!   death causes a delay: if a process is killed at the moment at which it is woken to take the
//!   queue's lock, and another has taken that lock meanwhile, the other waiters may notice only
//!   when they next poll the lock. They do so after 50 ms, then with exponential back-off, at the
//!   latest after 2 s.
//! - An item is delivered exactly once, with one exception: an item that a consumer had taken when
//!   it was killed is lost with it. An item that it had not yet taken is delivered to another
//!   consumer.
//! - If a value cannot be encoded, `put` returns an error and does not change the queue. If an item
//!   cannot be decoded, `get` returns an error that contains its bytes, and the next `get` returns
//!   the next item.
//!
//! # What is not promised
//!
//! - A process *stopped* (`SIGSTOP`) in the middle of a put or a get makes the others wait until it
//!   goes on or dies.
//! - A queue lives as long as any process holds it. A handle that is encoded and not yet decoded
//!   keeps it too:
//!   - in a queue's item, a manager's item, or bytes that the program makes with a serializer of
//!     its own, until the first decoding or until the process that encoded it ends. When that
//!     process ends first and nobody else holds the queue, decoding fails: [`get`](Queue::get)
//!     returns [`GetError::Gone`]. An item that is dropped with its queue keeps what is in it until
//!     the process that put it ends.
//!   - in a message of a [pipe](crate::ipc::pipe), an argument or a result of a process, until that
//!     is decoded or dropped, even if its sender has ended.
//!   - in a task's argument, until the task has ended, and in its result, until that is fetched or
//!     dropped. (A worker that is killed may take along the queue in a result that the pool has not
//!     received.)
//!
//!   A second decoding of the same bytes works as long as anybody holds the queue. What could not
//!   be put or sent keeps nothing.
//! - A handle's numbers are a name, not a capability: all processes of one tree trust each other.
//! - Items cost memory, shared among all: what is in the queue, rounded up to at most four times
//!   that, and after a burst up to 32 MiB until the queue is dropped. What a burst took beyond that
//!   is given back when a consumer next finds the queue empty and waits.
//!
//! # What it costs
//!
//! A put or a get takes one robust lock and makes one atomic change, and an item's bytes are copied
//! twice. There is no system call unless a process has to sleep or to be woken. `Vec<u8>` and
//! `String` are copied as they are; other types go through `postcard`, which walks a `Vec<u8>`
//! *inside* another type byte by byte: put `serde_bytes::ByteBuf` there.

mod builder;
mod bytes;
mod error;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ipc::codec;
use crate::shm::arena::{Region, RegionId};
use crate::shm::handle;
use crate::shm::transit::{Carrier, Encoding};
use crate::sys::fork;
use crate::sys::hash::fingerprint;
pub use builder::Builder;
use bytes::{ByteQueue, GetFailure, PutFailure, Wait};
pub use error::{GetError, PutError};

/// A handle to a queue in shared memory. See the [module](self) for what it promises.
///
/// Cloning a handle gives another one to the same queue. A handle can be encoded with `serde`: as
/// an argument of a child process, inside an item of another queue, in a task. It works in every
/// process of the tree that [`spawn`](crate::spawn()) makes.
pub struct Queue<T> {
    inner: Arc<ByteQueue>,
    items: PhantomData<fn(T) -> T>,
}

/// Panics when `items` is zero: nothing could ever be put.
#[track_caller]
fn check_capacity(items: usize) {
    assert!(items > 0, "a queue for no items");
}

impl<T> Queue<T> {
    /// A queue that holds at most `items` at once; putting more waits.
    ///
    /// # Errors
    ///
    /// When the system gives no shared memory.
    ///
    /// # Panics
    ///
    /// When `items` is zero.
    pub fn bounded(items: usize) -> io::Result<Queue<T>> {
        check_capacity(items);
        Queue::create(Some(items), None)
    }

    /// A queue that holds any number of items (up to some 32 GiB of them, when putting waits after
    /// all).
    ///
    /// # Errors
    ///
    /// When the system gives no shared memory.
    pub fn unbounded() -> io::Result<Queue<T>> {
        Queue::create(None, None)
    }

    fn create(capacity: Option<usize>, max_item_bytes: Option<u64>) -> io::Result<Queue<T>> {
        let capacity = capacity.map_or(0, |items| items as u64);
        let inner = ByteQueue::create(capacity, max_item_bytes.unwrap_or(u64::MAX))?;
        Ok(Queue { inner: Arc::new(inner), items: PhantomData })
    }

    /// How many items are in the queue: every one whose `put` has returned, and none whose `get`
    /// has. While others put and get, it is the number at some moment during the call.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.inner.len()).unwrap_or(usize::MAX)
    }

    /// Whether there is no item in the queue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.len() == 0
    }

    /// Whether a bounded queue holds as many items as it may.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.inner.is_full()
    }

    /// The most items it holds at once; `None` when unbounded.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        match self.inner.capacity() {
            0 => None,
            items => Some(usize::try_from(items).unwrap_or(usize::MAX)),
        }
    }

    /// Closes the queue for all: putting is an error from now on, getting too once the items in it
    /// are got. All waiting processes are woken. Closing again does nothing.
    pub fn close(&self) {
        // In a fork nothing of the original process is touched.
        if !fork::is_fork() {
            self.inner.close();
        }
    }

    /// Whether the queue has been closed. There may still be items in it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }
}

impl<T: Serialize + 'static> Queue<T> {
    /// Puts an item, waiting for room as long as it takes.
    ///
    /// # Errors
    ///
    /// [`PutError::Closed`], [`TooLarge`](PutError::TooLarge), [`Encode`](PutError::Encode),
    /// [`System`](PutError::System).
    pub fn put(&self, item: &T) -> Result<(), PutError> {
        self.put_waiting(item, Wait::Until(None))
    }

    /// Puts an item if there is room now.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`], and those of [`put`](Self::put).
    pub fn try_put(&self, item: &T) -> Result<(), PutError> {
        self.put_waiting(item, Wait::Not)
    }

    /// Puts an item, waiting for room at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`PutError::TimedOut`], and those of [`put`](Self::put).
    pub fn put_timeout(&self, item: &T, timeout: Duration) -> Result<(), PutError> {
        self.put_waiting(item, Wait::Until(crate::sys::sync::deadline_after(timeout)))
    }

    #[inline]
    fn put_waiting(&self, item: &T, wait: Wait) -> Result<(), PutError> {
        if let Some(bytes) = codec::own_bytes(item) {
            return self.put_bytes(bytes, wait);
        }
        codec::with_buffer(|buffer| {
            let encoding = Encoding::begin(Carrier::Memory);
            codec::encode(item, buffer).map_err(PutError::Encode)?;
            self.put_bytes(buffer, wait)?;
            encoding.passed_on();
            Ok(())
        })
    }

    #[inline]
    fn put_bytes(&self, bytes: &[u8], wait: Wait) -> Result<(), PutError> {
        fork::check().map_err(PutError::System)?;
        let max = self.inner.max_len();
        if bytes.len() as u64 > max {
            return Err(PutError::TooLarge { len: bytes.len(), max });
        }
        self.inner.put(bytes, wait).map_err(|failure| match (failure, wait) {
            (PutFailure::Full, Wait::Not) => PutError::Full,
            (PutFailure::Full, Wait::Until(_)) => PutError::TimedOut,
            (PutFailure::Closed, _) => PutError::Closed,
            (PutFailure::System(error), _) => PutError::System(error),
        })
    }
}

impl<T: DeserializeOwned + 'static> Queue<T> {
    /// Gets the oldest item, waiting for one as long as it takes.
    ///
    /// An item that cannot be decoded is removed as well: if it stayed in the queue, it would be
    /// the oldest item forever, and the items behind it would never be delivered. Its bytes are in
    /// the error.
    ///
    /// # Errors
    ///
    /// [`GetError::Closed`], [`Decode`](GetError::Decode), [`Gone`](GetError::Gone),
    /// [`System`](GetError::System).
    pub fn get(&self) -> Result<T, GetError> {
        self.get_waiting(Wait::Until(None))
    }

    /// Gets the oldest item if there is one now.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`], and those of [`get`](Self::get).
    pub fn try_get(&self) -> Result<T, GetError> {
        self.get_waiting(Wait::Not)
    }

    /// Gets the oldest item, waiting for one at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`GetError::TimedOut`], and those of [`get`](Self::get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.get_waiting(Wait::Until(crate::sys::sync::deadline_after(timeout)))
    }

    #[inline]
    fn get_waiting(&self, wait: Wait) -> Result<T, GetError> {
        fork::check().map_err(GetError::System)?;
        let get = |to: &mut Vec<u8>| {
            self.inner.get(to, wait).map_err(|failure| match (failure, wait) {
                (GetFailure::Empty, Wait::Not) => GetError::Empty,
                (GetFailure::Empty, Wait::Until(_)) => GetError::TimedOut,
                (GetFailure::Closed, _) => GetError::Closed,
                (GetFailure::System(error), _) => GetError::System(error),
            })
        };
        if codec::is_own_bytes::<T>() {
            let mut bytes = Vec::new();
            get(&mut bytes)?;
            return codec::from_own_bytes(bytes).map_err(GetError::Decode);
        }
        codec::with_buffer(|buffer| {
            get(buffer)?;
            handle::forget_gone();
            codec::decode(buffer).map_err(|error| {
                if handle::was_gone() { GetError::Gone } else { GetError::Decode(error) }
            })
        })
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue { inner: Arc::clone(&self.inner), items: PhantomData }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("id", &self.inner.region().id())
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

/// How a handle travels: where the queue is, and what its items are.
#[derive(Serialize, Deserialize)]
struct Wire {
    region: RegionId,
    items: u64,
}

impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let region = handle::export(self.inner.region())?;
        Wire { region, items: fingerprint::<T>() }.serialize(serializer)
    }
}

/// Fails when the queue is gone, or is one of items of another type.
impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Queue<T>, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        if wire.items != fingerprint::<T>() {
            return Err(handle::refused("it holds a queue of items of another type"));
        }
        let region: Region = handle::import(wire.region)?;
        let inner = ByteQueue::at(region).map_err(handle::refused)?;
        Ok(Queue { inner: Arc::new(inner), items: PhantomData })
    }
}
