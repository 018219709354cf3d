//! The results of an `imap` or an `imap_unordered` that were not fetched yet.

use std::collections::VecDeque;

use super::outcome::{Encoded, Outcome};
use super::sink::Gather;
use crate::pool::error::TaskError;
use crate::shm::arena::Region;

/// Results that are fetched one by one.
pub(in crate::pool) struct Stream {
    is_ordered: bool,
    /// In the order in which they came; or, if ordered, from the index `taken` on.
    results: VecDeque<Option<Outcome>>,
    taken: usize,
}

impl Stream {
    pub(in crate::pool) fn new(is_ordered: bool) -> Self {
        Self { is_ordered, results: VecDeque::new(), taken: 0 }
    }

    /// How many results were taken.
    pub(in crate::pool) fn taken(&self) -> usize {
        self.taken
    }

    /// Takes the next result, if it is there.
    pub(in crate::pool) fn take(&mut self) -> Option<Outcome> {
        let result = self.results.front_mut()?.take()?;
        self.results.pop_front();
        self.taken += 1;
        Some(result)
    }

    /// Removes the results that are there.
    pub(in crate::pool) fn clear(&mut self) -> VecDeque<Option<Outcome>> {
        std::mem::take(&mut self.results)
    }

    fn put(&mut self, index: usize, outcome: Outcome) {
        if !self.is_ordered {
            return self.results.push_back(Some(outcome));
        }
        let Some(offset) = index.checked_sub(self.taken) else {
            return;
        };
        if offset >= self.results.len() {
            self.results.resize_with(offset + 1, || None);
        }
        self.results[offset] = Some(outcome);
    }
}

impl Gather for Stream {
    fn fail(&mut self, index: usize, error: TaskError) {
        self.put(index, Err(error));
    }

    fn gather(&mut self, index: usize, tag: u8, bytes: &[u8], kept: Vec<Region>) {
        self.put(index, Ok(Encoded { tag, bytes: bytes.to_vec(), kept }));
    }

    fn is_ready(&self) -> bool {
        self.results.front().is_some_and(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::gather::outcome::decode;
    use crate::pool::gather::{Monitor, Sink};
    use crate::pool::messages::tag;

    #[test]
    fn a_stream_is_in_order_or_as_the_results_come() {
        for (is_ordered, expected) in [(true, [0, 1, 2, 3]), (false, [2, 0, 3, 1])] {
            let stream = Monitor::new(Stream::new(is_ordered));
            let mut taken = Vec::new();
            for index in [2_usize, 0, 3, 1] {
                let mut bytes = Vec::new();
                crate::ipc::codec::encode_own(&index, &mut bytes);
                stream.deliver(index, tag::RETURNED, &bytes);
                while let Some(outcome) = stream.lock().take() {
                    taken.push(decode::<usize>(outcome).unwrap());
                }
            }
            assert_eq!(taken, expected);
        }
    }
}
