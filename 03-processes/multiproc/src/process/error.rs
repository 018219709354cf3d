//! Why a process could not be started, and why one has no result.

use std::fmt;
use std::io;

use crate::ipc::error::{DecodeError, EncodeError};
use crate::process::reaper::End;
use crate::sys::fork;
use crate::sys::panics::Panic;
use crate::sys::sync;

/// Why a process could not be started. None is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// The program has not called [`init`](crate::init()), so a child could not find out that it is
    /// one.
    NotInitialized,
    /// The argument cannot be encoded.
    Encode(EncodeError),
    /// The function is in a shared library, not in the program's executable, and its address there
    /// cannot be told to another process.
    NotInExecutable,
    /// This program, started again, would not get as far as the function; the reason. It runs
    /// set-user-ID, for example, or was started through the dynamic loader.
    CannotStartAgain(&'static str),
    /// This process is a fork of one that has used this library.
    Forked,
    /// The thread is ending: `main` has returned, or this is an exit handler.
    Exiting,
    /// The system refused.
    Io(io::Error),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInitialized => f.write_str(
                "no process can be started before `multiproc::init()`: make it the first statement \
                 of `main` (in tests: `multiproc::init_tests!();` at the top of the file)",
            ),
            Self::Encode(error) => write!(f, "the argument cannot be encoded: {}", error.reason()),
            Self::NotInExecutable => f.write_str("the function is not in the program's executable"),
            Self::CannotStartAgain(reason) => {
                write!(f, "this program cannot be started again: {reason}")
            }
            Self::Forked => write!(f, "the process cannot be started: {}", fork::EXPLANATION),
            Self::Exiting => write!(f, "the process cannot be started: {}", sync::ENDING),
            Self::Io(error) => write!(f, "the process cannot be started: {error}"),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for SpawnError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a process has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// It has not ended within the time given. It goes on running.
    TimedOut,
    /// The function panicked.
    Panicked {
        /// What the panic said.
        message: String,
        /// `file:line:column`.
        location: String,
    },
    /// The process exited before the function returned ([`std::process::exit`]).
    Exited {
        /// The exit code, 0 to 255.
        code: i32,
    },
    /// A signal killed it before the function returned.
    Killed {
        /// The signal's number: 9 is `SIGKILL`, 15 is `SIGTERM`, 11 is `SIGSEGV`.
        signal: i32,
    },
    /// The function did not run: the argument could not be decoded, or the process could not set
    /// itself up; the reason.
    NotRun(String),
    /// The result cannot be encoded, or the system did not let the process send it.
    Encode(EncodeError),
    /// The result cannot be decoded: its bytes are in the error.
    Decode(DecodeError),
    /// It ended without a result, and its exit status was taken by somebody else: this program
    /// ignores `SIGCHLD` or waits for any child.
    StatusLost,
    /// This process is a fork of the one that started it.
    Forked,
    /// The system refused to wait or to receive. [`QuotaExceeded`](io::ErrorKind::QuotaExceeded):
    /// too many files are open to receive a result that has descriptors in it or is larger than 32
    /// KiB. It is not lost: join again when some have been closed.
    Io(io::ErrorKind),
}

impl From<Panic> for JoinError {
    fn from(Panic { message, location }: Panic) -> Self {
        Self::Panicked { message, location }
    }
}

impl From<End> for JoinError {
    fn from(end: End) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match end {
            End::Unknown => Self::StatusLost,
            End::Status(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Self::Exited { code },
                (None, signal) => Self::Killed { signal: signal.unwrap_or(0) },
            },
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the process has not ended yet"),
            Self::Panicked { message, location } => {
                write!(f, "the process panicked at {location}: {message}")
            }
            Self::Exited { code } => {
                write!(f, "the process exited with code {code} before its function returned")
            }
            Self::Killed { signal } => write!(f, "the process was killed by signal {signal}"),
            Self::NotRun(reason) => write!(f, "the process could not run its function: {reason}"),
            Self::Encode(error) => {
                write!(f, "the process's result cannot be encoded: {}", error.reason())
            }
            Self::Decode(error) => {
                write!(f, "the process's result cannot be decoded: {}", error.reason())
            }
            Self::StatusLost => {
                f.write_str("the process ended, and somebody else took its exit status")
            }
            Self::Forked => f.write_str(fork::EXPLANATION),
            Self::Io(io::ErrorKind::QuotaExceeded) => f.write_str(
                "the process's result cannot be received: too many open files; join again when \
                 some have been closed",
            ),
            Self::Io(kind) => write!(f, "the process's result cannot be received: {kind}"),
        }
    }
}

impl std::error::Error for JoinError {}
