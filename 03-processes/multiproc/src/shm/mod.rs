//! Shared memory, and what lies in it: words to wait on, locks, rings; and what keeps it while a
//! [`handle`] to it is in [`transit`].

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
