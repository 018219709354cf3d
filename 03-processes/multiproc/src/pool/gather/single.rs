//! The result of one task: `apply` and `apply_async`.

use super::monitor::Monitor;
use super::outcome::{Encoded, Outcome};
use super::sink::Gather;
use crate::pool::error::TaskError;
use crate::shm::arena::Region;

/// Where the result of one task waits.
pub(in crate::pool) type Single = Monitor<Option<Outcome>>;

impl Gather for Option<Outcome> {
    fn fail(&mut self, _index: usize, error: TaskError) {
        *self = Some(Err(error));
    }

    fn gather(&mut self, _index: usize, tag: u8, bytes: &[u8], kept: Vec<Region>) {
        *self = Some(Ok(Encoded { tag, bytes: bytes.to_vec(), kept }));
    }

    fn is_ready(&self) -> bool {
        self.is_some()
    }
}
