//! One task's outcome, and decoding it.

use serde::de::DeserializeOwned;

use crate::ipc::codec;
use crate::ipc::error::{DecodeError, EncodeError};
use crate::pool::error::TaskError;
use crate::pool::messages::tag;
use crate::shm::arena::Region;
use crate::sys::panics::{self, Panic};

/// A task's result as its worker sent it.
pub(in crate::pool) struct Encoded {
    pub(super) tag: u8,
    pub(super) bytes: Vec<u8>,
    /// What the handles in it refer to, held until it is decoded.
    pub(super) kept: Vec<Region>,
}

/// What is known of a task that has ended.
pub(in crate::pool) type Outcome = Result<Encoded, TaskError>;

/// Decodes a result. A panic in the caller's `Deserialize` is an error of this result.
pub(in crate::pool) fn decode<T: DeserializeOwned>(outcome: Outcome) -> Result<T, TaskError> {
    let Encoded { tag, bytes, kept } = outcome?;
    let result =
        panics::catch(|| value(tag, &bytes)).unwrap_or_else(|panic| Err(panicked(panic, &bytes)));
    drop(kept);
    result
}

/// The error of a result whose `Deserialize` panicked.
#[cold]
pub(super) fn panicked(panic: Panic, bytes: &[u8]) -> TaskError {
    let reason = format!("the value's `Deserialize` panicked: {}", panic.message);
    TaskError::Decode(DecodeError::new(bytes, reason))
}

/// The value that a worker's message has for a task, or why there is none. Runs the caller's
/// `Deserialize`.
#[inline]
pub(super) fn value<T: DeserializeOwned>(tag: u8, bytes: &[u8]) -> Result<T, TaskError> {
    if tag == tag::RETURNED {
        codec::decode(bytes).map_err(TaskError::Decode)
    } else {
        Err(failure(tag, bytes))
    }
}

#[cold]
fn failure(tag: u8, rest: &[u8]) -> TaskError {
    match tag {
        tag::PANICKED => codec::decode::<Panic>(rest).map_or_else(TaskError::Decode, Into::into),
        tag::RESULT => codec::decode::<String>(rest)
            .map_or_else(TaskError::Decode, |reason| TaskError::Encode(EncodeError::new(reason))),
        _ => codec::decode_header::<String>(rest)
            .map_or_else(TaskError::Decode, |(reason, bytes)| {
                TaskError::Decode(DecodeError::new(bytes, reason))
            }),
    }
}
