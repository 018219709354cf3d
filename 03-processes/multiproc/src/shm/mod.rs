//! Shared memory, and the objects in it: words to wait on, locks, rings, shared values.
//!
//! [`arena`] divides the shared memory of a tree of processes into regions, and [`mapping`] maps
//! them. [`futex`], [`event_count`] and [`robust`] are the ways to wait; [`ring`], [`shared`] and
//! [`frozen`] are built on them. [`handle`] encodes a handle to a region, and [`transit`] keeps the
//! region until the handle is decoded.

pub(crate) mod arena;
pub(crate) mod atomic;
pub(crate) mod event_count;
pub(crate) mod frozen;
pub(crate) mod futex;
pub(crate) mod handle;
pub(crate) mod mapping;
pub mod ring;
pub(crate) mod robust;
pub mod shared;
pub(crate) mod spin;
pub(crate) mod transit;
