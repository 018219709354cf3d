//! The clock that all processes share.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time of `CLOCK_MONOTONIC`. [`std::time::Instant`] has the same, and cannot be sent.
pub(crate) fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
