//! Encoding values as bytes, and decoding them. The format is `postcard`, except that a `Vec<u8>`
//! and a `String` are encoded as their own bytes, by one copy.

use std::any::Any;
use std::cell::Cell;

use postcard::ser_flavors::Flavor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ipc::checked::Checked;
use crate::ipc::error::{DecodeError, EncodeError};

/// Larger buffers are not kept for the next item.
const KEEP: usize = 1 << 20;

thread_local! {
    /// Taken while in use: encoding an item may itself use a queue.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends an empty buffer, this thread's own.
pub(crate) fn with_buffer<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    // In an exit handler the thread's own buffer is gone.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    let result = f(&mut buffer);
    if buffer.capacity() <= KEEP {
        let _ = BUFFER.try_with(|place| place.set(buffer));
    }
    result
}

/// The value's own bytes, where they are its encoding.
#[inline]
pub(crate) fn own_bytes<T: 'static>(value: &T) -> Option<&[u8]> {
    let value: &dyn Any = value;
    value
        .downcast_ref::<Vec<u8>>()
        .map(Vec::as_slice)
        .or_else(|| value.downcast_ref::<String>().map(String::as_bytes))
}

/// Whether values of this type are encoded as their own bytes.
#[inline]
pub(crate) fn is_own_bytes<T: 'static>() -> bool {
    use std::any::TypeId;
    TypeId::of::<T>() == TypeId::of::<Vec<u8>>() || TypeId::of::<T>() == TypeId::of::<String>()
}

/// The value whose own bytes these are.
pub(crate) fn from_own_bytes<T: 'static>(bytes: Vec<u8>) -> Result<T, DecodeError> {
    let mut value: Option<T> = None;
    let place: &mut dyn Any = &mut value;
    if let Some(place) = place.downcast_mut::<Option<Vec<u8>>>() {
        *place = Some(bytes);
    } else if let Some(place) = place.downcast_mut::<Option<String>>() {
        let string = String::from_utf8(bytes);
        *place = Some(string.map_err(|error| {
            DecodeError::new(error.as_bytes(), "the bytes are not valid UTF-8")
        })?);
    }
    Ok(value.expect("only asked for these two types"))
}

/// Where `postcard` writes to: the end of a buffer.
struct Appender<'a>(&'a mut Vec<u8>);

impl Flavor for Appender<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    #[inline]
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Encodes over what is in a vector.
struct Over<'a> {
    bytes: &'a mut Vec<u8>,
    at: usize,
}

impl Over<'_> {
    /// Makes the vector so long that `count` more bytes have a place.
    #[inline]
    fn make_room(&mut self, count: usize) {
        if self.bytes.len() < self.at + count {
            lengthen(self.bytes, self.at + count);
        }
    }
}

/// Lengthens the vector to `needed` bytes or more: to all that is allocated, which grows by
/// doubling. (Given the vector alone, it leaves the position in a register.)
#[cold]
fn lengthen(bytes: &mut Vec<u8>, needed: usize) {
    bytes.reserve(needed - bytes.len());
    bytes.resize(bytes.capacity(), 0);
}

/// Five bytes as a number, the first one lowest.
#[inline]
fn word(bytes: [u8; 5]) -> u64 {
    let [a, b, c, d, e] = bytes.map(u64::from);
    a | b << 8 | c << 16 | d << 24 | e << 32
}

impl Flavor for Over<'_> {
    type Output = usize;

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.make_room(1);
        self.bytes[self.at] = byte;
        self.at += 1;
        Ok(())
    }

    // Out of line, the bytes would go through memory, and their count be looked at again.
    #[inline(always)]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        // A number comes as a few bytes, each written a moment ago. To read them back as one word
        // would stall, and a loop over them takes longer than all the rest: so they are put
        // together in a register, by their count.
        let word = match *bytes {
            [a] => word([a, 0, 0, 0, 0]),
            [a, b] => word([a, b, 0, 0, 0]),
            [a, b, c] => word([a, b, c, 0, 0]),
            [a, b, c, d] => word([a, b, c, d, 0]),
            [a, b, c, d, e] => word([a, b, c, d, e]),
            _ => {
                self.make_room(bytes.len());
                self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
                self.at += bytes.len();
                return Ok(());
            }
        };
        self.make_room(8);
        self.bytes[self.at..self.at + 8].copy_from_slice(&word.to_le_bytes());
        self.at += bytes.len();
        Ok(())
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.at)
    }
}

/// Encodes the value to where the flavor says. All encodings go through this.
#[inline]
fn encode_to<T: Serialize + ?Sized, F: Flavor>(
    value: &T,
    output: F,
) -> Result<F::Output, EncodeError> {
    let mut serializer = postcard::Serializer { output };
    value
        .serialize(Checked(&mut serializer))
        .and_then(|()| serializer.output.finalize())
        .map_err(EncodeError::of_format)
}

/// Appends the value's encoding; after an error the vector is as it was.
#[inline]
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    to: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let before = to.len();
    let encoded = encode_to(value, Appender(to));
    if encoded.is_err() {
        to.truncate(before);
    }
    encoded
}

/// Encodes the value into a vector from position `at` on, over what is there, and gives the
/// position after it. The vector grows as it has to, and keeps its length when less is needed: for
/// many small values, which are faster encoded without a length to keep up.
#[inline]
pub(crate) fn encode_at<T: Serialize + ?Sized>(
    value: &T,
    to: &mut Vec<u8>,
    at: usize,
) -> Result<usize, EncodeError> {
    encode_to(value, Over { bytes: to, at })
}

/// As [`encode`], faster for small values: the vector may be longer meanwhile.
#[inline]
pub(crate) fn append<T: Serialize + ?Sized>(
    value: &T,
    to: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let at = to.len();
    let encoded = encode_at(value, to, at);
    to.truncate(*encoded.as_ref().unwrap_or(&at));
    encoded.map(drop)
}

/// Appends the encoding of a value of the library's own, which cannot be refused.
pub(crate) fn encode_own<T: Serialize + ?Sized>(value: &T, to: &mut Vec<u8>) {
    encode(value, to).expect("numbers and text always encode");
}

/// The value that `bytes`, all of them, encode. All decodings of the caller's values go through
/// this: bytes that are left over are an error, for they mean that the value is another one than
/// was encoded.
#[inline]
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut deserializer = postcard::Deserializer::from_bytes(bytes);
    match T::deserialize(&mut deserializer).and_then(|value| Ok((value, deserializer.finalize()?)))
    {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(left_over(bytes, rest)),
        Err(error) => Err(DecodeError::of_format(bytes, error)),
    }
}

#[cold]
fn left_over(bytes: &[u8], rest: &[u8]) -> DecodeError {
    let reason = format!(
        "the bytes are not the encoding of such a value: {} of {} are left over",
        rest.len(),
        bytes.len()
    );
    DecodeError::new(bytes, reason)
}

/// The value of the library's own at the beginning of `bytes`, and what follows it: a header, and
/// what it is the header of.
pub(crate) fn decode_header<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
) -> Result<(T, &'a [u8]), DecodeError> {
    postcard::take_from_bytes(bytes).map_err(|error| DecodeError::of_format(bytes, error))
}
