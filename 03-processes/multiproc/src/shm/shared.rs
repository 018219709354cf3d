//! Numbers that several processes read and change ([`Value`], [`Array`]), and values that are
//! written once and are then read by all processes ([`Shared`]).
//!
//! The numbers are the standard library's atomics, in memory that all holders map. A handle can be
//! encoded with `serde`, as a queue's can: as an argument of a process, in an item of a queue, in a
//! task. The memory is freed when no process holds a handle any more, however the processes end: at
//! once, if the last one drops its handle; otherwise when the whole tree has ended, or earlier,
//! when a process of the tree creates something shared. Each creation checks 16 of the older
//! regions.
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
//!
//! use multiproc::shared::{Array, Value};
//!
//! fn count(total: Value<AtomicU64>, each: Array<AtomicU64>, number: usize) {
//!     for _ in 0..1000 {
//!         total.fetch_add(1, Relaxed);
//!         each[number].fetch_add(1, Relaxed);
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     multiproc::init();
//!     let total = Value::<AtomicU64>::new(0)?;
//!     let each = Array::<AtomicU64>::new(4)?;
//!     let children: Vec<_> = (0..4)
//!         .map(|number| {
//!             let arguments = (total.clone(), each.clone(), number);
//!             multiproc::spawn(|(total, each, number)| count(total, each, number), arguments)
//!         })
//!         .collect::<Result<_, _>>()?;
//!     children.iter().try_for_each(|child| child.join())?;
//!     assert_eq!(total.load(Relaxed), 4000);
//!     assert!(each.iter().all(|count| count.load(Relaxed) == 1000));
//!     Ok(())
//! }
//! ```

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::arena::{Region, RegionId};
pub use super::frozen::Shared;
use super::mapping::{self, Mapping};
use crate::shm::handle;
use crate::sys::hash::fingerprint;

/// The atomic integers of the standard library.
#[expect(private_bounds, reason = "sealed: the memory holds whatever other processes write")]
pub trait Atomic: mapping::Shared + fmt::Debug + 'static {
    /// The integer inside.
    type Integer;

    /// Stores it where nobody else can read yet.
    #[doc(hidden)]
    fn set(&self, value: Self::Integer);
}

macro_rules! atomics {
    ($($atomic:ident $integer:ident,)*) => {$(
        impl Atomic for atomic::$atomic {
            type Integer = $integer;
            fn set(&self, value: $integer) {
                self.store(value, atomic::Ordering::Relaxed);
            }
        }
    )*};
}

atomics! {
    AtomicU8 u8, AtomicU16 u16, AtomicU32 u32, AtomicU64 u64, AtomicUsize usize,
    AtomicI8 i8, AtomicI16 i16, AtomicI32 i32, AtomicI64 i64, AtomicIsize isize,
}

/// A fixed number of atomic integers in shared memory. Dereferences to a slice of them.
///
/// A clone is another handle to the same array.
pub struct Array<T> {
    inner: Arc<Inner>,
    elements: PhantomData<fn() -> T>,
}

struct Inner {
    region: Region,
    memory: Mapping,
    len: usize,
}

impl<T: Atomic> Array<T> {
    /// An array of `len` zeros.
    ///
    /// # Errors
    ///
    /// When the system gives no more memory or mappings, in a process [forked](crate::fork) after
    /// the first use of the library, and when the array would have more bytes than an `isize` can
    /// count.
    pub fn new(len: usize) -> io::Result<Array<T>> {
        Self::map(Region::create_of(Self::bytes(len)? as u64, fingerprint::<Array<T>>())?, len)
    }

    fn bytes(len: usize) -> io::Result<usize> {
        let bytes = len.max(1).checked_mul(size_of::<T>());
        bytes.filter(|bytes| isize::try_from(*bytes).is_ok()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{len} elements are too many"))
        })
    }

    fn map(region: Region, len: usize) -> io::Result<Array<T>> {
        let memory = region.map(0, Self::bytes(len)?)?;
        Ok(Array { inner: Arc::new(Inner { region, memory, len }), elements: PhantomData })
    }
}

impl<T: Atomic> Deref for Array<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.inner.memory.slice(self.inner.len)
    }
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Array<T> {
        Array { inner: Arc::clone(&self.inner), elements: PhantomData }
    }
}

impl<T: Atomic> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// How a handle travels: where the numbers are, how many, and what the handle is.
#[derive(Serialize, Deserialize)]
struct Wire {
    region: RegionId,
    len: usize,
    handle: u64,
}

impl<T> Array<T> {
    /// Encodes a handle of the type `H`.
    fn export<H, S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let region = handle::export(&self.inner.region)?;
        Wire { region, len: self.inner.len, handle: fingerprint::<H>() }.serialize(serializer)
    }
}

impl<T: Atomic> Array<T> {
    /// Decodes a handle of the type `H`.
    fn import<'de, H, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        if wire.handle != fingerprint::<H>() {
            return Err(handle::refused("it holds a handle of another type"));
        }
        let region = handle::import_of(wire.region, fingerprint::<Array<T>>())?;
        Self::map(region, wire.len).map_err(handle::refused)
    }
}

impl<T> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.export::<Self, S>(serializer)
    }
}

/// Fails when the array is gone, or the handle is of another type.
impl<'de, T: Atomic> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::import::<Self, D>(deserializer)
    }
}

/// One atomic integer in shared memory. Dereferences to it.
///
/// A clone is another handle to the same integer.
pub struct Value<T>(Array<T>);

impl<T: Atomic> Value<T> {
    /// A shared integer that begins with `value`.
    ///
    /// # Errors
    ///
    /// As [`Array::new`].
    pub fn new(value: T::Integer) -> io::Result<Value<T>> {
        let array = Array::<T>::new(1)?;
        array[0].set(value);
        Ok(Value(array))
    }
}

impl<T: Atomic> Deref for Value<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0[0]
    }
}

impl<T> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.export::<Self, S>(serializer)
    }
}

/// Fails when the integer is gone, or the handle is of another type.
impl<'de, T: Atomic> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Array::import::<Self, D>(deserializer).map(Value)
    }
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Value<T> {
        Value(self.0.clone())
    }
}

impl<T: Atomic> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
