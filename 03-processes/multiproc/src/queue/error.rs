//! Why an item is not put, or not got.

use std::error::Error;
use std::fmt;
use std::io;

use crate::ipc::error::{DecodeError, EncodeError};

/// Why an item was not put. The queue is as it was before.
#[derive(Debug)]
#[non_exhaustive]
pub enum PutError {
    /// There is no room now ([`Queue::try_put`](super::Queue::try_put)).
    Full,
    /// There was no room until the time-out ([`Queue::put_timeout`](super::Queue::put_timeout)).
    TimedOut,
    /// The queue has been closed.
    Closed,
    /// The encoded item has more bytes than the queue takes.
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The most the queue takes.
        max: u64,
    },
    /// The item cannot be encoded.
    Encode(EncodeError),
    /// The queue's memory cannot be used: the system maps no more memory, or this process is a fork
    /// of the one that holds the queue.
    System(io::Error),
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PutError::Full => f.write_str("the queue is full"),
            PutError::TimedOut => f.write_str("timed out waiting for space in the queue"),
            PutError::Closed => f.write_str("the queue is closed"),
            PutError::TooLarge { len, max } => {
                write!(f, "the item takes {len} bytes, the queue at most {max}")
            }
            PutError::Encode(error) => {
                write!(f, "the item cannot be encoded: {}", error.reason())
            }
            PutError::System(_) => f.write_str("the queue's memory cannot be used"),
        }
    }
}

impl Error for PutError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            PutError::System(error) => Some(error),
            _ => None,
        }
    }
}

/// Why no item was got.
#[derive(Debug)]
#[non_exhaustive]
pub enum GetError {
    /// There is none now ([`Queue::try_get`](super::Queue::try_get)).
    Empty,
    /// There was none until the time-out ([`Queue::get_timeout`](super::Queue::get_timeout)).
    TimedOut,
    /// The queue has been closed, and all its items have been got.
    Closed,
    /// The item's bytes are not an encoding of the type. The item is removed from the queue, since
    /// otherwise the items behind it would never be delivered. Its bytes are in the error.
    Decode(DecodeError),
    /// The item contains a handle (to a queue, a ring) that was decoded too late: no process holds
    /// the queue or the ring any more.
    Gone,
    /// The queue's memory cannot be used: the system maps no more memory, or this process is a fork
    /// of the one that holds the queue.
    System(io::Error),
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GetError::Empty => "the queue is empty",
            GetError::TimedOut => "timed out waiting for an item of the queue",
            GetError::Closed => "the queue is closed and empty",
            GetError::Decode(error) => {
                return write!(f, "the item cannot be decoded: {}", error.reason());
            }
            GetError::Gone => "the item holds a handle to what no process holds any more",
            GetError::System(_) => "the queue's memory cannot be used",
        })
    }
}

impl Error for GetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            GetError::System(error) => Some(error),
            _ => None,
        }
    }
}
