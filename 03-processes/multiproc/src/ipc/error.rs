//! The two errors of encoding and decoding, which all modules of the library use.

use std::error::Error;
use std::fmt;

use crate::sys::reason;

/// Why a value cannot be encoded: its `Serialize` refused, wrote another number of elements than it
/// announced, or used what the encoding does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError {
    reason: String,
}

/// Why bytes cannot be decoded: they are not the encoding of a value of this type, or its
/// `Deserialize` refused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The bytes, all of them. A value's descriptors, which traveled beside them, are closed.
    pub bytes: Vec<u8>,
    reason: String,
}

impl EncodeError {
    /// An error for this reason.
    pub(crate) fn new(reason: impl Into<String>) -> EncodeError {
        EncodeError { reason: reason.into() }
    }

    /// The error of the format, with the reason that was left where it has none itself.
    #[cold]
    pub(crate) fn of_format(error: postcard::Error) -> EncodeError {
        let left = reason::take();
        EncodeError::new(match error {
            postcard::Error::SerdeSerCustom => {
                left.unwrap_or_else(|| "the value's `Serialize` refused it".to_owned())
            }
            other => other.to_string(),
        })
    }

    /// The reason alone, to be put behind what could not be encoded.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }
}

impl DecodeError {
    /// An error for this reason.
    pub(crate) fn new(bytes: &[u8], reason: impl Into<String>) -> DecodeError {
        DecodeError { bytes: bytes.to_vec(), reason: reason.into() }
    }

    /// The error of the format, with the reason that was left where it has none itself.
    #[cold]
    pub(crate) fn of_format(bytes: &[u8], error: postcard::Error) -> DecodeError {
        let left = reason::take();
        let reason = match error {
            postcard::Error::SerdeDeCustom => {
                left.unwrap_or_else(|| "the value's `Deserialize` refused it".to_owned())
            }
            other => other.to_string(),
        };
        DecodeError::new(bytes, reason)
    }

    /// The reason alone, to be put behind what could not be decoded.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value cannot be encoded: {}", self.reason)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value cannot be decoded: {}", self.reason)
    }
}

impl Error for EncodeError {}
impl Error for DecodeError {}
