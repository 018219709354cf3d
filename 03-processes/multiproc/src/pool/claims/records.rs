//! The format of results in a worker's log, in shared memory and in messages.
//!
//! A record is one word with the tag in the upper byte and the length below it, then the bytes,
//! padded with zeros to whole words. A record with the tag [`RUN`] stands for several empty results
//! and has no bytes: its length is their number.

use crate::shm::atomic::{AtomicU64, Ordering};

/// The tag of a record that stands for several empty results; its length is their number.
pub(super) const RUN: u8 = 0xff;

/// The first word of a record.
#[inline]
pub(super) fn head(tag: u8, len: u64) -> u64 {
    u64::from(tag) << 56 | len
}

/// Appends shared words to `bytes`.
pub(super) fn append_words(words: &[AtomicU64], bytes: &mut Vec<u8>) {
    bytes.reserve(words.len() * 8);
    for word in words {
        bytes.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
    }
}

/// An iterator over records: each result with its tag.
#[derive(Clone, Copy)]
pub(in crate::pool) struct Records<'a> {
    bytes: &'a [u8],
    /// How many empty results come before those in `bytes`.
    run: usize,
}

impl<'a> Records<'a> {
    pub(in crate::pool) fn new(bytes: &'a [u8]) -> Self {
        Self::resume((0, bytes))
    }

    /// Appends a record to `bytes`.
    pub(in crate::pool) fn append(tag: u8, result: &[u8], bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&head(tag, result.len() as u64).to_le_bytes());
        bytes.extend_from_slice(result);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }

    /// Continues where [`rest`](Self::rest) was taken.
    pub(in crate::pool) fn resume((run, bytes): (usize, &'a [u8])) -> Self {
        Self { bytes, run }
    }

    /// What has not been read: the number of empty results, and the bytes behind them.
    pub(in crate::pool) fn rest(&self) -> (usize, &'a [u8]) {
        (self.run, self.bytes)
    }

    /// How many results there are, up to `limit`.
    pub(in crate::pool) fn count_up_to(mut self, limit: usize) -> usize {
        let mut count = 0;
        while count < limit {
            match self.take_run(limit - count) {
                0 if self.next().is_none() => break,
                0 => count += 1,
                run => count += run,
            }
        }
        count
    }

    /// How many of the next results are empty ones in a row. They have the tag 0.
    pub(in crate::pool) fn run(&mut self) -> usize {
        if self.run == 0
            && let Some((head, rest)) = self.bytes.split_first_chunk::<8>()
            && head[7] == RUN
        {
            self.run = (u64::from_le_bytes(*head) & !(0xff << 56)) as usize;
            self.bytes = rest;
        }
        self.run
    }

    /// Takes up to `limit` of those, and returns their number.
    pub(in crate::pool) fn take_run(&mut self, limit: usize) -> usize {
        let taken = self.run().min(limit);
        self.run -= taken;
        taken
    }

    /// Skips results.
    pub(in crate::pool) fn skip_results(&mut self, mut count: usize) {
        while count > 0 {
            match self.take_run(count) {
                0 if self.next().is_none() => return,
                0 => count -= 1,
                run => count -= run,
            }
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (u8, &'a [u8]);

    // Out of line, the caller would read the tag back wider than it was written, and stall.
    #[inline(always)]
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        if self.take_run(1) == 1 {
            return Some((0, &[]));
        }
        let (head, rest) = self.bytes.split_first_chunk::<8>()?;
        let head = u64::from_le_bytes(*head);
        let len = (head & !(0xff << 56)) as usize;
        let (padded, rest) = rest.split_at_checked(len.next_multiple_of(8))?;
        self.bytes = rest;
        Some(((head >> 56) as u8, &padded[..len]))
    }
}
