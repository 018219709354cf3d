//! Values as bytes, for libraries that carry them by ways of their own: over a network, in a file.
//!
//! A queue, a pipe and a pool encode by themselves. What they do for handles in a value (of queues,
//! of rings), [`encode`] does too: such a handle keeps what it stands for until it is decoded.
//!
//! ```
//! use multiproc::{Queue, encoding};
//!
//! let queue = Queue::<u32>::unbounded()?;
//! let encoded = encoding::encode(&("numbers".to_owned(), queue))?;
//! let bytes = encoded.into_bytes(); // on their way
//! let (name, queue): (String, Queue<u32>) = encoding::decode(bytes)?;
//! queue.put(&1)?;
//! assert_eq!(name, "numbers");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec;
use super::packet::explain;
use super::transit::{Carrier, Encoding};
use crate::shm::arena::{Region, RegionId};

/// Why a value cannot be encoded: its `Serialize` refused, wrote another number of elements than it
/// announced, or used what the encoding does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError(pub(crate) String);

/// Why bytes cannot be decoded: they are not the encoding of a value of this type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The bytes.
    pub bytes: Vec<u8>,
    pub(crate) reason: String,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value cannot be encoded: {}", self.0)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value cannot be decoded: {}", self.reason)
    }
}

impl Error for EncodeError {}
impl Error for DecodeError {}

impl From<postcard::Error> for EncodeError {
    fn from(error: postcard::Error) -> EncodeError {
        EncodeError(explain(error))
    }
}

/// The bytes of a value. Dropped, it releases the handles in them: nobody is to decode them.
#[derive(Debug)]
pub struct Encoded<'a> {
    bytes: Cow<'a, [u8]>,
    handles: Vec<(Region, RegionId)>,
}

impl Encoded<'_> {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes are on their way to whatever process decodes them. A handle in them keeps what it
    /// stands for until they are decoded for the first time, or until this process ends.
    #[must_use = "to say only that the bytes are on their way, call `sent`"]
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.handles.clear();
        std::mem::take(&mut self.bytes).into_owned()
    }

    /// As [`into_bytes`](Self::into_bytes), after [`as_bytes`](Self::as_bytes) have been sent.
    pub fn sent(mut self) {
        self.handles.clear();
    }
}

impl Drop for Encoded<'_> {
    fn drop(&mut self) {
        self.handles.drain(..).for_each(|(region, id)| region.recall(id));
    }
}

/// Encodes a value.
///
/// # Errors
///
/// When the value cannot be encoded, or has a descriptor in it.
pub fn encode<T: Serialize + 'static>(value: &T) -> Result<Encoded<'_>, EncodeError> {
    if let Some(bytes) = codec::own_bytes(value) {
        return Ok(Encoded { bytes: Cow::Borrowed(bytes), handles: Vec::new() });
    }
    let encoding = Encoding::begin(Carrier::Memory);
    let mut bytes = Vec::new();
    codec::encode(value, &mut bytes)?;
    Ok(Encoded { bytes: Cow::Owned(bytes), handles: encoding.into_ranges() })
}

/// The value that `bytes`, all of them, encode. They have been encoded by this very version of the
/// library, as a value of the same type.
///
/// # Errors
///
/// When they are not the encoding of such a value.
pub fn decode<T: DeserializeOwned + 'static>(bytes: Vec<u8>) -> Result<T, DecodeError> {
    let decoded = if codec::is_own_bytes::<T>() {
        codec::from_own_bytes(bytes)
    } else {
        codec::decode(&bytes).map_err(|error| (bytes, error))
    };
    decoded.map_err(|(bytes, error)| DecodeError { bytes, reason: explain(error) })
}
