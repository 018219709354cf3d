//! Why a message did not pass.

use std::fmt;

use crate::sys::fork;

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
