//! The protocols of multiproc's shared memory under a model checker, and mutants of them.
//!
//! This crate compiles the very files of the library: the event count, the ring, the queue of bytes
//! and the claims of the pool. Only the modules below them are others: `shm::atomic` has atomics
//! that [loom](https://docs.rs/loom) controls, and the futex sleeps and wakes loom's threads. So
//! loom runs a [scenario](scenarios) in every interleaving, and with every value that the C11
//! memory model allows each load to see, which is more than an x86 processor does.
//!
//! Every atomic operation of those files is a *site*, known by its place in the source. A [mutant]
//! changes one site: a weaker ordering, no fence, no wake-up, or a store that takes effect only
//! after the next one. The test `mutants` shows that every mutant is found, but for those that it
//! lists, with the reason why they are equivalent to the original.
//!
//! What the model leaves out: accesses that are sequentially consistent are taken for
//! acquire-release ones (fences are exact), so the protocols rely on fences alone; the robust mutex
//! of the C library is a plain lock; there are no time-outs; nobody is killed. Bytes of items are
//! copied word by word. Deaths are tested with real processes, in the library's own tests.
//!
//! [mutant]: mutant::Mutant
#![allow(
    dead_code,
    unused_imports,
    reason = "the library's files have more than the scenarios use"
)]
#![allow(clippy::duplicate_mod, reason = "one side of a queue is also checked by itself")]

mod model;
pub mod mutant;
mod pool;
mod queue;
pub mod scenarios;
mod shm;
mod sys;
mod threads;
