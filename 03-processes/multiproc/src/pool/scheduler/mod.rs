//! Which worker runs which batch, and how many workers there are.
//!
//! Batches wait in one queue in the parent ([`state`]), where no worker's death can touch them. The
//! thread that submits a batch also assigns it ([`core`]), without waiting for the pool's own
//! thread, the [collector](super::collector). Each worker is assigned some batches ahead of time
//! ([`worker`]), so that it need not wait. Those that it has not claimed can be reclaimed: when
//! another worker is idle, when this one is stopped, or when it dies.
//!
//! [`cancel`] ends a task early, without harm to the others.
//!
//! [`spawn`] starts workers and keeps their number, with the delays of the [`restart`] policy.
//!
//! Lock order: a sink's lock may be held while the state's is taken, never the other way round.

mod cancel;
mod core;
mod look;
mod restart;
mod spawn;
mod state;
mod worker;

pub use cancel::Cancel;
pub(super) use core::{Config, Scheduler};
pub(super) use spawn::Spawned;
pub(super) use state::{Phase, State};
pub(super) use worker::WorkerHandle;
