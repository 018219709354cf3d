//! Submitting tasks, with options for each call.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::async_result::AsyncResult;
use super::batch::Policy;
use super::error::TaskError;
use super::feed::Submission;
use super::gather::{Consumer, Monitor, Ordered, Runs, Single, Sink, Values};
use super::imap::Results;
use super::scheduler::Scheduler;
use crate::sys::fork;

/// Batches that a `map` makes for each worker by default, so that the workers end at about the same
/// time.
const BATCHES_PER_WORKER: usize = 16;
/// Tasks that a batch has at most by default: enough that the cost of sending it does not matter.
const LARGEST_BATCH: usize = 16384;

/// A pool with options for what is submitted through it; see
/// [`Pool::options`](super::Pool::options).
///
/// ```
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     multiproc::init();
///     let pool = multiproc::Pool::new()?;
///     let options = pool.options().chunk(100).retry_lost();
///     let squares = options.map(|n: u64| n * n, 0..1000)?;
///     assert_eq!(squares.iter().sum::<u64>(), 332_833_500);
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Options<'a> {
    scheduler: &'a Arc<Scheduler>,
    chunk: Option<NonZero<usize>>,
    policy: Policy,
}

impl<'a> Options<'a> {
    pub(super) fn new(scheduler: &'a Arc<Scheduler>) -> Self {
        Self { scheduler, chunk: None, policy: Policy::default() }
    }

    /// How many tasks of a `map` or an `imap` go to a worker in one message (0 counts as 1), as
    /// long as their arguments are not longer than 256 KiB. A chunk is sent before it is full if
    /// its arguments take longer than a millisecond to draw. (A `map` learns that when the next
    /// argument is there; an `imap`, when the caller waits for a result.)
    ///
    /// Otherwise `map` makes 16 chunks for each worker if the iterator knows its length, none
    /// larger than 16,384, and sends each task alone if it does not; `imap` sends each task alone.
    /// A chunk saves time where tasks are short. It is not a unit otherwise: every task has a
    /// result of its own, which arrives when it is there; a worker's death loses only the task it
    /// was in; and the tasks that were not begun go to a worker that has nothing to do.
    #[must_use]
    pub fn chunk(mut self, tasks: usize) -> Self {
        self.chunk = Some(NonZero::new(tasks).unwrap_or(NonZero::<usize>::MIN));
        self
    }

    /// A task that was lost with its worker is run again, up to twice, before it is
    /// [`TaskError::WorkerLost`]: the task is run at least once, and may be run in part before
    /// that. This is right for tasks that are idempotent, also when they were stopped half-way.
    #[must_use]
    pub fn retry_lost(mut self) -> Self {
        self.policy.retry_lost = true;
        self
    }

    /// How long each task may run: one that takes longer is [`TaskError::TimedOut`]. Its worker is
    /// killed, and another one takes its place; all other tasks go on, those of the same chunk too.
    /// The task is not run again, not even with [`retry_lost`](Self::retry_lost). What it has done
    /// until then stays done, as after a [`cancel`](AsyncResult::cancel).
    ///
    /// The time runs from the task's [begin](crate::pool#when-something-dies) in a worker until its
    /// result is published, and goes on while the worker is stopped. Waiting for a worker does not
    /// count. The pool looks at a task when its time has run out, or a millisecond later, and then
    /// kills it, on a busy machine as soon as the pool's thread is scheduled. A task that ends
    /// until then has its result.
    ///
    /// With [`Duration::ZERO`], no task is run: each is [`TaskError::TimedOut`]. A time that the
    /// clock cannot represent, such as [`Duration::MAX`], is no limit. Reading the clock costs each
    /// task less than 0.1 µs.
    ///
    /// ```
    /// use std::time::Duration;
    /// use multiproc::{Pool, TaskError};
    ///
    /// fn hang_at_three(n: u32) -> u32 {
    ///     while n == 3 {
    ///         std::thread::park();
    ///     }
    ///     n
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     multiproc::init();
    ///     let pool = Pool::new()?;
    ///     let options = pool.options().time_limit(Duration::from_millis(100));
    ///     let results = options.map_each(hang_at_three, 1..5);
    ///     assert_eq!(results, [Ok(1), Ok(2), Err(TaskError::TimedOut), Ok(4)]);
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.policy.time_limit = Some(limit);
        self
    }

    /// As [`Pool::apply`](super::Pool::apply).
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    pub fn apply<F, A, T>(self, function: F, argument: A) -> Result<T, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        self.apply_async(function, argument)?.get()
    }

    /// As [`Pool::apply_async`](super::Pool::apply_async).
    ///
    /// # Errors
    ///
    /// As [`Pool::apply_async`](super::Pool::apply_async).
    pub fn apply_async<F, A, T>(self, function: F, argument: A) -> Result<AsyncResult<T>, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        let single: Arc<Single> = Arc::new(Monitor::new(None));
        self.submission::<F, A, T>(function, Arc::clone(&single) as _)?.submit_one(argument)?;
        Ok(AsyncResult::new(single, self.scheduler))
    }

    fn submission<F, A, T>(self, function: F, sink: Arc<dyn Sink>) -> Result<Submission, TaskError>
    where
        F: Fn(A) -> T + Copy + 'static,
        A: DeserializeOwned,
        T: Serialize,
    {
        Submission::new::<F, A, T>(self.scheduler, function, sink, self.policy)
    }

    /// The size of a chunk: what was set, or `automatic`.
    fn chunk_or(self, automatic: usize) -> usize {
        self.chunk.map_or(automatic, NonZero::get)
    }

    /// Submits everything, waits for everything, and passes the results to `consumer` in order, as
    /// long as it wants more.
    fn run_all<F, A, T, S: Consumer<T>>(
        self,
        function: F,
        arguments: impl Iterator<Item = A>,
        consumer: S,
    ) -> Result<S, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        let known = arguments.size_hint().0;
        let automatic =
            known.div_ceil(self.scheduler.workers() * BATCHES_PER_WORKER).clamp(1, LARGEST_BATCH);
        let runs = Arc::new(Monitor::new(Runs::default()));
        let submission = self.submission::<F, A, T>(function, Arc::clone(&runs) as _)?;
        let mut ordered = Ordered::new(consumer);
        let chunk = self.chunk_or(automatic);
        let total = submission.feed(chunk, arguments, || ordered.fetch_many(&runs));
        // The iterator, or an argument's `Serialize`, may have forked.
        if fork::is_fork() {
            return Err(TaskError::Forked);
        }
        runs.lock().set_total(total);
        Ok(ordered.fetch_all(&runs))
    }

    /// As [`Pool::map`](super::Pool::map).
    ///
    /// # Errors
    ///
    /// As [`Pool::map`](super::Pool::map).
    pub fn map<F, A, T>(
        self,
        function: F,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Vec<T>, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        self.run_all(function, arguments.into_iter(), Values::new())?.into_result()
    }

    /// As [`Pool::map_each`](super::Pool::map_each).
    pub fn map_each<F, A, T>(
        self,
        function: F,
        arguments: impl IntoIterator<Item = A>,
    ) -> Vec<Result<T, TaskError>>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        let arguments = arguments.into_iter();
        self.run_all(function, arguments, Vec::new()).unwrap_or_else(|error| vec![Err(error)])
    }

    /// As [`Pool::imap`](super::Pool::imap).
    pub fn imap<F, A, T, I>(self, function: F, arguments: I) -> Results<'a, T>
    where
        I: IntoIterator<Item = A, IntoIter: Send + 'static>,
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        self.results(function, arguments.into_iter(), true)
    }

    /// As [`Pool::imap_unordered`](super::Pool::imap_unordered).
    pub fn imap_unordered<F, A, T, I>(self, function: F, arguments: I) -> Results<'a, T>
    where
        I: IntoIterator<Item = A, IntoIter: Send + 'static>,
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        self.results(function, arguments.into_iter(), false)
    }

    fn results<F, A, T, I>(self, function: F, arguments: I, is_ordered: bool) -> Results<'a, T>
    where
        I: Iterator<Item = A> + Send + 'static,
        F: Fn(A) -> T + Copy + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        let Self { scheduler, policy, .. } = self;
        let chunk = self.chunk_or(1);
        Results::new(scheduler, function, arguments, is_ordered, chunk, policy)
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("chunk", &self.chunk)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
