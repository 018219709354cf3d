//! The arguments of a batch: one after the other in one buffer, each behind its length. That is one
//! byte, or [`LONG`] and four more.

use std::mem::needs_drop;

use serde::Serialize;

use crate::ipc::codec;
use crate::ipc::error::EncodeError;
use crate::shm::arena::Region;
use crate::shm::transit::{Carrier, Encoding};

/// The byte before a length of four bytes; lengths from here on have one.
const LONG: u8 = u8::MAX;

/// Encodes an argument into the buffer from `at` on, over what is there; where it ends.
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

/// The length of what was encoded behind the byte at `at`, where that byte is not enough, or is not
/// there yet.
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
pub(super) struct Arguments<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Arguments<'a> {
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
        let mut arguments = Arguments(&buffer[..end]);
        for text in &texts {
            assert_eq!(codec::decode(arguments.next().unwrap()), Ok(text.clone()));
            assert_eq!(arguments.next(), Some(&b""[..]));
        }
        assert_eq!(arguments.next(), None);
    }
}
