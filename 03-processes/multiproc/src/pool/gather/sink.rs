//! Where the collector delivers results.

use super::monitor::Monitor;
use crate::ipc::codec;
use crate::pool::claims::Records;
use crate::pool::error::TaskError;
use crate::pool::messages::tag;
use crate::shm::arena::{self, Region, RegionId};

/// Where the results of one call go. Each task gets one result, once.
pub(in crate::pool) trait Sink: Send + Sync {
    /// Delivers the same error for `count` tasks, from index `first` on.
    fn fail(&self, first: usize, count: usize, error: &TaskError);

    /// Delivers a worker's result for the task of this index.
    fn deliver(&self, index: usize, tag: u8, bytes: &[u8]);

    /// Delivers the results of up to `limit` tasks that follow one another, from this index on.
    /// Returns how many there were.
    fn deliver_records(&self, index: usize, limit: usize, records: Records<'_>) -> usize;
}

/// A collection of results that were not fetched yet.
pub(in crate::pool) trait Gather: Send {
    /// The task of this index has no result.
    fn fail(&mut self, index: usize, error: TaskError);

    /// Adds the result of the task of this index.
    fn gather(&mut self, index: usize, tag: u8, bytes: &[u8], kept: Vec<Region>);

    /// Adds the results of `count` tasks, from this index on.
    fn gather_records(&mut self, index: usize, count: usize, records: Records<'_>) {
        for (offset, (tag, bytes)) in records.take(count).enumerate() {
            self.gather(index + offset, tag, bytes, Vec::new());
        }
    }

    /// Whether a thread that waits should be woken.
    fn is_ready(&self) -> bool;
}

impl<G: Gather> Sink for Monitor<G> {
    fn fail(&self, first: usize, count: usize, error: &TaskError) {
        let fail_all = |gathered: &mut G| {
            (first..first + count).for_each(|index| gathered.fail(index, error.clone()));
        };
        self.change(fail_all, G::is_ready);
    }

    fn deliver(&self, index: usize, tag: u8, bytes: &[u8]) {
        let (tag, bytes, kept) = match tag {
            tag::HANDLES => adopt(bytes),
            tag => (tag, bytes, Vec::new()),
        };
        self.change(|gathered| gathered.gather(index, tag, bytes, kept), G::is_ready);
    }

    fn deliver_records(&self, index: usize, limit: usize, records: Records<'_>) -> usize {
        let count = records.count_up_to(limit);
        if count > 0 {
            self.change(|gathered| gathered.gather_records(index, count, records), G::is_ready);
        }
        count
    }
}

/// Takes over what the handles in a result refer to. They are listed before it.
#[cold]
fn adopt(bytes: &[u8]) -> (u8, &[u8], Vec<Region>) {
    match codec::decode_header::<Vec<RegionId>>(bytes) {
        Ok((handles, rest)) => (tag::RETURNED, rest, arena::adopt(&handles)),
        Err(_) => (tag::RETURNED, bytes, Vec::new()),
    }
}
