//! Values to bytes and back: `postcard`, but for a `Vec<u8>` and a `String` their own bytes, at the
//! speed of memory.

use std::any::Any;
use std::cell::Cell;

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ipc::checked::Checked;

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
pub(crate) fn from_own_bytes<T: 'static>(bytes: Vec<u8>) -> Result<T, (Vec<u8>, postcard::Error)> {
    let mut value: Option<T> = None;
    let place: &mut dyn Any = &mut value;
    if let Some(place) = place.downcast_mut::<Option<Vec<u8>>>() {
        *place = Some(bytes);
    } else if let Some(place) = place.downcast_mut::<Option<String>>() {
        let string = String::from_utf8(bytes);
        *place = Some(
            string.map_err(|error| (error.into_bytes(), postcard::Error::DeserializeBadUtf8))?,
        );
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

/// Encodes the value to where the flavor says. All encodings go through this.
#[inline]
pub(crate) fn encode_to<T: Serialize + ?Sized, F: Flavor>(
    value: &T,
    output: F,
) -> postcard::Result<F::Output> {
    let mut serializer = postcard::Serializer { output };
    value.serialize(Checked(&mut serializer))?;
    serializer.output.finalize()
}

/// Appends the value's encoding.
#[inline]
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, to: &mut Vec<u8>) -> postcard::Result<()> {
    encode_to(value, Appender(to))
}

/// The value that `bytes`, all of them, encode. All decodings go through this: bytes that are left
/// over are an error, for they mean that the value is another one than was encoded.
#[inline]
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> postcard::Result<T> {
    let mut deserializer = postcard::Deserializer::from_bytes(bytes);
    let value = T::deserialize(&mut deserializer)?;
    if deserializer.finalize()?.is_empty() {
        Ok(value)
    } else {
        Err(postcard::Error::DeserializeBadEncoding)
    }
}
