//! Which batches a worker has claimed and which results it has, in shared memory that outlives the
//! worker.
//!
//! Some pages are shared by the pool and one worker ([`memory`]). They hold four things, each with
//! a module of its own:
//!
//! 1. **Claims** ([`claim`]). The pool *offers* a batch before it sends it; the worker *claims* it
//!    before it runs it. Until then, the pool can *reclaim* the batch and assign it to another
//!    worker. Both are one compare-and-swap on the same word, so a batch is either claimed or
//!    reclaimed, never both. After a worker's death the pool knows exactly which batch it was in.
//! 2. **The limit** ([`limit`]). The tasks of a claimed batch run one after the other. The pool can
//!    reclaim those at its end that the worker has not begun.
//! 3. **The log** ([`log_writer`], [`log_reader`]; format: [`records`]). Results of a batch of
//!    several tasks are collected here and sent together, because a message for each result would
//!    cost more than a short task. A result counts as soon as it is in the log, even if the worker
//!    dies before it sends it.
//! 4. **The start** ([`start`]) of the task that the worker is in, if its batch has a time limit.
//!
//! Nothing here waits, and there is no lock, so no death on either side can block the other.

mod claim;
mod limit;
mod log_reader;
mod log_writer;
mod memory;
mod records;
mod start;
#[cfg(test)]
mod tests;

pub(super) use log_writer::LogWriter;
pub(super) use memory::{Claims, MAX_SPAN};
pub(super) use records::Records;
pub(super) use start::Started;
