//! Tasks, and the places their results go to.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::arguments::Arguments;
use super::board::Records;
use super::worker::{Batch, tag};
use crate::codec;
use crate::fork;
use crate::panics::{self, Panic};
use crate::remote::Remote;
use crate::sync::lock;
use crate::wire;

/// Why a task has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// The function panicked; the worker lives on.
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
    /// The argument could not be encoded, and the task was not submitted; or the result could not be, after the function had run. The reason.
    Encode(String),
    /// The argument could not be decoded, and the function has not run; or the result could not be, after it had. The reason.
    Decode(String),
    /// The pool was closed before the task was submitted.
    Closed,
    /// The pool was terminated, or dropped, before the task had ended.
    Terminated,
    /// The pool's workers cannot be kept alive: they died again and again before any task, or cannot be started. The reason.
    Broken(String),
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
            Self::Encode(reason) => {
                write!(f, "the task's argument or result cannot be encoded: {reason}")
            }
            Self::Decode(reason) => {
                write!(f, "the task's argument or result cannot be decoded: {reason}")
            }
            Self::Closed => f.write_str("the pool is closed"),
            Self::Terminated => f.write_str("the pool was terminated"),
            Self::Broken(reason) => write!(f, "the pool is broken: {reason}"),
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

/// Where the results of one submission go, from the collector's thread.
pub(super) trait Sink: Send + Sync {
    /// Ready to take results; those who wait look when this is dropped.
    fn open(&self) -> Box<dyn Deliver + '_>;
}

/// A sink that takes results, each once; a second one for the same task is dropped.
pub(super) trait Deliver {
    /// Why the task of this index has no result.
    fn fail(&mut self, index: usize, error: TaskError);

    /// What a worker's message says of the task of this index.
    fn deliver(&mut self, index: usize, tag: u8, rest: &[u8]);

    /// The results of up to `limit` tasks that follow one another, from this index on; how many there were.
    fn deliver_records(&mut self, index: usize, limit: usize, records: Records<'_>) -> usize;
}

/// Some tasks of one submission, given to a worker together.
pub(super) struct Tasks {
    pub(super) entry: Remote<Batch>,
    /// [`Arguments`].
    pub(super) arguments: Vec<u8>,
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

    /// The same error for each.
    pub(super) fn fail(self, error: &TaskError) {
        let mut sink = self.sink.open();
        (self.first..self.first + self.count).for_each(|index| sink.fail(index, error.clone()));
    }
}

/// What a worker's message says of a task: its result, decoded, or why there is none. Runs the caller's `Deserialize`.
#[inline]
fn outcome<T: DeserializeOwned>(tag: u8, rest: &[u8]) -> Result<T, TaskError> {
    if tag == tag::RETURNED {
        codec::decode(rest).map_err(|error| TaskError::Decode(wire::explain(error)))
    } else {
        Err(failure(tag, rest))
    }
}

#[cold]
fn failure(tag: u8, rest: &[u8]) -> TaskError {
    let text = || postcard::from_bytes(rest).unwrap_or_else(|error| error.to_string());
    match tag {
        tag::PANICKED => match postcard::from_bytes::<Panic>(rest) {
            Ok(panic) => panic.into(),
            Err(error) => TaskError::Decode(error.to_string()),
        },
        tag::RESULT => TaskError::Encode(text()),
        _ => TaskError::Decode(text()),
    }
}

/// A lock with a condition to wait for.
pub(super) struct Monitor<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        lock(&self.value)
    }

    /// Waits until `ready` says so, and gives what it gives; `None` at the deadline.
    pub(super) fn wait<R>(
        &self,
        deadline: wire::Deadline,
        mut ready: impl FnMut(&mut T) -> Option<R>,
    ) -> Option<R> {
        let mut value = self.lock();
        loop {
            if let Some(result) = ready(&mut value) {
                return Some(result);
            }
            value = match deadline {
                None => self.changed.wait(value).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    self.changed.wait_timeout(value, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

/// What results are gathered in.
pub(super) trait Gather: Send {
    type Item;

    /// Takes the result of the task of this index, unless it has one.
    fn gather(&mut self, index: usize, result: Result<Self::Item, TaskError>);

    /// The same for a result that is there: the common case, to be fast where there are many.
    #[inline]
    fn gather_value(&mut self, index: usize, value: Self::Item) {
        self.gather(index, Ok(value));
    }

    /// Results of so many tasks come now, from this index on.
    fn expect(&mut self, index: usize, count: usize) {
        let _ = (index, count);
    }

    /// Whether one who waits would find what it waits for.
    fn is_worth_a_look(&self) -> bool;
}

/// An open sink: the lock, and whom to wake at its end.
struct Open<'a, G: Gather> {
    value: MutexGuard<'a, G>,
    changed: &'a Condvar,
}

impl<G: Gather> Drop for Open<'_, G> {
    fn drop(&mut self) {
        if self.value.is_worth_a_look() {
            self.changed.notify_all();
        }
    }
}

/// Counts in a register, and tells the count also when a panic ends it.
struct Tally<'a> {
    count: usize,
    told: &'a mut usize,
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        *self.told = self.count;
    }
}

impl<G: Gather> Sink for Monitor<G>
where
    G::Item: DeserializeOwned,
{
    fn open(&self) -> Box<dyn Deliver + '_> {
        Box::new(Open { value: self.lock(), changed: &self.changed })
    }
}

impl<G: Gather> Deliver for Open<'_, G>
where
    G::Item: DeserializeOwned,
{
    fn fail(&mut self, index: usize, error: TaskError) {
        self.value.gather(index, Err(error));
    }

    fn deliver(&mut self, index: usize, tag: u8, rest: &[u8]) {
        // A panic in the caller's `Deserialize` must not take the collector along.
        let result = panics::catch(|| outcome(tag, rest));
        self.value
            .gather(index, result.unwrap_or_else(|panic| Err(TaskError::Decode(panic.message))));
    }

    fn deliver_records(&mut self, index: usize, limit: usize, mut records: Records<'_>) -> usize {
        self.value.expect(index, limit);
        let (mut count, mut run_end) = (0, 0);
        // As above, for many at a time: the loop goes on after one that panicked.
        while let Err(panic) = panics::catch(|| {
            let gathered = &mut *self.value;
            let mut gather = |count, result| match result {
                Ok(value) => gathered.gather_value(index + count - 1, value),
                Err(error) => gathered.gather(index + count - 1, Err(error)),
            };
            while count < limit {
                // Empty results in a row need no look at each.
                if count == run_end {
                    run_end += records.take_run(limit - count);
                }
                let mut at = Tally { count, told: &mut count };
                while at.count < run_end {
                    at.count += 1;
                    gather(at.count, outcome(tag::RETURNED, &[]));
                }
                drop(at);
                if count == limit {
                    return;
                }
                let Some((tag, rest)) = records.next() else {
                    return;
                };
                count += 1;
                run_end = count;
                gather(count, outcome(tag, rest));
            }
        }) {
            self.value.gather(index + count - 1, Err(TaskError::Decode(panic.message)));
        }
        count
    }
}

/// The place of one result.
pub(super) type Slot<T> = Monitor<Option<Result<T, TaskError>>>;

impl<T: Send> Gather for Option<Result<T, TaskError>> {
    type Item = T;

    fn gather(&mut self, _index: usize, result: Result<T, TaskError>) {
        self.get_or_insert(result);
    }

    fn is_worth_a_look(&self) -> bool {
        self.is_some()
    }
}

/// A result to come: what [`Pool::apply_async`](super::Pool::apply_async) gives. Dropping it lets the task run and its result go.
#[must_use = "the task runs all the same, but its result and its error are lost"]
pub struct AsyncResult<T> {
    pub(super) slot: Arc<Slot<T>>,
}

impl<T> AsyncResult<T> {
    /// Waits for the result.
    ///
    /// # Errors
    ///
    /// [`TaskError`], if the task has none. Never waits for the dead: a task whose worker died, or whose pool was dropped, ends with an error.
    pub fn get(self) -> Result<T, TaskError> {
        if fork::is_fork() {
            return Err(TaskError::Forked);
        }
        self.slot.wait(None, Option::take).expect("without a deadline there is a result")
    }

    /// Waits for the result, but not longer than `timeout` ([`Duration::ZERO`] does not wait at all).
    ///
    /// # Errors
    ///
    /// The handle itself, if there is no result by then.
    ///
    /// ```
    /// # use std::time::Duration;
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     processes::init();
    ///     let pool = processes::Pool::new()?;
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
        self.slot.wait(crate::sync::deadline_after(timeout), Option::take).ok_or(self)
    }

    /// Whether [`get`](Self::get) would return at once.
    pub fn is_ready(&self) -> bool {
        fork::is_fork() || self.slot.lock().is_some()
    }
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult").field("ready", &self.is_ready()).finish()
    }
}

/// The errors of a `map`, by index.
pub(super) type Errors = BTreeMap<usize, TaskError>;

/// What gathers all results of a `map`.
pub(super) trait GatherAll: Gather {
    /// There will be so many.
    fn set_total(&mut self, total: usize);

    /// All results, once they are there.
    fn take(&mut self) -> Option<Collected<Self::Item>>;
}

/// The results of a `map` whose tasks are sent one by one: each has a place of its own, for they come from the workers in turns.
pub(super) struct Placed<T> {
    places: Vec<Option<T>>,
    errors: Errors,
    /// How many have their result.
    counted: usize,
    total: Option<usize>,
}

impl<T> Placed<T> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), errors: Errors::new(), counted: 0, total: None }
    }
}

impl<T: Send> Gather for Placed<T> {
    type Item = T;

    fn gather(&mut self, index: usize, result: Result<T, TaskError>) {
        if index >= self.places.len() {
            self.places.resize_with(index + 1, || None);
        }
        let place = &mut self.places[index];
        if place.is_some() || (!self.errors.is_empty() && self.errors.contains_key(&index)) {
            return;
        }
        self.counted += 1;
        match result {
            Ok(value) => *place = Some(value),
            Err(error) => _ = self.errors.insert(index, error),
        }
    }

    fn is_worth_a_look(&self) -> bool {
        self.total == Some(self.counted)
    }
}

impl<T: Send> GatherAll for Placed<T> {
    fn set_total(&mut self, total: usize) {
        self.total = Some(total);
    }

    fn take(&mut self) -> Option<Collected<T>> {
        if !self.is_worth_a_look() {
            return None;
        }
        let (places, errors) = (std::mem::take(&mut self.places), std::mem::take(&mut self.errors));
        let mut runs = BTreeMap::new();
        let mut places = places.into_iter();
        // A run ends at an error, which leaves its place empty.
        for end in errors.keys().copied().chain([self.counted]) {
            let first = self.counted - places.len();
            let run: Vec<T> = places.by_ref().take(end - first).flatten().collect();
            places.next();
            if !run.is_empty() {
                runs.insert(first, run);
            }
        }
        Some(Collected { runs, errors, total: self.counted })
    }
}

/// The results of a `map` whose tasks are sent in chunks, by index, in runs: a worker's results come in the order of its tasks, so nearly all are put behind the one before.
pub(super) struct Mapped<T> {
    /// The run that grows: the index of its first value, and the values.
    open: (usize, Vec<T>),
    /// An index that has its result, behind the open run; the run ends there at the latest.
    limit: usize,
    /// The other runs, by the index of the first value. None is empty.
    runs: BTreeMap<usize, Vec<T>>,
    errors: Errors,
    /// Values in the other runs, and errors.
    counted: usize,
    /// How many there will be, once that is known.
    total: Option<usize>,
}

impl<T: Send> Mapped<T> {
    pub(super) fn new() -> Self {
        Self {
            open: (0, Vec::new()),
            limit: usize::MAX,
            runs: BTreeMap::new(),
            errors: Errors::new(),
            counted: 0,
            total: None,
        }
    }

    /// Where the open run ends: the index it can take next.
    #[inline]
    fn end(&self) -> usize {
        self.open.0 + self.open.1.len()
    }

    /// Opens the run that this index continues, or a new one; false if the index has its result.
    #[cold]
    fn open_at(&mut self, index: usize) -> bool {
        let (first, values) = std::mem::take(&mut self.open);
        if !values.is_empty() {
            self.counted += values.len();
            self.runs.insert(first, values);
        }
        let before = self.runs.range(..=index).next_back();
        let before = before.map(|(first, values)| (*first, first + values.len()));
        let is_known =
            before.is_some_and(|(_, end)| end > index) || self.errors.contains_key(&index);
        self.open = match before {
            Some((first, end)) if end == index => {
                self.counted -= end - first;
                (first, self.runs.remove(&first).unwrap_or_default())
            }
            _ => (index, Vec::new()),
        };
        let next_run = self.runs.range(index..).next().map(|(first, _)| *first);
        let next_error = self.errors.range(index..).next().map(|(index, _)| *index);
        let next_known = [next_run, next_error].into_iter().flatten().min();
        self.limit = if is_known { index } else { next_known.unwrap_or(usize::MAX) };
        !is_known
    }
}

impl<T: Send> Gather for Mapped<T> {
    type Item = T;

    fn gather(&mut self, index: usize, result: Result<T, TaskError>) {
        match result {
            Ok(value) => self.gather_value(index, value),
            Err(error) => {
                if self.open_at(index) {
                    self.limit = index;
                    self.counted += 1;
                    self.errors.insert(index, error);
                }
            }
        }
    }

    #[inline]
    fn gather_value(&mut self, index: usize, value: T) {
        if (index == self.end() && index < self.limit) || self.open_at(index) {
            self.open.1.push(value);
        }
    }

    fn expect(&mut self, index: usize, count: usize) {
        if self.open_at(index) {
            self.open.1.reserve(count);
        }
    }

    fn is_worth_a_look(&self) -> bool {
        self.total == Some(self.counted + self.open.1.len())
    }
}

impl<T: Send> GatherAll for Mapped<T> {
    fn set_total(&mut self, total: usize) {
        self.total = Some(total);
    }

    fn take(&mut self) -> Option<Collected<T>> {
        if !self.is_worth_a_look() {
            return None;
        }
        self.open_at(usize::MAX);
        let (runs, errors) = (std::mem::take(&mut self.runs), std::mem::take(&mut self.errors));
        Some(Collected { runs, errors, total: self.counted })
    }
}

/// What a `map` has come to: a value or an error for each index below `total`.
pub(super) struct Collected<T> {
    runs: BTreeMap<usize, Vec<T>>,
    errors: Errors,
    total: usize,
}

impl<T> Collected<T> {
    /// Nothing but one error, for the first task.
    pub(super) fn failed(error: TaskError) -> Self {
        Self { runs: BTreeMap::new(), errors: Errors::from([(0, error)]), total: 1 }
    }

    /// All values, or the first error.
    pub(super) fn all(mut self) -> Result<Vec<T>, TaskError> {
        if let Some((_, error)) = self.errors.pop_first() {
            return Err(error);
        }
        let mut runs = self.runs.into_values();
        let mut values = runs.next().unwrap_or_default();
        values.reserve_exact(self.total - values.len());
        runs.for_each(|mut run| values.append(&mut run));
        Ok(values)
    }

    /// A value or an error for each.
    pub(super) fn each(mut self) -> Vec<Result<T, TaskError>> {
        let mut each = Vec::with_capacity(self.total);
        while each.len() < self.total {
            match self.runs.remove(&each.len()) {
                Some(run) => each.extend(run.into_iter().map(Ok)),
                None => each.push(Err(self
                    .errors
                    .remove(&each.len())
                    .unwrap_or_else(|| TaskError::Broken("a result is missing".to_owned())))),
            }
        }
        each
    }
}

/// The results of an `imap` that were not yet asked for.
pub(super) struct Stream<T> {
    /// In the order they came; `None` where they are to be taken in their own.
    arrived: Option<VecDeque<Result<T, TaskError>>>,
    /// The index of the first one in `places`.
    first: usize,
    places: VecDeque<Place<T>>,
}

enum Place<T> {
    Awaited,
    Ready(Result<T, TaskError>),
    /// It was taken, or is among those that arrived.
    Passed,
}

impl<T> Stream<T> {
    pub(super) fn new(ordered: bool) -> Self {
        Self {
            arrived: if ordered { None } else { Some(VecDeque::new()) },
            first: 0,
            places: VecDeque::new(),
        }
    }

    /// The next result, if it is there.
    pub(super) fn take(&mut self) -> Option<Result<T, TaskError>> {
        if let Some(arrived) = &mut self.arrived {
            return arrived.pop_front();
        }
        let place = self.places.front_mut()?;
        let Place::Ready(result) = std::mem::replace(place, Place::Awaited) else {
            return None;
        };
        self.places.pop_front();
        self.first += 1;
        Some(result)
    }
}

impl<T: Send> Gather for Stream<T> {
    type Item = T;

    fn gather(&mut self, index: usize, result: Result<T, TaskError>) {
        let Some(offset) = index.checked_sub(self.first) else {
            return;
        };
        if offset >= self.places.len() {
            self.places.resize_with(offset + 1, || Place::Awaited);
        }
        let place = &mut self.places[offset];
        if !matches!(place, Place::Awaited) {
            return;
        }
        let Some(arrived) = &mut self.arrived else {
            return *place = Place::Ready(result);
        };
        arrived.push_back(result);
        *place = Place::Passed;
        while let Some(Place::Passed) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
    }

    fn is_worth_a_look(&self) -> bool {
        match &self.arrived {
            Some(arrived) => !arrived.is_empty(),
            None => matches!(self.places.front(), Some(Place::Ready(_))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What 0..total come to, given in runs in this order: (first, length, whether its last one is an error).
    fn gathered<G: GatherAll<Item = usize>>(
        mut mapped: G,
        total: usize,
        runs: &[(usize, usize, bool)],
    ) -> Collected<usize> {
        mapped.set_total(total);
        for &(first, length, has_error) in runs {
            assert!(mapped.take().is_none(), "not everything is there");
            mapped.expect(first, length);
            for index in first..first + length {
                if has_error && index == first + length - 1 {
                    mapped.gather(index, Err(TaskError::Closed));
                } else {
                    mapped.gather_value(index, index);
                }
            }
        }
        mapped.take().expect("everything is there")
    }

    #[test]
    fn results_are_in_order_however_they_come() {
        let runs = [(6, 4, false), (0, 2, false), (4, 2, false), (2, 2, false)];
        for turn in 0..runs.len() {
            let mut runs = runs;
            runs.rotate_left(turn);
            assert_eq!(gathered(Mapped::new(), 10, &runs).all(), Ok((0..10).collect()));
            assert_eq!(gathered(Placed::new(), 10, &runs).all(), Ok((0..10).collect()));
        }
        assert_eq!(gathered(Mapped::new(), 0, &[]).all(), Ok(Vec::new()));
        assert_eq!(gathered(Placed::new(), 0, &[]).all(), Ok(Vec::new()));
    }

    #[test]
    fn a_second_result_for_a_task_is_dropped() {
        let runs = [
            (0, 3, true),
            (1, 3, false),
            (5, 2, false),
            (3, 5, true),
            (0, 8, false),
            (8, 1, false),
        ];
        let expected =
            |index| if index == 2 || index == 7 { Err(TaskError::Closed) } else { Ok(index) };
        let expected: Vec<_> = (0..9).map(expected).collect();
        assert_eq!(gathered(Mapped::new(), 9, &runs).each(), expected);
        assert_eq!(gathered(Placed::new(), 9, &runs).each(), expected);
        assert_eq!(gathered(Mapped::new(), 9, &runs).all(), Err(TaskError::Closed));
        assert_eq!(gathered(Placed::new(), 9, &runs).all(), Err(TaskError::Closed));
    }
}
