//! Shared memory, and what lies in it: words to wait on, locks, rings.

pub(crate) mod arena;
pub(crate) mod atomic;
pub(crate) mod event_count;
pub(crate) mod futex;
pub(crate) mod mapping;
pub mod ring;
pub(crate) mod robust;
pub mod shared;
pub(crate) mod spin;
