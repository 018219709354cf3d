//! What the case `1_1_8_job_queue` is built on: one queue of jobs over two stores, and a worker
//! that keeps its promises.
//!
//! - [`Store`]: a SQLite file, or Redis. Jobs are added and listed in the same way.
//! - [`work()`]: takes jobs from a store and runs them, until it is told to stop.
//!
//! The promises: a job that [`Store::push`] has returned for is stored. A job runs **at least
//! once**. If its worker dies, it runs again on another worker. A job that fails is retried later,
//! and kept with its reason when it has failed often enough. A job that cannot be decoded is kept
//! as failed, with its name and the reason, and does not delay others. At least once is not exactly
//! once: a job must have the same effect when it runs twice.
//!
//! The queue itself is the library `apalis`. Where it does not keep these promises by itself, a
//! comment beginning with `apalis:` says what it does and what is done about it here.

mod entry;
mod job;
mod redis;
mod sqlite;
mod store;
mod worker;

pub use entry::{Entry, Error, State};
pub use job::Job;
pub use store::{Place, Store};
pub use worker::{MOST_RUNS, Settings, work};
