//! Tasks, and the places where their results wait until the caller fetches them.
//!
//! Results wait as bytes. Decoding runs the caller's code (its `Deserialize`, and `Drop` for a
//! value that is thrown away), which may take any time, need a large stack, panic or call the pool.
//! So it happens in the thread that fetches the result, with no lock held, and never in the pool's
//! own threads.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::arguments::Arguments;
use super::claims::Records;
use super::worker::{Batch, tag};
use crate::ipc::codec;
use crate::ipc::error::{DecodeError, EncodeError};
use crate::process::remote::Remote;
use crate::shm::arena::{self, Region, RegionId};
use crate::sys::fork;
use crate::sys::panics::{self, Panic};
use crate::sys::sync::{Deadline, lock};

/// Why a task has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// The function panicked. The worker goes on, unless the program is built with
    /// `panic = "abort"`: then another one takes its place.
    Panicked {
        /// What the panic said.
        message: String,
        /// `file:line:column`.
        location: String,
    },
    /// The worker ended while it ran the task; another has taken its place.
    WorkerLost {
        /// The signal that killed it; `None` if the task exited ([`std::process::exit`]).
        signal: Option<i32>,
    },
    /// The argument could not be encoded, or takes 4 GiB or more, and the task was not submitted;
    /// or the result could not be encoded, after the function had run.
    Encode(EncodeError),
    /// The argument could not be decoded, and the function has not run; or the result could not be,
    /// after it had: its `Deserialize` refused it, panicked, or left a part of it unread. The bytes
    /// of the argument or the result are in the error.
    Decode(DecodeError),
    /// The pool was closed before the task was submitted.
    Closed,
    /// The pool was terminated, or dropped, before the task had ended.
    Terminated,
    /// The pool's workers cannot be kept running: see [when a worker cannot be
    /// started](crate::pool#when-a-worker-cannot-be-started). The reason.
    Broken(String),
    /// The thread that draws the arguments of an [`imap`](super::Pool::imap) cannot be started. The
    /// reason.
    NoThread(String),
    /// This process is a fork of the one that has the pool.
    Forked,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { message, location } => {
                write!(f, "the task panicked at {location}: {message}")
            }
            Self::WorkerLost { signal: Some(signal) } => {
                write!(f, "the task's worker was killed by signal {signal}")
            }
            Self::WorkerLost { signal: None } => f.write_str("the task's worker exited"),
            Self::Encode(error) => {
                write!(f, "the task's argument or result cannot be encoded: {}", error.reason())
            }
            Self::Decode(error) => {
                write!(f, "the task's argument or result cannot be decoded: {}", error.reason())
            }
            Self::Closed => f.write_str("the pool is closed"),
            Self::Terminated => f.write_str("the pool was terminated"),
            Self::Broken(reason) => write!(f, "the pool is broken: {reason}"),
            Self::NoThread(reason) => {
                write!(f, "the thread that draws the arguments cannot be started: {reason}")
            }
            Self::Forked => f.write_str(fork::EXPLANATION),
        }
    }
}

impl std::error::Error for TaskError {}

impl From<Panic> for TaskError {
    fn from(Panic { message, location }: Panic) -> Self {
        Self::Panicked { message, location }
    }
}

/// Where the results of one submission go. Each task gets one result, once.
pub(super) trait Sink: Send + Sync {
    /// These tasks have no result, for this reason.
    fn fail(&self, first: usize, count: usize, error: &TaskError);

    /// A worker's result for the task of this index.
    fn deliver(&self, index: usize, tag: u8, bytes: &[u8]);

    /// The results of up to `limit` tasks that follow one another, from this index on. Returns how
    /// many there were.
    fn deliver_records(&self, index: usize, limit: usize, records: Records<'_>) -> usize;
}

/// Some tasks of one submission, given to a worker together.
pub(super) struct Tasks {
    pub(super) entry: Remote<Batch>,
    /// [`Arguments`].
    pub(super) arguments: Vec<u8>,
    /// What there are handles to in the arguments, held until the tasks have ended.
    pub(super) kept: Vec<Region>,
    pub(super) count: usize,
    pub(super) sink: Arc<dyn Sink>,
    /// The first one's index in the sink.
    pub(super) first: usize,
    /// Whether a task whose worker died is run again.
    pub(super) may_run_again: bool,
    /// Workers that died of the first task.
    pub(super) deaths: u32,
}

impl Tasks {
    /// What is left after the first `done`; `None` if nothing is.
    pub(super) fn after(mut self, done: usize) -> Option<Self> {
        if done == 0 {
            return Some(self);
        }
        if done >= self.count {
            return None;
        }
        let mut arguments = Arguments(&self.arguments);
        arguments.nth(done - 1);
        let left = arguments.0.len();
        self.arguments.drain(..self.arguments.len() - left);
        self.first += done;
        self.count -= done;
        self.deaths = 0;
        Some(self)
    }

    /// Divides them: those from position `at` on, which is not 0.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let mut arguments = Arguments(&self.arguments);
        arguments.nth(at - 1);
        let end = self.arguments.len() - arguments.0.len();
        let rest = Self {
            entry: self.entry,
            arguments: self.arguments.split_off(end),
            // Which of them has which is not known.
            kept: self.kept.clone(),
            count: self.count - at,
            sink: Arc::clone(&self.sink),
            first: self.first + at,
            may_run_again: self.may_run_again,
            deaths: 0,
        };
        self.count = at;
        rest
    }

    /// The same error for each.
    pub(super) fn fail(self, error: &TaskError) {
        self.sink.fail(self.first, self.count, error);
    }
}

/// A task's result as its worker sent it.
pub(super) struct Encoded {
    tag: u8,
    bytes: Vec<u8>,
    /// What there are handles to in it, held until it is decoded.
    kept: Vec<Region>,
}

/// What is known of a task that has ended.
pub(super) type Outcome = Result<Encoded, TaskError>;

/// Decodes a result. A panic in the caller's `Deserialize` is an error of this result.
pub(super) fn decode<T: DeserializeOwned>(outcome: Outcome) -> Result<T, TaskError> {
    let Encoded { tag, bytes, kept } = outcome?;
    let result =
        panics::catch(|| value(tag, &bytes)).unwrap_or_else(|panic| Err(panicked(panic, &bytes)));
    drop(kept);
    result
}

/// The error of a result whose `Deserialize` panicked.
#[cold]
pub(super) fn panicked(panic: Panic, bytes: &[u8]) -> TaskError {
    let reason = format!("the value's `Deserialize` panicked: {}", panic.message);
    TaskError::Decode(DecodeError::new(bytes, reason))
}

/// The value that a worker's message has for a task, or why there is none. Runs the caller's
/// `Deserialize`.
#[inline]
pub(super) fn value<T: DeserializeOwned>(tag: u8, bytes: &[u8]) -> Result<T, TaskError> {
    if tag == tag::RETURNED {
        codec::decode(bytes).map_err(TaskError::Decode)
    } else {
        Err(failure(tag, bytes))
    }
}

#[cold]
fn failure(tag: u8, rest: &[u8]) -> TaskError {
    match tag {
        tag::PANICKED => codec::decode::<Panic>(rest).map_or_else(TaskError::Decode, Into::into),
        tag::RESULT => codec::decode::<String>(rest)
            .map_or_else(TaskError::Decode, |reason| TaskError::Encode(EncodeError::new(reason))),
        _ => codec::decode_header::<String>(rest)
            .map_or_else(TaskError::Decode, |(reason, bytes)| {
                TaskError::Decode(DecodeError::new(bytes, reason))
            }),
    }
}

/// A lock with a condition to wait for.
pub(super) struct Monitor<T> {
    value: Mutex<T>,
    changed: Condvar,
    /// How many threads wait. It changes while the lock is held.
    waiting: AtomicUsize,
}

impl<T> Monitor<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new(), waiting: AtomicUsize::new(0) }
    }

    /// Wakes the threads that wait. The caller holds the lock, or has just released it.
    pub(super) fn notify(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        lock(&self.value)
    }

    /// Waits until `ready` returns something, and returns that; `None` at the deadline.
    pub(super) fn wait<R>(
        &self,
        deadline: Deadline,
        mut ready: impl FnMut(&mut T) -> Option<R>,
    ) -> Option<R> {
        let mut value = self.lock();
        loop {
            if let Some(result) = ready(&mut value) {
                return Some(result);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            self.waiting.fetch_add(1, Ordering::Relaxed);
            value = match left {
                None => self.changed.wait(value).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.changed.wait_timeout(value, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What results are gathered in.
pub(super) trait Gather: Send {
    /// The task of this index has no result.
    fn fail(&mut self, index: usize, error: TaskError);

    /// Takes the result of the task of this index.
    fn gather(&mut self, index: usize, tag: u8, bytes: &[u8], kept: Vec<Region>);

    /// Takes the results of `count` tasks, from this index on.
    fn gather_records(&mut self, index: usize, count: usize, records: Records<'_>) {
        for (offset, (tag, bytes)) in records.take(count).enumerate() {
            self.gather(index + offset, tag, bytes, Vec::new());
        }
    }

    /// Whether a thread that waits would find what it waits for.
    fn is_worth_a_look(&self) -> bool;
}

impl<G: Gather> Monitor<G> {
    /// Changes the value, and wakes those who wait for it.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut G) -> R) -> R {
        let mut value = self.lock();
        let result = change(&mut value);
        let is_worth_a_look = value.is_worth_a_look();
        let is_awaited = self.waiting.load(Ordering::Relaxed) > 0;
        drop(value);
        if is_worth_a_look && is_awaited {
            self.changed.notify_all();
        }
        result
    }
}

impl<G: Gather> Sink for Monitor<G> {
    fn fail(&self, first: usize, count: usize, error: &TaskError) {
        self.change(|gathered| {
            (first..first + count).for_each(|index| gathered.fail(index, error.clone()));
        });
    }

    fn deliver(&self, index: usize, tag: u8, bytes: &[u8]) {
        let (tag, bytes, kept) = match tag {
            tag::HANDLES => adopt(bytes),
            tag => (tag, bytes, Vec::new()),
        };
        self.change(|gathered| gathered.gather(index, tag, bytes, kept));
    }

    fn deliver_records(&self, index: usize, limit: usize, records: Records<'_>) -> usize {
        let count = records.count_up_to(limit);
        if count > 0 {
            self.change(|gathered| gathered.gather_records(index, count, records));
        }
        count
    }
}

/// Takes over what there are handles to in a result. They are listed before it.
#[cold]
fn adopt(bytes: &[u8]) -> (u8, &[u8], Vec<Region>) {
    match codec::decode_header::<Vec<RegionId>>(bytes) {
        Ok((handles, rest)) => (tag::RETURNED, rest, arena::adopt(&handles)),
        Err(_) => (tag::RETURNED, bytes, Vec::new()),
    }
}

/// The place of one result.
pub(super) type Slot = Monitor<Option<Outcome>>;

impl Gather for Option<Outcome> {
    fn fail(&mut self, _index: usize, error: TaskError) {
        *self = Some(Err(error));
    }

    fn gather(&mut self, _index: usize, tag: u8, bytes: &[u8], kept: Vec<Region>) {
        *self = Some(Ok(Encoded { tag, bytes: bytes.to_vec(), kept }));
    }

    fn is_worth_a_look(&self) -> bool {
        self.is_some()
    }
}

/// The result of a task that may still be running: see
/// [`Pool::apply_async`](super::Pool::apply_async).
///
/// The result is decoded in the thread that calls [`get`](Self::get). Dropping the handle does not
/// stop the task; its result is then thrown away without being decoded.
#[must_use = "the task runs all the same, but its result and its error are lost"]
pub struct AsyncResult<T> {
    slot: Arc<Slot>,
    result: PhantomData<fn() -> T>,
}

impl<T> AsyncResult<T> {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        Self { slot, result: PhantomData }
    }

    /// Whether [`get`](Self::get) would return without waiting.
    pub fn is_ready(&self) -> bool {
        fork::is_fork() || self.slot.lock().is_some()
    }
}

impl<T: DeserializeOwned> AsyncResult<T> {
    /// Waits for the result, and decodes it.
    ///
    /// # Errors
    ///
    /// [`TaskError`], if the task has none. A task whose worker died, or whose pool was dropped,
    /// ends with an error too.
    pub fn get(self) -> Result<T, TaskError> {
        if fork::is_fork() {
            return Err(TaskError::Forked);
        }
        decode(self.slot.wait(None, Option::take).expect("without a deadline there is a result"))
    }

    /// Waits for the result as [`get`](Self::get) does, but not longer than `timeout`
    /// ([`Duration::ZERO`] does not wait at all).
    ///
    /// # Errors
    ///
    /// The handle itself, if there is no result by then.
    ///
    /// ```
    /// # use std::time::Duration;
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     multiproc::init();
    ///     let pool = multiproc::Pool::new()?;
    ///     let mut result = pool.apply_async(|n: u32| n + 1, 41)?;
    ///     let answer = loop {
    ///         match result.get_timeout(Duration::from_millis(100)) {
    ///             Ok(answer) => break answer,
    ///             Err(handle) => result = handle,
    ///         }
    ///     };
    ///     assert_eq!(answer, Ok(42));
    ///     Ok(())
    /// }
    /// ```
    pub fn get_timeout(self, timeout: Duration) -> Result<Result<T, TaskError>, Self> {
        if fork::is_fork() {
            return Ok(Err(TaskError::Forked));
        }
        self.slot
            .wait(crate::sys::sync::deadline_after(timeout), Option::take)
            .map(decode)
            .ok_or(self)
    }
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult").field("ready", &self.is_ready()).finish()
    }
}

/// The results of an `imap` that were not fetched yet.
pub(super) struct Stream {
    is_ordered: bool,
    /// In the order in which they came; or, if ordered, from the index `taken` on.
    results: VecDeque<Option<Outcome>>,
    taken: usize,
}

impl Stream {
    pub(super) fn new(is_ordered: bool) -> Self {
        Self { is_ordered, results: VecDeque::new(), taken: 0 }
    }

    /// How many results were taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// The next result, if it is there.
    pub(super) fn take(&mut self) -> Option<Outcome> {
        let result = self.results.front_mut()?.take()?;
        self.results.pop_front();
        self.taken += 1;
        Some(result)
    }

    /// Removes the results that are there.
    pub(super) fn clear(&mut self) -> VecDeque<Option<Outcome>> {
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

    fn is_worth_a_look(&self) -> bool {
        self.results.front().is_some_and(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::worker::encoded;

    #[test]
    fn a_stream_is_in_order_or_as_the_results_come() {
        for (is_ordered, expected) in [(true, [0, 1, 2, 3]), (false, [2, 0, 3, 1])] {
            let stream = Monitor::new(Stream::new(is_ordered));
            let mut taken = Vec::new();
            for index in [2_usize, 0, 3, 1] {
                stream.deliver(index, tag::RETURNED, &encoded(&index));
                while let Some(outcome) = stream.lock().take() {
                    taken.push(decode::<usize>(outcome).unwrap());
                }
            }
            assert_eq!(taken, expected);
        }
    }
}
