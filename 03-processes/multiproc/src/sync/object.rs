//! What all types of [`sync`](super) have in common: a structure at the beginning of a region of
//! shared memory, a value or tables behind it, and handles that can be passed to other processes.

use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::shm::arena::seats::{self, SEATS, Seat};
use crate::shm::arena::{Region, RegionId};
use crate::shm::handle;
use crate::shm::mapping::{Mapping, Shared};
use crate::sys::fork;
use crate::sys::hash::fingerprint;
use crate::sys::sync::Deadline;

/// Where the structure's tables begin, one behind the other, or a value that it guards.
const BEHIND: usize = 4096;
/// The length of a table with an entry per seat.
const TABLE: usize = SEATS * size_of::<u64>();

/// A handle to an object of the type `T`, whose structure is `H`. A clone is another handle of this
/// process.
pub(super) struct Object<H, T: ?Sized> {
    inner: Arc<Inner>,
    types: PhantomData<fn(&T) -> H>,
}

struct Inner {
    region: Region,
    memory: Mapping,
    /// The bytes behind the structure.
    behind: usize,
    seat: Seat,
}

impl<H: Shared, T: ?Sized> Object<H, T> {
    /// A new object with so many bytes behind its structure. The memory is zeros, and `prepare`
    /// initializes it.
    pub(super) fn new(
        behind: usize,
        prepare: impl FnOnce(&Self) -> io::Result<()>,
    ) -> io::Result<Self> {
        const { assert!(size_of::<H>() <= BEHIND) };
        let len = behind.checked_add(BEHIND).filter(|len| isize::try_from(*len).is_ok());
        let len = len.ok_or_else(|| {
            let message = format!("{behind} bytes of shared memory are too many");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        let region = Region::create_of(len as u64, fingerprint::<Self>())?;
        let object = Self::at(region, behind)?;
        prepare(&object)?;
        Ok(object)
    }

    fn at(region: Region, behind: usize) -> io::Result<Self> {
        let len = behind.checked_add(BEHIND).ok_or(io::ErrorKind::InvalidData)?;
        let memory = region.map(0, len)?;
        let inner = Inner { region, memory, behind, seat: seats::own()? };
        Ok(Self { inner: Arc::new(inner), types: PhantomData })
    }

    #[inline]
    pub(super) fn header(&self) -> &H {
        self.inner.memory.get(0)
    }

    /// The memory, whose first [`BEHIND`] bytes are the structure's.
    #[inline]
    pub(super) fn memory(&self) -> &Mapping {
        &self.inner.memory
    }

    /// The bytes behind the structure.
    #[inline]
    pub(super) fn behind(&self) -> usize {
        self.inner.behind
    }

    /// This process's seat.
    #[inline]
    pub(super) fn seat(&self) -> Seat {
        self.inner.seat
    }

    /// Whether both are handles to the same object.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.inner.region.id() == other.inner.region.id()
    }

    pub(super) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (handle::export(&self.inner.region)?, self.inner.behind).serialize(serializer)
    }

    /// An object of which another process has encoded a handle. Fewer bytes behind the structure
    /// than it has are refused by whoever reaches for them, and more by the region.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Self, D::Error> {
        let (id, behind) = <(RegionId, usize)>::deserialize(deserializer)?;
        let region = handle::import_of(id, fingerprint::<Self>())?;
        Self::at(region, behind).map_err(handle::refused)
    }
}

impl<H, T: ?Sized> Clone for Object<H, T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), types: PhantomData }
    }
}

/// The offset of the value that a structure guards.
pub(super) const VALUE_AT: usize = BEHIND;

/// The bytes of so many tables.
pub(super) const fn tables(count: usize) -> usize {
    count * TABLE
}

/// The offset of a table.
pub(super) const fn table_at(number: usize) -> usize {
    BEHIND + number * TABLE
}

/// Panics in a fork.
#[inline]
pub(super) fn check_fork() {
    if fork::is_fork() {
        forked();
    }
}

#[cold]
fn forked() -> ! {
    panic!("{}", fork::EXPLANATION);
}

/// The sleeps of a waiter that polls for the death of a holder.
pub(super) struct Naps {
    begun: Instant,
    deadline: Deadline,
}

impl Naps {
    pub(super) fn until(deadline: Deadline) -> Naps {
        Naps { begun: Instant::now(), deadline }
    }

    /// Until when to sleep now.
    pub(super) fn next(&self) -> Deadline {
        let now = Instant::now();
        let nap = (now - self.begun) / 4;
        let nap = nap.clamp(Duration::from_millis(20), Duration::from_millis(500));
        Some(self.deadline.map_or(now + nap, |deadline| deadline.min(now + nap)))
    }

    /// Whether there is no time left.
    pub(super) fn are_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Implements `Clone`, `Serialize` and `Deserialize` of a handle whose first field is its object.
macro_rules! impl_handle {
    ($name:ident $(<$t:ident: $bound:path>)?) => {
        impl$(<$t: $bound + ?Sized>)? Clone for $name$(<$t>)? {
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        }

        impl$(<$t: $bound + ?Sized>)? serde::Serialize for $name$(<$t>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        /// Fails when the object is gone, or is of another type.
        impl<'de $(, $t: $bound + ?Sized)?> serde::Deserialize<'de> for $name$(<$t>)? {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                $crate::sync::object::Object::deserialize(deserializer).map(Self)
            }
        }
    };
}
pub(super) use impl_handle;
