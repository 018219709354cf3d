//! What a worker has begun and what it has finished, in memory that outlives the worker.
//!
//! These are some pages shared by the pool and one worker. They hold three things.
//!
//! **Offers.** Each batch of tasks given to the worker has a place (its number modulo [`PLACES`]):
//! *offered* by the pool before it is sent, *begun* by the worker before it runs. The pool may take
//! an offer back until then, to give the batch to a worker that has nothing to do. Both moves are
//! one compare-and-swap on the same word, so a batch is begun once or taken back, never both; and
//! after a death the pool knows exactly which one was being run.
//!
//! **The limit.** The tasks of a batch are run one after the other. The pool can take back those
//! that the worker has not begun, so that they do not wait behind a long one. The worker publishes
//! each result in the log and then reads the limit, before it begins the next task. The pool
//! *proposes* a limit, executes a barrier in the worker (`membarrier`), and then reads the log.
//! Therefore either the worker sees the proposal before it begins a task behind the limit, or the
//! pool sees the result of the last task before it. A proposal is decided by one compare-and-swap:
//! the worker confirms it, or the pool confirms or withdraws it, whichever comes first. The barrier
//! spares the worker a fence per task, which would cost more than a short task. (The technique is
//! known as an asymmetric fence; see `membarrier(2)`.)
//!
//! **The log.** Results of a batch of several tasks are gathered here, one after the other, and
//! sent together: a message for each would cost more than a short task. A result counts once it is
//! in the log, even if the worker dies before it sends it. The worker stores how much there is
//! after each result, and counts the log's *epoch* up when it begins it anew. The pool may read at
//! any time: it looks at epoch and length, reads, looks again, and drops what it read if the epoch
//! has changed (a sequence lock; H.-J. Boehm, "Can Seqlocks Get Along With Programming Language
//! Memory Models?", 2012).

use std::io;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence, fence};

use rustix::thread::{MembarrierCommand, membarrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::shm::arena::{self, Region, RegionId};
use crate::shm::mapping::{Mapping, shared_struct};

/// Tasks a worker can have at a time.
pub(super) const PLACES: usize = 256;

/// Words of the log: 64 KiB.
const LOG: usize = 8192;

const BEGUN: u64 = 1 << 63;

/// In a limit: the pool has proposed it, and it is not decided.
const PROPOSED: u64 = 1 << 31;

/// The lower half of a word.
const LOW: u64 = 0xffff_ffff;

shared_struct! {
    /// What lies in the shared memory. All zero is valid: nothing offered, nothing logged.
    struct Words {
        /// The number of the batch offered there, with [`BEGUN`] once it is, or 0.
        places: [AtomicU64; PLACES],
        /// The number of the latest message that the worker has received.
        received: AtomicU64,
        /// 1 if the pool's barriers reach the worker.
        has_barriers: AtomicU64,
        /// The batch's number in the upper half, [`PROPOSED`] or not, and how many of its tasks the
        /// worker may run.
        limit: AtomicU64,
        /// The log's epoch in the upper half, its length in words in the lower one.
        state: AtomicU64,
        /// The batch whose results the log holds.
        batch: AtomicU64,
        /// The position in the batch of the log's first result.
        first: AtomicU64,
        log: [AtomicU64; LOG],
    }
}

const SIZE: usize = size_of::<Words>();

/// The shared pages, in either process.
pub(super) struct Board {
    region: Region,
    memory: Mapping,
}

/// Results read from a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Logged {
    /// The batch they are of.
    pub(super) batch: u64,
    /// The position in the batch of the first one.
    pub(super) first: usize,
    /// [`Records`].
    pub(super) bytes: Vec<u8>,
}

impl Board {
    /// A new board with nothing offered.
    pub(super) fn new() -> io::Result<Self> {
        Self::map(Region::create(SIZE as u64)?)
    }

    fn map(region: Region) -> io::Result<Self> {
        let memory = region.map(0, SIZE)?;
        Ok(Self { region, memory })
    }

    #[inline]
    fn words(&self) -> &Words {
        self.memory.get(0)
    }

    /// The same board once more.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Self::map(self.region.clone())
    }

    fn place(&self, number: u64) -> &AtomicU64 {
        &self.words().places[number as usize % PLACES]
    }

    /// The pool: the worker may begin task `number` (from 1 on).
    pub(super) fn offer(&self, number: u64) {
        self.place(number).store(number, Ordering::Release);
    }

    /// The pool: takes the offer back; false if the worker has begun it.
    pub(super) fn take_back(&self, number: u64) -> bool {
        self.place(number).compare_exchange(number, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The pool: whether the worker has yet to begin the batch, and may.
    pub(super) fn is_offered(&self, number: u64) -> bool {
        self.place(number).load(Ordering::Acquire) == number
    }

    /// The pool: the number of the latest message that the worker has received.
    pub(super) fn received(&self) -> u64 {
        self.words().received.load(Ordering::Relaxed)
    }

    /// The worker: makes the pool's barriers reach this process. Without them, a batch that has
    /// been begun is not divided.
    pub(super) fn accept_barriers(&self) {
        if membarrier(MembarrierCommand::RegisterGlobalExpedited).is_ok() {
            self.words().has_barriers.store(1, Ordering::Release);
        }
    }

    /// The pool: limits the batch that the worker is in to its first `keep` tasks; false if the
    /// worker may have begun more.
    pub(super) fn limit(&self, number: u64, keep: usize) -> bool {
        let words = self.words();
        if words.has_barriers.load(Ordering::Acquire) == 0
            || !(1..PROPOSED).contains(&(keep as u64))
        {
            return false;
        }
        let confirmed = number << 32 | keep as u64;
        words.limit.store(confirmed | PROPOSED, Ordering::SeqCst);
        // From here on, the worker sees the proposal after each result, or this process sees the
        // result.
        let is_possible = membarrier(MembarrierCommand::GlobalExpedited).is_ok()
            && self.completed(number).is_some_and(|completed| completed < keep);
        let decision = if is_possible { confirmed } else { 0 };
        match words.limit.compare_exchange(
            confirmed | PROPOSED,
            decision,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => is_possible,
            // The worker has confirmed it.
            Err(_) => true,
        }
    }

    /// The pool: how many results of this batch the worker has published. `None` if the log is not
    /// of this batch, or is just begun anew.
    fn completed(&self, number: u64) -> Option<usize> {
        let words = self.words();
        let (state, logged) = self.copy_log();
        let is_whole = words.state.load(Ordering::Relaxed) >> 32 == state >> 32;
        let count = Records::new(&logged.bytes).count_up_to(usize::MAX);
        (is_whole && logged.batch == number).then_some(logged.first + count)
    }

    /// The worker: receives and begins the batch; false if it was taken back.
    pub(super) fn begin(&self, number: u64) -> bool {
        self.words().received.store(number, Ordering::Relaxed);
        self.place(number)
            .compare_exchange(number, number | BEGUN, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// The worker's hold of the log.
pub(super) struct Log {
    board: Board,
    epoch: u64,
    len: usize,
    batch: u64,
    first: usize,
    /// Results before the run that the log ends with.
    count: usize,
    /// Results in that run; 0 if it ends otherwise.
    run: u64,
    /// The number of the batch that is run, in the upper half: every limit for it is larger, and
    /// those for earlier ones are smaller.
    limits: u64,
}

/// The tag of a record that stands for several empty results; its length is their number.
const RUN: u8 = 0xff;

impl Log {
    pub(super) fn new(board: Board) -> Self {
        Self { board, epoch: 0, len: 0, batch: 0, first: 0, count: 0, run: 0, limits: 0 }
    }

    /// Receives and begins a batch; false if it was taken back.
    pub(super) fn begin_batch(&mut self, number: u64) -> bool {
        self.limits = number << 32;
        self.board.begin(number)
    }

    /// Whether the batch's next task may be run, after a result was published; false if the pool
    /// has taken it and those behind it back.
    #[inline]
    pub(super) fn goes_on(&self) -> bool {
        // The processor may still read the limit before the result is published. The pool's barrier
        // excludes that where it matters.
        compiler_fence(Ordering::SeqCst);
        self.board.words().limit.load(Ordering::Relaxed) < self.limits || self.is_within_limit()
    }

    /// The same, where there may be a limit for the batch.
    #[cold]
    fn is_within_limit(&self) -> bool {
        let limit = &self.board.words().limit;
        let next = self.end() as u64;
        loop {
            let word = limit.load(Ordering::Acquire);
            let keep = word & (PROPOSED - 1);
            // Zero is not a limit: a limit allows one task at least.
            if word == 0 || word >> 32 != self.limits >> 32 || next < keep {
                return true;
            }
            if word & PROPOSED == 0 {
                return false;
            }
            // One that was passed before it was proposed will be withdrawn.
            if next > keep {
                return true;
            }
            let confirmed = word & !PROPOSED;
            if limit.compare_exchange(word, confirmed, Ordering::AcqRel, Ordering::Acquire).is_ok()
            {
                return false;
            }
        }
    }

    /// Begins the log anew, for the results of `batch` from position `first` on.
    pub(super) fn begin(&mut self, batch: u64, first: usize) {
        let words = self.board.words();
        self.epoch = (self.epoch + 1) & LOW;
        (self.len, self.batch, self.first, self.count, self.run) = (0, batch, first, 0, 0);
        // A reader that sees anything of what is written from here on also sees the new epoch.
        words.state.store(self.epoch << 32, Ordering::Relaxed);
        fence(Ordering::Release);
        words.batch.store(batch, Ordering::Relaxed);
        words.first.store(first as u64, Ordering::Relaxed);
    }

    /// Adds a result; false if there is no room for it.
    #[inline]
    pub(super) fn push(&mut self, tag: u8, result: &[u8]) -> bool {
        let size = 1 + result.len().div_ceil(8);
        if size > LOG - self.len {
            return false;
        }
        let words = self.board.words();
        let place = &words.log[self.len..self.len + size];
        place[0].store(u64::from(tag) << 56 | result.len() as u64, Ordering::Relaxed);
        let (whole, rest) = result.as_chunks::<8>();
        for (word, bytes) in place[1..].iter().zip(whole) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            place[size - 1].store(u64::from_le_bytes(last), Ordering::Relaxed);
        }
        self.len += size;
        self.count += 1 + self.run as usize;
        self.run = 0;
        words.state.store(self.epoch << 32 | self.len as u64, Ordering::Release);
        true
    }

    /// Adds an empty result, as functions that return nothing have: a number that counts up.
    /// Returns whether the batch [goes on](Self::goes_on); `None` if there is no room.
    #[inline]
    pub(super) fn push_empty(&mut self) -> Option<bool> {
        if self.run == 0 {
            return self.begin_run().then(|| self.goes_on());
        }
        self.run += 1;
        // Behind what the run's functions have done, as the length is.
        let words = self.board.words();
        words.log[self.len - 1].store(u64::from(RUN) << 56 | self.run, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
        Some(words.limit.load(Ordering::Relaxed) < self.limits || self.is_within_limit())
    }

    fn begin_run(&mut self) -> bool {
        if self.len == LOG {
            return false;
        }
        let words = self.board.words();
        words.log[self.len].store(u64::from(RUN) << 56 | 1, Ordering::Release);
        (self.run, self.len) = (1, self.len + 1);
        words.state.store(self.epoch << 32 | self.len as u64, Ordering::Release);
        true
    }

    /// The position after the last result.
    pub(super) fn end(&self) -> usize {
        self.first + self.count + self.run as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends what is in the log to `bytes`.
    pub(super) fn copy_to(&self, bytes: &mut Vec<u8>) {
        copy(&self.board.words().log[..self.len], bytes);
    }

    /// The position of the log's first result.
    pub(super) fn first(&self) -> usize {
        self.first
    }

    /// The batch whose results it holds.
    pub(super) fn batch(&self) -> u64 {
        self.batch
    }
}

fn copy(words: &[AtomicU64], bytes: &mut Vec<u8>) {
    bytes.reserve(words.len() * 8);
    for word in words {
        bytes.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
    }
}

impl Board {
    /// The pool: what is in the worker's log. `None` if there is nothing, or if the worker has just
    /// begun it anew (and so sent what was there).
    pub(super) fn read_log(&self) -> Option<Logged> {
        let (state, logged) = self.copy_log();
        let again = self.words().state.load(Ordering::Relaxed);
        (!logged.bytes.is_empty() && again >> 32 == state >> 32).then_some(logged)
    }

    /// The state before, and what is there then; to be dropped if the state's upper half has
    /// changed by now.
    fn copy_log(&self) -> (u64, Logged) {
        let words = self.words();
        let state = words.state.load(Ordering::Acquire);
        let len = (state & LOW) as usize;
        let batch = words.batch.load(Ordering::Relaxed);
        let first = words.first.load(Ordering::Relaxed) as usize;
        let mut bytes = Vec::new();
        copy(&words.log[..len.min(LOG)], &mut bytes);
        fence(Ordering::Acquire);
        (state, Logged { batch, first, bytes })
    }
}

/// The results in a log's bytes, each with its tag.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    /// Empty results to come before the rest.
    run: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self::resume((0, bytes))
    }

    /// Appends a result to a log's bytes.
    pub(super) fn append(tag: u8, result: &[u8], bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&(u64::from(tag) << 56 | result.len() as u64).to_le_bytes());
        bytes.extend_from_slice(result);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }

    /// The results of which [`rest`](Self::rest) was kept.
    pub(super) fn resume((run, bytes): (usize, &'a [u8])) -> Self {
        Self { bytes, run }
    }

    /// What has not been read: the number of empty results, and the bytes behind them.
    pub(super) fn rest(&self) -> (usize, &'a [u8]) {
        (self.run, self.bytes)
    }

    /// How many results there are, up to `limit`.
    pub(super) fn count_up_to(mut self, limit: usize) -> usize {
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
    pub(super) fn run(&mut self) -> usize {
        if self.run == 0
            && let Some((head, rest)) = self.bytes.split_first_chunk::<8>()
            && head[7] == RUN
        {
            self.run = (u64::from_le_bytes(*head) & !(0xff << 56)) as usize;
            self.bytes = rest;
        }
        self.run
    }

    /// Takes up to `limit` of those; how many it were.
    pub(super) fn take_run(&mut self, limit: usize) -> usize {
        let taken = self.run().min(limit);
        self.run -= taken;
        taken
    }

    /// Passes over results.
    pub(super) fn pass_over(&mut self, mut count: usize) {
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

impl Serialize for Board {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        arena::export(&self.region)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Board {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let region = arena::import(RegionId::deserialize(deserializer)?)?;
        Self::map(region).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_begun_or_taken_back() {
        let board = Board::new().unwrap();
        let worker = board.try_clone().unwrap();
        board.offer(1);
        assert!(worker.begin(1) && !board.take_back(1));
        board.offer(2);
        assert!(board.take_back(2) && !worker.begin(2));
        board.offer(1 + PLACES as u64);
        assert!(!worker.begin(1) && worker.begin(1 + PLACES as u64));
    }

    #[test]
    fn a_batch_is_limited_to_what_is_begun() {
        let board = Board::new().unwrap();
        let mut log = Log::new(board.try_clone().unwrap());
        board.offer(1);
        assert!(board.is_offered(1) && log.begin_batch(1) && !board.is_offered(1));
        log.begin(1, 0);
        assert!(!board.limit(1, 1), "its barriers do not reach the worker");
        board.accept_barriers();
        assert_eq!([log.push_empty(), log.push_empty()], [Some(true); 2]);
        assert!(!board.limit(1, 2), "the third may have begun");
        assert!(board.limit(1, 4));
        assert!(log.push(0, b"result") && log.goes_on());
        assert_eq!(log.push_empty(), Some(false));
        assert!(!log.goes_on());
        // The next batch has no limit.
        board.offer(2);
        assert!(log.begin_batch(2));
        log.begin(2, 0);
        assert_eq!(log.push_empty(), Some(true));
        assert_eq!((board.completed(1), board.completed(2), board.received()), (None, Some(1), 2));
        assert!(!board.limit(1, 5), "it has ended");
        assert_eq!(log.push_empty(), Some(true));
    }

    #[test]
    fn every_task_of_a_limited_batch_is_run_once() {
        use std::sync::atomic::AtomicU32;
        const TASKS: usize = 5000;
        let board = Board::new().unwrap();
        let mut log = Log::new(board.try_clone().unwrap());
        board.accept_barriers();
        let mut limited = 0;
        for number in 1..200 {
            let runs: Vec<AtomicU32> = (0..TASKS).map(|_| AtomicU32::new(0)).collect();
            board.offer(number);
            assert!(log.begin_batch(number));
            log.begin(number, 0);
            let keep = std::thread::scope(|scope| {
                let (runs, log) = (&runs, &mut log);
                let worker = scope.spawn(move || {
                    for run in runs {
                        run.fetch_add(1, Ordering::Relaxed);
                        if !log.push_empty().expect("room") {
                            return;
                        }
                    }
                });
                let mut keep = TASKS;
                while !worker.is_finished() && keep == TASKS {
                    let wanted = board.completed(number).map_or(1, |completed| completed + 1);
                    if wanted < TASKS && board.limit(number, wanted) {
                        keep = wanted;
                    }
                }
                keep
            });
            limited += usize::from(keep < TASKS);
            runs[keep..].iter().for_each(|run| _ = run.fetch_add(1, Ordering::Relaxed));
            assert!(runs.iter().all(|run| run.load(Ordering::Relaxed) == 1), "{keep}");
        }
        assert!(limited > 0);
    }

    #[test]
    fn what_is_logged_is_read_back() {
        let board = Board::new().unwrap();
        let mut log = Log::new(board.try_clone().unwrap());
        assert_eq!(board.read_log(), None);
        log.begin(7, 3);
        assert_eq!(board.read_log(), None);
        let results: Vec<Vec<u8>> = (0..40).map(|n| (0..n).collect()).collect();
        for (n, result) in results.iter().enumerate() {
            assert!(log.push(n as u8, result));
        }
        let logged = board.read_log().unwrap();
        assert_eq!((logged.batch, logged.first, log.end()), (7, 3, 43));
        let read: Vec<(u8, &[u8])> = Records::new(&logged.bytes).collect();
        assert_eq!(read.len(), 40);
        assert!(
            read.iter()
                .enumerate()
                .all(|(n, (tag, result))| *tag == n as u8 && *result == results[n])
        );
        let mut same = Vec::new();
        log.copy_to(&mut same);
        assert_eq!(same, logged.bytes);
        assert!(!log.push(0, &[0; LOG * 8]));
        log.begin(8, 0);
        assert_eq!(board.read_log(), None);
    }

    #[test]
    fn a_log_read_while_it_is_written_is_never_torn() {
        let board = Board::new().unwrap();
        let mut log = Log::new(board.try_clone().unwrap());
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut batch = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    batch += 1;
                    log.begin(batch, 0);
                    while log.end() < 50 && log.push(1, &batch.to_le_bytes()) {}
                }
            });
            let end = std::time::Instant::now() + std::time::Duration::from_millis(200);
            let mut read = 0;
            while std::time::Instant::now() < end || read == 0 {
                if let Some(logged) = board.read_log() {
                    read += 1;
                    for (_, result) in Records::new(&logged.bytes) {
                        assert_eq!(result, logged.batch.to_le_bytes());
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn empty_results_are_counted() {
        let board = Board::new().unwrap();
        let mut log = Log::new(board.try_clone().unwrap());
        log.begin(1, 0);
        // More than there are words; then one of another kind; then more.
        (0..LOG * 2).for_each(|_| assert!(log.push_empty().is_some()));
        assert!(log.push(1, b"other"));
        (0..3).for_each(|_| assert!(log.push_empty().is_some()));
        assert_eq!(log.end(), LOG * 2 + 4);
        let logged = board.read_log().unwrap();
        let mut records = Records::new(&logged.bytes);
        assert_eq!(records.take_run(10), 10);
        records.pass_over(LOG * 2 - 11);
        assert_eq!(
            records.by_ref().collect::<Vec<_>>(),
            [(0, &b""[..]), (1, b"other"), (0, b""), (0, b""), (0, b"")]
        );
        assert_eq!(records.take_run(1), 0);
        // A full log has no room for a new run, but for one that is begun.
        log.begin(2, 0);
        while log.push(1, b"") {}
        assert!(log.push_empty().is_none());
        log.begin(3, 0);
        (0..LOG - 1).for_each(|_| assert!(log.push(1, b"")));
        assert!(log.push_empty().is_some() && log.push_empty().is_some() && !log.push(1, b""));
    }
}
