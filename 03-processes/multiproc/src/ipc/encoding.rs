//! Values as bytes, for libraries that transport them in their own way: over a network, in a file.
//!
//! A queue, a pipe and a pool encode values by themselves. [`encode`] treats handles in a value (to
//! queues, to rings) as they do: until such a handle is decoded, it keeps its queue or its ring.
//!
//! ```
//! use multiproc::{Queue, encoding};
//!
//! let queue = Queue::<u32>::unbounded()?;
//! let message = ("numbers".to_owned(), queue);
//! let encoded = encoding::encode(&message)?;
//! let bytes = encoded.into_bytes(); // on their way
//! let (name, queue): (String, Queue<u32>) = encoding::decode(bytes)?;
//! queue.put(&1)?;
//! assert_eq!(name, "numbers");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ipc::codec;
pub use crate::ipc::error::{DecodeError, EncodeError};
use crate::shm::arena::{Region, RegionId};
use crate::shm::transit::{Carrier, Encoding};

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
    Ok(Encoded { bytes: Cow::Owned(bytes), handles: encoding.into_regions() })
}

/// The value that `bytes`, all of them, encode. They have been encoded by this very version of the
/// library, as a value of the same type.
///
/// # Errors
///
/// When they are not the encoding of such a value.
pub fn decode<T: DeserializeOwned + 'static>(bytes: Vec<u8>) -> Result<T, DecodeError> {
    if codec::is_own_bytes::<T>() {
        return codec::from_own_bytes(bytes);
    }
    codec::decode(&bytes)
}

/// The bytes of a value. The caller keeps the value for as long as they are needed, and so whatever
/// there are handles to in it.
///
/// # Errors
///
/// As [`encode`].
pub(crate) fn encode_kept<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let encoding = Encoding::begin(Carrier::Kept);
    let mut bytes = Vec::new();
    codec::encode(value, &mut bytes)?;
    encoding.passed_on();
    Ok(bytes)
}
