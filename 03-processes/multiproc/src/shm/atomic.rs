//! The atomics that the protocols in shared memory are written with: the standard library's.
//!
//! The crate `multiproc-model` compiles the same protocol files with another module in this place,
//! whose atomics a model checker controls. So a file of a protocol takes its atomics, fences and
//! pauses from here and from `shm::spin`, and sleeps and wakes by `shm::futex` only.

pub(crate) use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32,
    AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
};
