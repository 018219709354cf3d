//! The library's files, on the model's atomics.

pub(crate) mod arena;
pub(crate) mod atomic;
#[path = "../../../src/shm/event_count/mod.rs"]
pub(crate) mod event_count;
#[path = "../../../src/shm/futex.rs"]
pub(crate) mod futex;
pub(crate) mod handle;
#[path = "../../../src/shm/mapping.rs"]
pub(crate) mod mapping;
pub(crate) mod ring;
pub(crate) mod robust;
pub(crate) mod spin;
