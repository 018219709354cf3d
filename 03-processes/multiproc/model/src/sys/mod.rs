//! In place of the library's `sys`: the system as the model has it.

pub(crate) mod clock;
#[path = "../../../src/sys/failpoint.rs"]
pub(crate) mod failpoint;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod membarrier;
pub(crate) mod mmap;
#[path = "../../../src/sys/sync.rs"]
#[allow(dead_code)]
pub(crate) mod sync;
