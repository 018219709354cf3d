//! The worker's side: it receives batches through one ring, runs them, and sends the results
//! through another ring.
//!
//! [`run`](run::run) is the function that a worker process runs. It calls the
//! [initializer](initializer), then receives batches, [claims](super::claims) each, and calls the
//! function that the batch names with an [`Execution`]. That part knows the types of the argument
//! and the result. [`Output`](output::Output) publishes the results: those of a batch of one by a
//! message each, the others in the log. Everything runs on the process's main thread.

mod execution;
mod initializer;
mod output;
mod run;

pub(super) use execution::{BatchHeader, Execution, RunTasks};
pub(super) use initializer::{InitializerCall, RunInitializer};
pub(super) use run::{Startup, run};
