//! When a wait has to end.

use std::time::{Duration, Instant};

/// When a wait has to end; `None` is never.
pub(crate) type Deadline = Option<Instant>;

/// The deadline `timeout` from now: never, when it lies beyond what the clock can represent.
pub(crate) fn deadline_after(timeout: Duration) -> Deadline {
    Instant::now().checked_add(timeout)
}

/// The time left until a deadline: none when it has passed, as much as there is when it is never.
pub(crate) fn time_left(deadline: Deadline) -> Duration {
    deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
}
