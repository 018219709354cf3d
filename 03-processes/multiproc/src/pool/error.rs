//! Why a pool could not be started, and why a task has no result.

use std::fmt;

use crate::ipc::error::{DecodeError, EncodeError};
use crate::process::SpawnError;
use crate::sys::fork;
use crate::sys::panics::Panic;

/// Why a pool could not be started. No worker is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// A pool without workers would never run a task; nor would workers that may run none.
    NoWorkers,
    /// A worker could not be started.
    Spawn(SpawnError),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWorkers => {
                f.write_str("a pool needs at least one worker, and a worker at least one task")
            }
            Self::Spawn(error) => write!(f, "a worker cannot be started: {error}"),
        }
    }
}

impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoWorkers => None,
            Self::Spawn(error) => Some(error),
        }
    }
}

impl From<SpawnError> for PoolError {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error)
    }
}

/// Why a task has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// The function panicked. The worker goes on, unless the program is built with
    /// `panic = "abort"`: then another one takes its place.
    Panicked {
        /// The panic's message.
        message: String,
        /// `file:line:column`.
        location: String,
    },
    /// The worker ended after it had begun the task, and before it had published the result.
    WorkerLost {
        /// The signal that killed it; `None` if the task exited ([`std::process::exit`]), or if the
        /// program has taken the worker's exit status itself.
        signal: Option<i32>,
    },
    /// The argument could not be encoded, or takes 4 GiB or more, and the task was not submitted;
    /// or the result could not be encoded, after the function had run.
    Encode(EncodeError),
    /// The argument could not be decoded, and the function has not run; or the result could not be,
    /// after it had: its `Deserialize` refused it, panicked, or left a part of it unread. The bytes
    /// of the argument or the result are in the error.
    Decode(DecodeError),
    /// The task was [cancelled](crate::AsyncResult::cancel).
    Cancelled,
    /// The task took longer than its [time limit](crate::pool::Options::time_limit), and its worker
    /// was killed.
    TimedOut,
    /// The pool was closed before the task was submitted.
    Closed,
    /// The pool was terminated, or dropped, before the task had ended.
    Terminated,
    /// The pool's workers cannot be kept running: see [when a worker cannot be
    /// started](crate::pool#when-a-worker-cannot-be-started). The reason.
    Broken(String),
    /// The thread that draws the arguments of an [`imap`](crate::Pool::imap) cannot be started. The
    /// reason.
    NoThread(String),
    /// This process is a fork of the one that has the pool.
    Forked,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { message, location } => {
                write!(f, "the task panicked at {location}: {message}")
            }
            Self::WorkerLost { signal: Some(signal) } => {
                write!(f, "the task's worker was killed by signal {signal}")
            }
            Self::WorkerLost { signal: None } => f.write_str("the task's worker exited"),
            Self::Encode(error) => {
                write!(f, "the task's argument or result cannot be encoded: {}", error.reason())
            }
            Self::Decode(error) => {
                write!(f, "the task's argument or result cannot be decoded: {}", error.reason())
            }
            Self::Cancelled => f.write_str("the task was cancelled"),
            Self::TimedOut => f.write_str("the task exceeded its time limit"),
            Self::Closed => f.write_str("the pool is closed"),
            Self::Terminated => f.write_str("the pool was terminated"),
            Self::Broken(reason) => write!(f, "the pool is broken: {reason}"),
            Self::NoThread(reason) => {
                write!(f, "the thread that draws the arguments cannot be started: {reason}")
            }
            Self::Forked => f.write_str(fork::EXPLANATION),
        }
    }
}

impl std::error::Error for TaskError {}

impl From<Panic> for TaskError {
    fn from(Panic { message, location }: Panic) -> Self {
        Self::Panicked { message, location }
    }
}
