//! The lowest layer: system calls and state that belong to one process. Nothing here is shared
//! between processes.

pub(crate) mod clock;
pub(crate) mod failpoint;
pub(crate) mod file_lock;
pub mod fork;
pub(crate) mod futex;
pub(crate) mod hash;
pub(crate) mod limits;
pub(crate) mod membarrier;
pub(crate) mod mmap;
pub mod observer;
pub(crate) mod panics;
pub(crate) mod poll;
pub(crate) mod reason;
pub mod signals;
pub(crate) mod sync;
