//! A fence that one process executes in others, which spares those a fence of their own.
//!
//! Source: `membarrier(2)`, since Linux 4.16.

use rustix::thread::{MembarrierCommand, membarrier};

/// Makes the barriers of other processes reach this one; false if the system has none.
pub(crate) fn accept() -> bool {
    membarrier(MembarrierCommand::RegisterGlobalExpedited).is_ok()
}

/// Executes a full fence on every thread of the processes that [accept] it, and on this one; false
/// if the system has none.
pub(crate) fn execute() -> bool {
    membarrier(MembarrierCommand::GlobalExpedited).is_ok()
}
