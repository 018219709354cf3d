//! The caller's side of a `map`: fetching results, and decoding them in the order of their tasks.
//!
//! The caller decodes while others are still to come, so that few results wait as bytes.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::consumer::Consumer;
use super::monitor::Monitor;
use super::outcome::{panicked, value};
use super::runs::{Run, Runs};
use super::sink::Gather;
use crate::pool::buffer::keep_small;
use crate::pool::claims::Records;
use crate::pool::error::TaskError;
use crate::pool::messages::tag;
use crate::sys::panics;

/// A result that came before its turn.
enum Early {
    Run(Run, Vec<u8>),
    Error(TaskError),
}

/// Decodes the results in the order of their tasks, and passes them to the consumer.
pub(in crate::pool) struct Ordered<S> {
    consumer: S,
    /// Whether it wants more.
    wants_more: bool,
    /// The index of the next result.
    next: usize,
    early: BTreeMap<usize, Early>,
    /// Buffers that go back and forth.
    runs: Vec<Run>,
    bytes: Vec<u8>,
}

impl<S> Ordered<S> {
    pub(in crate::pool) fn new(consumer: S) -> Self {
        Self {
            consumer,
            wants_more: true,
            next: 0,
            early: BTreeMap::new(),
            runs: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Fetches the results that are there, if there are many.
    pub(in crate::pool) fn fetch_many<T>(&mut self, results: &Monitor<Runs>)
    where
        T: DeserializeOwned,
        S: Consumer<T>,
    {
        let mut there = results.lock();
        if there.is_ready() {
            let errors = self.exchange(&mut there);
            drop(there);
            self.decode(errors);
        }
    }

    /// Fetches all results, waiting for those that are still to come.
    pub(in crate::pool) fn fetch_all<T>(mut self, results: &Monitor<Runs>) -> S
    where
        T: DeserializeOwned,
        S: Consumer<T>,
    {
        loop {
            let fetched = results.wait(None, |there| {
                let is_complete = there.is_complete();
                there.is_ready().then(|| (is_complete, self.exchange(there)))
            });
            let (is_complete, errors) = fetched.expect("without a deadline there are results");
            self.decode(errors);
            if is_complete {
                return self.consumer;
            }
        }
    }

    /// Takes what is there, and leaves empty buffers.
    fn exchange(&mut self, there: &mut Runs) -> Vec<(usize, TaskError)> {
        self.runs.clear();
        self.bytes.clear();
        keep_small(&mut self.bytes);
        std::mem::swap(&mut self.runs, &mut there.runs);
        std::mem::swap(&mut self.bytes, &mut there.bytes);
        there.waiting = 0;
        std::mem::take(&mut there.errors)
    }

    /// Decodes what was taken, as far as its turn has come.
    fn decode<T>(&mut self, errors: Vec<(usize, TaskError)>)
    where
        T: DeserializeOwned,
        S: Consumer<T>,
    {
        for (index, error) in errors {
            self.early.insert(index, Early::Error(error));
        }
        let (runs, bytes) = (std::mem::take(&mut self.runs), std::mem::take(&mut self.bytes));
        self.decode_early();
        let mut rest = &bytes[..];
        for run in &runs {
            let (records, behind) = rest.split_at(run.length);
            rest = behind;
            if run.first == self.next {
                self.decode_run(run, records);
            } else {
                let run = Run { ..*run };
                self.early.insert(run.first, Early::Run(run, records.to_vec()));
            }
            self.decode_early();
        }
        (self.runs, self.bytes) = (runs, bytes);
    }

    /// Decodes what came before its turn, where that has come.
    fn decode_early<T>(&mut self)
    where
        T: DeserializeOwned,
        S: Consumer<T>,
    {
        while let Some(early) = self.early.first_entry()
            && *early.key() == self.next
        {
            match early.remove() {
                Early::Run(run, records) => self.decode_run(&run, &records),
                Early::Error(error) => {
                    self.next += 1;
                    self.wants_more = self.wants_more && self.consumer.take(Err(error));
                }
            }
        }
    }

    /// Decodes the run whose turn it is. A panic in the caller's `Deserialize` is an error of that
    /// result, and the others follow.
    fn decode_run<T>(&mut self, run: &Run, bytes: &[u8])
    where
        T: DeserializeOwned,
        S: Consumer<T>,
    {
        self.next += run.count;
        let mut records = Records::resume((run.empty, bytes));
        let mut left = run.count;
        // One `catch` for many results.
        while self.wants_more && left > 0 {
            let (mut before, before_left) = (records, left);
            let decoded = panics::catch(|| {
                while left > 0 {
                    // Empty results in a row need no look at each record.
                    let empty = records.run().min(left);
                    let mut row =
                        Row { left: empty, all: empty, records: &mut records, of: &mut left };
                    let wants_more = self.consumer.take_all(|| {
                        row.left = row.left.checked_sub(1)?;
                        Some(value(tag::RETURNED, &[]))
                    });
                    drop(row);
                    if !wants_more || left == 0 {
                        return wants_more;
                    }
                    left -= 1;
                    let result = match records.next() {
                        Some((tag, bytes)) => value(tag, bytes),
                        None => Err(TaskError::Broken("a result is missing".to_owned())),
                    };
                    if !self.consumer.take(result) {
                        return false;
                    }
                }
                true
            });
            self.wants_more = match decoded {
                Ok(wants_more) => wants_more,
                Err(panic) => {
                    before.skip_results(before_left - left - 1);
                    let bytes = before.next().map_or(&[][..], |(_, bytes)| bytes);
                    self.consumer.take(Err(panicked(panic, bytes)))
                }
            };
        }
    }
}

/// A row of empty results. What is left is counted in a register, and those that were decoded are
/// passed over at the end, also when a panic ends the row.
struct Row<'a, 'b> {
    left: usize,
    all: usize,
    records: &'a mut Records<'b>,
    of: &'a mut usize,
}

impl Drop for Row<'_, '_> {
    fn drop(&mut self) {
        let decoded = self.all - self.left;
        self.records.take_run(decoded);
        *self.of -= decoded;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::codec;
    use crate::pool::gather::{Sink, Values};
    use std::sync::atomic::{AtomicU32, Ordering};

    fn encoded(number: &usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::encode_own(number, &mut bytes);
        bytes
    }

    /// A record for each of these numbers.
    fn records(numbers: std::ops::Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in numbers {
            Records::append(tag::RETURNED, &encoded(&number), &mut bytes);
        }
        bytes
    }

    /// The results of 0..total, where these come together (first, count), these have an error, and
    /// the others come alone, the last one first.
    fn fetched(
        total: usize,
        runs: &[(usize, usize)],
        errors: &[usize],
        step_by_step: bool,
    ) -> Vec<Result<usize, TaskError>> {
        let monitor = Monitor::new(Runs::default());
        let mut ordered = Ordered::new(Vec::new());
        let mut fetch = || {
            if step_by_step {
                let errors = ordered.exchange(&mut monitor.lock());
                ordered.decode(errors);
            }
        };
        for &(first, count) in runs {
            let bytes = records(first..first + count);
            assert_eq!(monitor.deliver_records(first, total, Records::new(&bytes)), count);
            fetch();
        }
        for index in errors {
            monitor.fail(*index, 1, &TaskError::Closed);
            fetch();
        }
        for index in (0..total).rev() {
            if !errors.contains(&index)
                && !runs.iter().any(|(first, count)| (*first..first + count).contains(&index))
            {
                assert!(!monitor.lock().is_complete());
                monitor.deliver(index, tag::RETURNED, &encoded(&index));
                fetch();
            }
        }
        monitor.lock().set_total(total);
        ordered.fetch_all(&monitor)
    }

    #[test]
    fn results_are_in_order_however_they_come() {
        for (total, runs) in [
            (0, &[][..]),
            (10, &[]),
            (10, &[(6, 4), (0, 2), (4, 2), (2, 2)]),
            (10, &[(5, 2), (1, 3)]),
        ] {
            for step_by_step in [false, true] {
                let results = fetched(total, runs, &[], step_by_step);
                assert!(results.into_iter().map(Result::unwrap).eq(0..total), "{runs:?}");
            }
        }
        for step_by_step in [false, true] {
            let results = fetched(9, &[(3, 2)], &[2, 5, 8], step_by_step);
            assert_eq!(results.len(), 9);
            for (index, result) in results.into_iter().enumerate() {
                let is_error = [2, 5, 8].contains(&index);
                assert_eq!(result, if is_error { Err(TaskError::Closed) } else { Ok(index) });
            }
        }
    }

    #[test]
    fn values_end_at_the_first_error() {
        let monitor = Monitor::new(Runs::default());
        let ordered = Ordered::new(Values::new());
        // The fourth is not a number.
        let mut bytes = records(0..3);
        Records::append(tag::RETURNED, &[], &mut bytes);
        bytes.extend(records(4..5));
        monitor.deliver_records(0, 5, Records::new(&bytes));
        monitor.fail(5, 1, &TaskError::Closed);
        monitor.lock().set_total(6);
        let values = ordered.fetch_all::<usize>(&monitor);
        let error = values.into_result().unwrap_err();
        assert!(matches!(error, TaskError::Decode(_)), "{error:?}");
    }

    #[test]
    fn empty_results_in_a_row_are_kept_as_a_number() {
        /// Every tenth one panics when it is decoded.
        struct Panics;
        impl<'de> serde::Deserialize<'de> for Panics {
            fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                static DECODED: AtomicU32 = AtomicU32::new(0);
                assert!(DECODED.fetch_add(1, Ordering::Relaxed) % 10 != 9, "the tenth");
                Ok(Self)
            }
        }
        let monitor = Monitor::new(Runs::default());
        let mut bytes = records(0..1);
        bytes.extend_from_slice(&(u64::from(u8::MAX) << 56 | 1000).to_le_bytes());
        bytes.extend_from_slice(&records(1..2));
        // Some of them were read before.
        let mut rest = Records::new(&bytes);
        rest.skip_results(11);
        assert_eq!(monitor.deliver_records(0, 2000, rest), 991);
        monitor.lock().set_total(991);
        let results: Vec<Result<Panics, _>> = Ordered::new(Vec::new()).fetch_all(&monitor);
        assert_eq!(results.len(), 991);
        // The last one has a byte too many.
        for (at, result) in results.into_iter().enumerate() {
            assert_eq!(result.is_ok(), at % 10 != 9 && at != 990, "{at}");
        }
    }
}
