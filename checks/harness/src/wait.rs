//! Waiting for what a test expects.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Polls until `holds` returns true or `time` has passed, and returns whether it held.
pub fn wait_until(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + time;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}
