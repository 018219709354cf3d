//! What can go wrong with a manager's queue.

use std::error::Error;
use std::fmt;
use std::io;

use multiproc::encoding::{DecodeError, EncodeError};

/// What can go wrong with a manager's queue.
#[derive(Debug)]
#[non_exhaustive]
pub enum ManagerError {
    /// One side has not proved that it has the key.
    Refused,
    /// What listens at the address does not greet as a manager of this version does: it is another
    /// program.
    NotAManager,
    /// There is no connection (any more).
    Disconnected(io::Error),
    /// The manager has no queue of this name.
    NoSuchQueue,
    /// There was no room in time.
    Full,
    /// There was no item in time.
    Empty,
    /// The queue has been closed.
    Closed,
    /// The encoded item has more bytes than the manager takes.
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The most the manager takes.
        max: u64,
    },
    /// The item cannot be encoded.
    Encode(EncodeError),
    /// The item's bytes are not what the type is encoded to. The item is taken: its bytes are in
    /// the error.
    Decode(DecodeError),
}

impl fmt::Display for ManagerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManagerError::Refused => f.write_str("refused: not the same key on both sides"),
            ManagerError::NotAManager => {
                f.write_str("what listens at this address is not a manager of this version")
            }
            ManagerError::Disconnected(_) => f.write_str("there is no connection to the manager"),
            ManagerError::NoSuchQueue => f.write_str("the manager has no such queue"),
            ManagerError::Full => f.write_str("timed out waiting for room in the queue"),
            ManagerError::Empty => f.write_str("timed out waiting for an item"),
            ManagerError::Closed => f.write_str("the queue is closed"),
            ManagerError::TooLarge { len, max } => {
                write!(f, "the item takes {len} bytes, the manager at most {max}")
            }
            ManagerError::Encode(error) => error.fmt(f),
            ManagerError::Decode(error) => error.fmt(f),
        }
    }
}

impl Error for ManagerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ManagerError::Disconnected(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ManagerError {
    fn from(error: io::Error) -> ManagerError {
        ManagerError::Disconnected(error)
    }
}
