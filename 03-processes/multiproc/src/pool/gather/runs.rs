//! The results of a `map` that the caller has not fetched.

use super::sink::Gather;
use crate::pool::claims::Records;
use crate::pool::error::TaskError;
use crate::shm::arena::Region;

/// The caller is woken for so many results, or so many bytes.
const MANY: usize = 4096;
const MANY_BYTES: usize = 64 * 1024;

/// Results in *runs*: those of tasks that follow one another. So the collector copies what a worker
/// sent as a whole, and does not look at each result.
#[derive(Default)]
pub(in crate::pool) struct Runs {
    pub(super) runs: Vec<Run>,
    /// The records of all runs, one after the other.
    pub(super) bytes: Vec<u8>,
    pub(super) errors: Vec<(usize, TaskError)>,
    /// How many results these are.
    pub(super) waiting: usize,
    /// What the handles in any of the results refer to, held until all have been decoded.
    kept: Vec<Region>,
    /// How many tasks have ended.
    ended: usize,
    /// How many tasks there are, once that is known.
    total: Option<usize>,
}

/// Results of tasks that follow one another: [`Records`].
pub(super) struct Run {
    /// The index of the first task.
    pub(super) first: usize,
    pub(super) count: usize,
    /// How many empty results come first.
    pub(super) empty: usize,
    /// How many bytes the others take.
    pub(super) length: usize,
}

impl Runs {
    /// Sets how many tasks there are.
    pub(in crate::pool) fn set_total(&mut self, total: usize) {
        self.total = Some(total);
    }

    /// Whether all tasks have ended.
    pub(super) fn is_complete(&self) -> bool {
        self.total == Some(self.ended)
    }
}

impl Gather for Runs {
    fn fail(&mut self, index: usize, error: TaskError) {
        self.ended += 1;
        self.waiting += 1;
        self.errors.push((index, error));
    }

    fn gather(&mut self, index: usize, tag: u8, bytes: &[u8], kept: Vec<Region>) {
        self.kept.extend(kept);
        self.ended += 1;
        self.waiting += 1;
        let before = self.bytes.len();
        Records::append(tag, bytes, &mut self.bytes);
        let length = self.bytes.len() - before;
        self.runs.push(Run { first: index, count: 1, empty: 0, length });
    }

    fn gather_records(&mut self, index: usize, count: usize, records: Records<'_>) {
        self.ended += count;
        self.waiting += count;
        let (empty, bytes) = records.rest();
        self.bytes.extend_from_slice(bytes);
        self.runs.push(Run { first: index, count, empty, length: bytes.len() });
    }

    fn is_ready(&self) -> bool {
        self.is_complete() || self.waiting >= MANY || self.bytes.len() >= MANY_BYTES
    }
}
