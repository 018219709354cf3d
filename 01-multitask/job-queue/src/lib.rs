//! What the case `1_1_8_job_queue` stands on: one queue of jobs over two stores, and a worker that keeps its promises.
//!
//! - [`Store`]: a SQLite file, or Redis. Jobs are put in, and looked at, in the same way.
//! - [`work()`]: takes jobs from a store and runs them, until it is told to stop.
//!
//! The promises: what [`Store::push`] has returned for is stored; a job runs **at least once**; one whose worker died runs again
//! on another; one that fails is tried again later, and kept with its reason when it has failed often enough.
//! At least once, not exactly once: so a job must have the same effect when it runs twice.
//!
//! The queue itself is the library `apalis`. Where it does not keep these promises by itself, a comment beginning with
//! `apalis:` says what it does and what is done about it here.

mod redis;
mod sqlite;
mod store;
mod worker;

pub use store::{Entry, Error, Place, State, Store};
pub use worker::{MOST_RUNS, Settings, work};

use ::serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is to be done: the checksum of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The file to read.
    pub file: PathBuf,
    /// The folder the result goes to.
    pub results: PathBuf,
    /// What makes it this job and no other: its result stands under this name, and a store takes it only once.
    pub key: String,
}
