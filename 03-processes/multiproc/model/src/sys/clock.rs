//! In place of `sys/clock.rs`: a clock that the scenario sets.

use std::cell::Cell;
use std::time::Duration;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn set(nanos: u64) {
    NOW.set(nanos);
}

pub(crate) fn now() -> Duration {
    Duration::from_nanos(NOW.get())
}
