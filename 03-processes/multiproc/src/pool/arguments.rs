//! The encoded arguments of tasks that follow one another: in one buffer, each behind its length.
//! The length takes one byte, or [`LONG`] and four more.

use std::mem::needs_drop;

use serde::Serialize;

use crate::ipc::codec;
use crate::ipc::error::EncodeError;
use crate::shm::arena::Region;
use crate::shm::transit::{Carrier, Encoding};

/// The byte before a length of four bytes; lengths from here on have one.
const LONG: u8 = u8::MAX;

/// Encoded arguments of tasks that follow one another.
#[derive(Default)]
pub(super) struct Arguments {
    pub(super) bytes: Vec<u8>,
    /// What the handles in the arguments refer to, held until the tasks have ended.
    pub(super) kept: Vec<Region>,
    /// How many there are.
    pub(super) count: usize,
}

impl Arguments {
    /// Adds an encoded argument.
    pub(super) fn push(&mut self, argument: &[u8], kept: Vec<Region>) {
        self.bytes.extend_from_slice(argument);
        self.kept.extend(kept);
        self.count += 1;
    }

    /// Removes the first `count`, of which there are as many at least.
    pub(super) fn remove_first(&mut self, count: usize) {
        let end = self.end_of(count);
        self.bytes.drain(..end);
        self.count -= count;
    }

    /// Divides them: returns those from position `at` on.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let end = self.end_of(at);
        let rest = Self {
            bytes: self.bytes.split_off(end),
            // It is not known which argument refers to which.
            kept: self.kept.clone(),
            count: self.count - at,
        };
        self.count = at;
        rest
    }

    /// Where the first `count` arguments end.
    fn end_of(&self, count: usize) -> usize {
        let mut rest = Iter::new(&self.bytes);
        rest.by_ref().take(count).for_each(drop);
        self.bytes.len() - rest.0.len()
    }
}

/// Encodes an argument into the buffer from `at` on, over what is there. Returns where it ends.
///
/// # Errors
///
/// The argument cannot be encoded, or takes 4 GiB or more.
// In a `map`, a call for each argument would cost as much as the encoding.
#[inline(always)]
pub(super) fn encode<A: Serialize>(
    buffer: &mut Vec<u8>,
    at: usize,
    argument: &A,
    kept: &mut Vec<Region>,
) -> Result<usize, EncodeError> {
    // A value without a destructor owns no handle, so none has to be kept: known when compiled.
    let end = if needs_drop::<A>() {
        let encoding = Encoding::begin(Carrier::Kept);
        let end = codec::encode_at(argument, buffer, at + 1)?;
        encoding.keep_in(kept);
        end
    } else {
        codec::encode_at(argument, buffer, at + 1)?
    };
    match buffer.get_mut(at) {
        Some(prefix) if end - at - 1 < usize::from(LONG) => {
            *prefix = (end - at - 1) as u8;
            Ok(end)
        }
        _ => put_long(buffer, at, end),
    }
}

/// Writes the length of what was encoded behind the byte at `at`, where that byte is not enough, or
/// is not there yet.
#[cold]
fn put_long(buffer: &mut Vec<u8>, at: usize, end: usize) -> Result<usize, EncodeError> {
    let length =
        u32::try_from(end - at - 1).map_err(|_| EncodeError::new("it takes 4 GiB or more"))?;
    buffer.resize(buffer.len().max(end + 4), 0);
    if length < u32::from(LONG) {
        buffer[at] = length as u8;
        return Ok(end);
    }
    buffer.copy_within(at + 1..end, at + 5);
    buffer[at] = LONG;
    buffer[at + 1..at + 5].copy_from_slice(&length.to_le_bytes());
    Ok(end + 4)
}

/// The arguments in a buffer, one by one.
pub(super) struct Iter<'a>(&'a [u8]);

impl<'a> Iter<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (&prefix, rest) = self.0.split_first()?;
        let (length, rest) = match prefix {
            LONG => {
                let (length, rest) = rest.split_first_chunk()?;
                (u32::from_le_bytes(*length) as usize, rest)
            }
            short => (usize::from(short), rest),
        };
        let (argument, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(argument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_all_lengths_come_back() {
        let texts: Vec<String> = [0, 1, 7, 200, 252, 253, 254, 255, 256, 300, 70_000, 3]
            .map(|length| "x".repeat(length))
            .to_vec();
        let mut buffer = Vec::new();
        let mut end = 0;
        for text in &texts {
            end = encode(&mut buffer, end, text, &mut Vec::new()).unwrap();
            end = encode(&mut buffer, end, &(), &mut Vec::new()).unwrap();
        }
        let mut arguments = Iter::new(&buffer[..end]);
        for text in &texts {
            assert_eq!(codec::decode(arguments.next().unwrap()), Ok(text.clone()));
            assert_eq!(arguments.next(), Some(&b""[..]));
        }
        assert_eq!(arguments.next(), None);
    }

    #[test]
    fn arguments_are_divided_at_any_position() {
        let numbers = || 0..10_u64;
        let mut bytes = Vec::new();
        let mut end = 0;
        for number in numbers() {
            end = encode(&mut bytes, end, &number, &mut Vec::new()).unwrap();
        }
        bytes.truncate(end);
        let decoded = |arguments: &Arguments| -> Vec<u64> {
            let numbers: Vec<u64> =
                Iter::new(&arguments.bytes).map(|bytes| codec::decode(bytes).unwrap()).collect();
            assert_eq!(numbers.len(), arguments.count);
            numbers
        };
        for at in 0..=10 {
            let all = || Arguments { bytes: bytes.clone(), kept: Vec::new(), count: 10 };
            let mut first = all();
            let rest = first.split_off(at);
            assert!(decoded(&first).into_iter().eq(numbers().take(at)));
            assert!(decoded(&rest).into_iter().eq(numbers().skip(at)));
            let mut rest = all();
            rest.remove_first(at);
            assert!(decoded(&rest).into_iter().eq(numbers().skip(at)));
        }
    }
}
