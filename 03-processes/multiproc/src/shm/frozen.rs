//! Values that are written once and are then read by any number of processes, without a copy.
//!
//! # Invariants of the `unsafe` code
//!
//! - A region of this kind is written by [`Shared::build`] only, before any other process or thread
//!   can know its numbers; it is then mapped again, read-only. The kind of a region lies outside of
//!   all regions and is set when the region is created, so a handle to something else is not
//!   accepted here.
//! - A region keeps its memory as long as a process holds it, and a `Shared` holds it.
//! - `T: Pod`: zeros are a value, and all bytes are initialized.
#![allow(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use bytemuck::Pod;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::arena::{Region, RegionId};
use super::handle;
use super::mapping::Mapping;
use crate::sys::hash::fingerprint;

/// An immutable slice of plain values in shared memory. It dereferences to the slice, in every
/// process, without a copy.
///
/// It is passed to other processes as a [`Queue`](crate::Queue) is. A clone is another handle to
/// the same memory. The memory is freed when no process has a handle any more, however the
/// processes end. For values that change, see [`Mutex<[T]>`](crate::sync::Mutex) and
/// [`Array`](super::shared::Array).
///
/// ```
/// use multiproc::shared::Shared;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     multiproc::init();
///     let samples: Shared<[f64]> = Shared::build(1_000_000, |samples| {
///         for (number, sample) in samples.iter_mut().enumerate() {
///             *sample = number as f64;
///         }
///     })?;
///     let sum = |samples: Shared<[f64]>| samples.iter().sum::<f64>();
///     let children = [multiproc::spawn(sum, samples.clone())?, multiproc::spawn(sum, samples)?];
///     for child in children {
///         assert_eq!(child.join()?, 499_999_500_000.0);
///     }
///     Ok(())
/// }
/// ```
pub struct Shared<T: ?Sized> {
    inner: Arc<Inner>,
    values: PhantomData<fn() -> Box<T>>,
}

struct Inner {
    region: Region,
    memory: Mapping,
    len: usize,
}

impl<T: Pod> Shared<[T]> {
    /// `len` values, which are zeros until `write` has filled them in, in place.
    ///
    /// # Errors
    ///
    /// When the system gives no more memory or mappings, in a [fork](crate::fork), and when the
    /// values take more than 16 TiB.
    pub fn build(len: usize, write: impl FnOnce(&mut [T])) -> io::Result<Shared<[T]>> {
        Self::try_build(len, |values| {
            write(values);
            Ok(())
        })
    }

    fn try_build(
        len: usize,
        write: impl FnOnce(&mut [T]) -> io::Result<()>,
    ) -> io::Result<Shared<[T]>> {
        let bytes = Self::bytes(len)?;
        let region = Region::create_of(bytes as u64, fingerprint::<Self>())?;
        let memory = region.map(0, bytes)?;
        // SAFETY: inside the mapping, which lives until after the call, and aligned; it is new, so
        // zeros; nobody else knows it.
        write(unsafe { memory.places(0, len).as_mut() })?;
        drop(memory);
        Self::map(region, len)
    }

    /// A copy of the values.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn copy_of(values: &[T]) -> io::Result<Shared<[T]>> {
        Self::build(values.len(), |to| to.copy_from_slice(values))
    }

    /// `len` values, read in place: as many bytes as they take, in the order of this machine.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when there are fewer; what the reader says; and as [`build`](Self::build).
    pub fn read_from(len: usize, mut reader: impl Read) -> io::Result<Shared<[T]>> {
        Self::try_build(len, |values| reader.read_exact(bytemuck::cast_slice_mut(values)))
    }

    fn bytes(len: usize) -> io::Result<usize> {
        const { assert!(align_of::<T>() <= 4096) };
        let bytes = len.max(1).checked_mul(size_of::<T>().max(1));
        bytes.filter(|bytes| isize::try_from(*bytes).is_ok()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{len} values are too many"))
        })
    }

    fn map(region: Region, len: usize) -> io::Result<Shared<[T]>> {
        let memory = region.map_to_read(Self::bytes(len)?)?;
        Ok(Shared { inner: Arc::new(Inner { region, memory, len }), values: PhantomData })
    }
}

impl Shared<[u8]> {
    /// The contents of a file, from where it stands to its end.
    ///
    /// # Errors
    ///
    /// What the file says, `UnexpectedEof` when it becomes shorter meanwhile, and as
    /// [`build`](Self::build).
    pub fn read_file(mut file: &File) -> io::Result<Shared<[u8]>> {
        use std::io::Seek;
        let len = file.metadata()?.len().saturating_sub(file.stream_position()?);
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        Self::read_from(len, file)
    }
}

impl<T: Pod> Deref for Shared<[T]> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: inside the mapping, which the borrow keeps, and aligned; nobody writes it, by the
        // module's invariants.
        unsafe { self.inner.memory.places(0, self.inner.len).as_ref() }
    }
}

impl<T: ?Sized> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared { inner: Arc::clone(&self.inner), values: PhantomData }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Shared<[T]> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Pod> Serialize for Shared<[T]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (handle::export(&self.inner.region)?, self.inner.len).serialize(serializer)
    }
}

/// Fails when nobody holds the memory any more, or it holds values of another type.
impl<'de, T: Pod> Deserialize<'de> for Shared<[T]> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (id, len) = <(RegionId, usize)>::deserialize(deserializer)?;
        let region = handle::import_of(id, fingerprint::<Self>())?;
        Self::map(region, len).map_err(handle::refused)
    }
}
