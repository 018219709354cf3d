//! Waiting until one of several descriptors is ready, with a deadline.

use std::io;
use std::time::Instant;

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

use crate::sys::sync::Deadline;

/// Waits until one of the descriptors has one of its events, and says how many have: 0 when the
/// deadline passed first.
pub(crate) fn until(fds: &mut [PollFd<'_>], deadline: Deadline) -> io::Result<usize> {
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        // More seconds than a `timespec` holds is as good as forever.
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(fds, left.as_ref()) {
            Err(Errno::INTR) => continue,
            Ok(ready) => return Ok(ready),
            Err(error) => return Err(error.into()),
        }
    }
}
