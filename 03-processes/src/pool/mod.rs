//! A pool of worker processes.
//!
//! A [`Pool`] starts its workers once and hands them task after task: calls of functions of this program, each with an argument and a result that
//! `serde` can encode. A task costs about a microsecond, where a process costs about a millisecond.
//!
//! ```
//! fn square(n: u64) -> u64 {
//!     n * n
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     processes::init();
//!     let pool = processes::Pool::new()?;
//!     assert_eq!(pool.map(square, 0..5)?, [0, 1, 4, 9, 16]);
//!     let later = pool.apply_async(square, 12)?;
//!     assert_eq!(later.get()?, 144);
//!     pool.join();
//!     Ok(())
//! }
//! ```
//!
//! # When something dies
//!
//! - A task that panics is [`TaskError::Panicked`], and its worker lives on.
//! - A worker that dies is noticed at once. The task it was in is [`TaskError::WorkerLost`]: it may have been run in part, so it is run again only if its caller
//!   said that it may be ([`Options::may_run_again`]). Tasks the worker had not begun go to others. A new worker takes its place.
//! - Results that were written before the death count.
//! - Workers that die again and again before any task (in the initialiser, say) break the pool: all its tasks are [`TaskError::Broken`].
//! - When this process ends, its workers do.

mod arguments;
mod board;
mod dispatch;
mod task;
mod worker;

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fork;
use crate::process::SpawnError;
use crate::remote::Remote;
use crate::wire;

use dispatch::{Dispatch, Initialiser, Plan};
pub use task::{AsyncResult, TaskError};
use task::{Collected, GatherAll, Mapped, Monitor, Placed, Sink, Slot, Stream, Tasks};
use worker::{RunSetup, RunTasks};

/// Batches a `map` makes for each worker, unless told otherwise, so that they end at about the same time.
const BATCHES_A_WORKER: usize = 16;
/// Tasks a batch has at most, unless told otherwise: enough that what it costs to send it does not count.
const LARGEST_BATCH: usize = 16384;
/// Bytes of arguments after which a batch is full, however few they are.
const CHUNK_BYTES: usize = 256 * 1024;
/// Batches for each worker that an `imap` has under way.
const WINDOW: usize = 64;

/// A pool of worker processes; see the [module](self).
///
/// Dropping it is [`terminate`](Self::terminate), and waits until the workers have ended; to finish its tasks first, [`join`](Self::join) it.
/// All its methods can be called from several threads.
pub struct Pool {
    dispatch: Arc<Dispatch>,
    collector: Option<JoinHandle<()>>,
}

/// How a pool is to be started; see [`Pool::builder`].
#[must_use = "nothing is started before `build`"]
pub struct PoolBuilder {
    workers: Option<usize>,
    tasks_a_worker: Option<usize>,
    initialiser: Option<Result<Initialiser, PoolError>>,
}

/// Why a pool could not be started. No worker is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// A pool of no workers would never run a task; nor would workers of no tasks.
    NoWorkers,
    /// A worker could not be started.
    Spawn(SpawnError),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWorkers => {
                f.write_str("a pool needs at least one worker, and a worker at least one task")
            }
            Self::Spawn(error) => write!(f, "a worker cannot be started: {error}"),
        }
    }
}

impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoWorkers => None,
            Self::Spawn(error) => Some(error),
        }
    }
}

impl From<SpawnError> for PoolError {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error)
    }
}

impl PoolBuilder {
    /// The number of workers, instead of one for each core.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How many tasks a worker runs before a new process takes its place, instead of any number: against leaks in what the tasks call.
    /// Tasks sent together (a chunk) are not torn apart for it.
    pub fn max_tasks_per_worker(mut self, tasks: usize) -> Self {
        self.tasks_a_worker = Some(tasks);
        self
    }

    /// A function that each worker runs before its first task, also each that takes a dead one's place. If it panics, the worker is
    /// replaced; if that happens again and again, the pool is [`TaskError::Broken`].
    ///
    /// The argument is encoded anew for every worker. It holds no end of a pipe: there is one of each, and there are many workers.
    ///
    /// ```
    /// use std::sync::OnceLock;
    /// static GREETING: OnceLock<String> = OnceLock::new();
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     processes::init();
    ///     let set = |greeting: String| GREETING.set(greeting).unwrap();
    ///     let pool = processes::Pool::builder().workers(2).initialiser(set, "hello".to_owned()).build()?;
    ///     assert_eq!(pool.apply(|name: String| format!("{} {name}", GREETING.get().unwrap()), "Anna".to_owned())?, "hello Anna");
    ///     Ok(())
    /// }
    /// ```
    pub fn initialiser<F, A>(mut self, function: F, argument: A) -> Self
    where
        F: Fn(A) + Copy + Send + 'static,
        A: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let entry = Remote::new::<F, RunSetup<A>>(function);
        self.initialiser = Some(match entry {
            Err(_) => Err(PoolError::Spawn(SpawnError::NotInExecutable)),
            Ok(entry) => {
                let argument = move || wire::to_vec(&argument);
                Ok(Initialiser { entry, argument: Box::new(argument) })
            }
        });
        self
    }

    /// Starts the workers. Does not wait until they are ready.
    ///
    /// # Errors
    ///
    /// [`PoolError`]: no workers or no tasks were asked for, or a worker cannot be started.
    pub fn build(self) -> Result<Pool, PoolError> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = self.workers.unwrap_or_else(cores);
        if workers == 0 || self.tasks_a_worker == Some(0) {
            return Err(PoolError::NoWorkers);
        }
        let initialiser = self.initialiser.transpose()?;
        let (dispatch, collector) =
            Dispatch::start(Plan { workers, tasks_a_worker: self.tasks_a_worker, initialiser })?;
        Ok(Pool { dispatch, collector: Some(collector) })
    }
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("workers", &self.workers)
            .field("max_tasks_per_worker", &self.tasks_a_worker)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool with a worker for each core.
    ///
    /// # Errors
    ///
    /// As [`PoolBuilder::build`].
    pub fn new() -> Result<Self, PoolError> {
        Self::builder().build()
    }

    /// A pool to be set up.
    ///
    /// ```
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     processes::init();
    ///     let pool = processes::Pool::builder().workers(3).max_tasks_per_worker(100).build()?;
    ///     assert_eq!(pool.workers(), 3);
    ///     assert!(processes::Pool::builder().workers(0).build().is_err());
    ///     Ok(())
    /// }
    /// ```
    pub fn builder() -> PoolBuilder {
        PoolBuilder { workers: None, tasks_a_worker: None, initialiser: None }
    }

    /// How many workers it keeps up.
    pub fn workers(&self) -> usize {
        self.dispatch.plan().workers
    }

    /// The process ids of the workers alive now.
    pub fn worker_ids(&self) -> Vec<u32> {
        self.dispatch.worker_ids()
    }

    /// The same pool, with other options for what is submitted through it.
    pub fn options(&self) -> Options<'_> {
        Options { pool: self, chunk: None, may_run_again: false }
    }

    /// Runs one task and waits for its result.
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    pub fn apply<F, A, T>(&self, function: F, argument: A) -> Result<T, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.options().apply(function, argument)
    }

    /// Submits one task; its result is fetched from the handle later.
    ///
    /// # Errors
    ///
    /// [`TaskError`], if it could not be submitted: the argument cannot be encoded, the pool is closed or broken.
    pub fn apply_async<F, A, T>(
        &self,
        function: F,
        argument: A,
    ) -> Result<AsyncResult<T>, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.options().apply_async(function, argument)
    }

    /// Runs the function once for each argument, and waits for all results: in the arguments' order.
    ///
    /// Tasks go to the workers in chunks: see [`Options::chunk`].
    ///
    /// # Errors
    ///
    /// The error of the first task, in order, that has one; all have ended by then. Use [`map_each`](Self::map_each) to get the others' results.
    pub fn map<F, A, T>(
        &self,
        function: F,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Vec<T>, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.options().map(function, arguments)
    }

    /// As [`map`](Self::map), with a result or an error for each argument.
    pub fn map_each<F, A, T>(
        &self,
        function: F,
        arguments: impl IntoIterator<Item = A>,
    ) -> Vec<Result<T, TaskError>>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.options().map_each(function, arguments)
    }

    /// An iterator over the results, in the arguments' order, each as soon as it and those before it are there.
    ///
    /// Arguments are drawn as results are taken, some dozens for each worker ahead, so they may be endless. One task a message; see [`Options::chunk`].
    ///
    /// ```
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     processes::init();
    ///     let pool = processes::Pool::new()?;
    ///     let squares = pool.imap(|n: u64| n * n, 1..).map(Result::unwrap);
    ///     assert_eq!(squares.take_while(|n| *n < 30).collect::<Vec<_>>(), [1, 4, 9, 16, 25]);
    ///     Ok(())
    /// }
    /// ```
    pub fn imap<F, A, T, I>(&self, function: F, arguments: I) -> Results<'_, F, I::IntoIter, T>
    where
        I: IntoIterator<Item = A>,
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.options().imap(function, arguments)
    }

    /// As [`imap`](Self::imap), in the order in which the tasks end.
    pub fn imap_unordered<F, A, T, I>(
        &self,
        function: F,
        arguments: I,
    ) -> Results<'_, F, I::IntoIter, T>
    where
        I: IntoIterator<Item = A>,
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.options().imap_unordered(function, arguments)
    }

    /// From now on nothing can be submitted ([`TaskError::Closed`]); what was submitted is finished, then the workers end. Does not wait.
    pub fn close(&self) {
        self.dispatch.close();
    }

    /// Ends the workers at once (`SIGKILL`). Tasks that have not ended are [`TaskError::Terminated`]. Does not wait for the workers' end.
    pub fn terminate(&self) {
        self.dispatch.terminate();
    }

    /// [Closes](Self::close) the pool, unless it is closed or terminated, and waits until every task and every worker has ended.
    pub fn join(mut self) {
        self.dispatch.close();
        self.join_collector();
    }

    fn join_collector(&mut self) {
        if let Some(collector) = self.collector.take() {
            if fork::is_fork() {
                return std::mem::forget(collector); // the thread exists in the original process only
            }
            // It catches its own panics.
            let _ = collector.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.collector.is_some() {
            self.dispatch.terminate();
            self.join_collector();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("workers", &self.worker_ids()).finish()
    }
}

/// A pool with options for what is submitted through it; see [`Pool::options`].
///
/// ```
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     processes::init();
///     let pool = processes::Pool::new()?;
///     let sum: u64 = pool.options().chunk(100).may_run_again().map(|n: u64| n * n, 0..1000)?.iter().sum();
///     assert_eq!(sum, 332_833_500);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    pool: &'a Pool,
    chunk: Option<NonZero<usize>>,
    may_run_again: bool,
}

impl<'a> Options<'a> {
    /// How many tasks of a `map` or an `imap` go to a worker in one message (0 counts as 1), as long as their arguments are not longer than 256 KiB.
    ///
    /// Otherwise `map` makes 16 chunks for each worker if the iterator knows its length, none larger than 16,384, and `imap` sends each task alone. A chunk saves time where tasks are
    /// short. It is no unit otherwise: every task has a result of its own, which arrives when it is there, and a worker's death loses the one task it was in.
    #[must_use]
    pub fn chunk(mut self, tasks: usize) -> Self {
        self.chunk = Some(NonZero::new(tasks).unwrap_or(NonZero::<usize>::MIN));
        self
    }

    /// A task whose worker died is run again, up to twice, instead of being lost. Right for tasks that do no harm when done one and a half times.
    #[must_use]
    pub fn may_run_again(mut self) -> Self {
        self.may_run_again = true;
        self
    }

    /// As [`Pool::apply`].
    ///
    /// # Errors
    ///
    /// [`TaskError`].
    pub fn apply<F, A, T>(self, function: F, argument: A) -> Result<T, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.apply_async(function, argument)?.get()
    }

    /// As [`Pool::apply_async`].
    ///
    /// # Errors
    ///
    /// As [`Pool::apply_async`].
    pub fn apply_async<F, A, T>(self, function: F, argument: A) -> Result<AsyncResult<T>, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let slot: Arc<Slot<T>> = Arc::new(Monitor::new(None));
        let mut feed = Feed::new::<F, A, T>(self, function, 1, Arc::clone(&slot) as _)?;
        feed.push(&argument)?;
        // This process's copy of what travelled is closed before the task runs.
        drop(argument);
        feed.submit(false).map_err(|refused| refused.error)?;
        Ok(AsyncResult { slot })
    }

    /// Submits everything, and waits for everything.
    fn run_all<F, A, T>(self, function: F, arguments: impl Iterator<Item = A>) -> Collected<T>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let known = arguments.size_hint().0;
        let chunk = self.chunk.map_or_else(
            || known.div_ceil(self.pool.workers() * BATCHES_A_WORKER).clamp(1, LARGEST_BATCH),
            NonZero::get,
        );
        if chunk == 1 {
            self.gather_all(function, chunk, arguments, Placed::new())
        } else {
            self.gather_all(function, chunk, arguments, Mapped::new())
        }
    }

    fn gather_all<F, A, T>(
        self,
        function: F,
        chunk: usize,
        arguments: impl Iterator<Item = A>,
        gather: impl GatherAll<Item = T> + 'static,
    ) -> Collected<T>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let gathered = Arc::new(Monitor::new(gather));
        match Feed::new::<F, A, T>(self, function, chunk, Arc::clone(&gathered) as _) {
            Err(error) => return Collected::failed(error),
            Ok(mut feed) => {
                feed.feed(arguments);
                // The iterator, or an argument's `Serialize`, may have forked.
                if fork::is_fork() {
                    return Collected::failed(TaskError::Forked);
                }
                gathered.lock().set_total(feed.next);
            }
        }
        gathered.wait(None, GatherAll::take).expect("without a deadline there are results")
    }

    /// As [`Pool::map`].
    ///
    /// # Errors
    ///
    /// As [`Pool::map`].
    pub fn map<F, A, T>(
        self,
        function: F,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Vec<T>, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.run_all(function, arguments.into_iter()).all()
    }

    /// As [`Pool::map_each`].
    pub fn map_each<F, A, T>(
        self,
        function: F,
        arguments: impl IntoIterator<Item = A>,
    ) -> Vec<Result<T, TaskError>>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.run_all(function, arguments.into_iter()).each()
    }

    /// As [`Pool::imap`].
    pub fn imap<F, A, T, I>(self, function: F, arguments: I) -> Results<'a, F, I::IntoIter, T>
    where
        I: IntoIterator<Item = A>,
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        Results::new(self, function, arguments.into_iter(), true)
    }

    /// As [`Pool::imap_unordered`].
    pub fn imap_unordered<F, A, T, I>(
        self,
        function: F,
        arguments: I,
    ) -> Results<'a, F, I::IntoIter, T>
    where
        I: IntoIterator<Item = A>,
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        Results::new(self, function, arguments.into_iter(), false)
    }
}

/// Encodes arguments, and submits them in chunks.
struct Feed<'a> {
    dispatch: &'a Dispatch,
    entry: Remote<worker::Batch>,
    sink: Arc<dyn Sink>,
    chunk: usize,
    may_run_again: bool,
    /// The chunk's arguments are its first `end` bytes.
    buffer: Vec<u8>,
    end: usize,
    count: usize,
    /// The index of the next argument.
    next: usize,
}

/// Tasks that the pool does not take, and why.
struct Refused {
    tasks: Box<Tasks>,
    error: TaskError,
}

impl<'a> Feed<'a> {
    fn new<F, A, T>(
        options: Options<'a>,
        function: F,
        chunk: usize,
        sink: Arc<dyn Sink>,
    ) -> Result<Self, TaskError>
    where
        F: Fn(A) -> T + Copy + 'static,
        A: DeserializeOwned,
        T: Serialize,
    {
        if fork::is_fork() {
            return Err(TaskError::Forked);
        }
        let entry = Remote::new::<F, RunTasks<A, T>>(function)
            .map_err(|_| TaskError::Broken(SpawnError::NotInExecutable.to_string()))?;
        Ok(Self {
            dispatch: &options.pool.dispatch,
            entry,
            sink,
            chunk,
            may_run_again: options.may_run_again,
            buffer: Vec::new(),
            end: 0,
            count: 0,
            next: 0,
        })
    }

    /// Adds an argument to the chunk; one that cannot be encoded leaves it as it was.
    fn push<A: Serialize>(&mut self, argument: &A) -> Result<(), TaskError> {
        self.end =
            arguments::encode(&mut self.buffer, self.end, argument).map_err(TaskError::Encode)?;
        self.count += 1;
        self.next += 1;
        Ok(())
    }

    /// Takes all arguments, and submits a chunk whenever one is full. An argument that cannot be encoded has that as its task's result.
    fn feed<A: Serialize>(&mut self, mut arguments: impl Iterator<Item = A>) {
        loop {
            // The counters are local: one that is stored for each argument costs more than its encoding.
            let (mut end, mut count, mut refused, mut is_over) =
                (self.end, self.count, None, false);
            while count < self.chunk && end < CHUNK_BYTES {
                let Some(argument) = arguments.next() else {
                    is_over = true;
                    break;
                };
                match arguments::encode(&mut self.buffer, end, &argument) {
                    Ok(after) => (end, count) = (after, count + 1),
                    Err(error) => {
                        refused = Some(error);
                        break;
                    }
                }
            }
            self.next += count - self.count;
            (self.end, self.count) = (end, count);
            self.flush();
            if let Some(error) = refused {
                self.sink.open().fail(self.next, TaskError::Encode(error));
                self.next += 1;
            }
            if is_over || fork::is_fork() {
                return;
            }
        }
    }

    /// Submits the chunk.
    fn submit(&mut self, patient: bool) -> Result<(), Refused> {
        let tasks = Tasks {
            entry: self.entry,
            arguments: self.buffer[..std::mem::take(&mut self.end)].to_vec(),
            count: std::mem::take(&mut self.count),
            sink: Arc::clone(&self.sink),
            first: 0,
            may_run_again: self.may_run_again,
            deaths: 0,
        };
        let first = self.next - tasks.count;
        self.dispatch.submit(Tasks { first, ..tasks }, patient)
    }

    /// Submits the chunk, if there is one; if the pool refuses it, that is its tasks' result.
    fn flush(&mut self) {
        if self.count > 0
            && !fork::is_fork()
            && let Err(Refused { tasks, error }) = self.submit(true)
        {
            tasks.fail(&error);
        }
    }

    /// Takes one more argument, and submits the chunk if that fills it. An argument that cannot be encoded has that as its task's result.
    fn offer<A: Serialize>(&mut self, argument: &A) {
        match self.push(argument) {
            Ok(()) if self.count < self.chunk && self.end < CHUNK_BYTES => {}
            Ok(()) => self.flush(),
            Err(error) => {
                self.flush();
                self.sink.open().fail(self.next, error);
                self.next += 1;
            }
        }
    }
}

/// Results of an [`imap`](Pool::imap): an iterator over `Result<T, TaskError>`.
///
/// Dropping it early leaves the tasks submitted so far to be run; their results go.
pub struct Results<'a, F, I, T> {
    feed: Result<Feed<'a>, TaskError>,
    arguments: Option<I>,
    stream: Arc<Monitor<Stream<T>>>,
    taken: usize,
    window: usize,
    function: PhantomData<fn() -> F>,
}

impl<'a, F, I, A, T> Results<'a, F, I, T>
where
    I: Iterator<Item = A>,
    F: Fn(A) -> T + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    fn new(options: Options<'a>, function: F, arguments: I, ordered: bool) -> Self {
        let stream = Arc::new(Monitor::new(Stream::new(ordered)));
        let chunk = options.chunk.map_or(1, NonZero::get);
        Self {
            feed: Feed::new::<F, A, T>(options, function, chunk, Arc::clone(&stream) as _),
            arguments: Some(arguments),
            stream,
            taken: 0,
            window: chunk.saturating_mul(WINDOW).saturating_mul(options.pool.workers()),
            function: PhantomData,
        }
    }
}

impl<F, I, T> Results<'_, F, I, T> {
    /// One error, unless all results have been taken, and then the end.
    fn end_in_a_fork(&mut self) -> Option<Result<T, TaskError>> {
        let is_awaited = self.feed.as_ref().is_ok_and(|feed| feed.next > self.taken);
        let was_going_on = self.arguments.take().is_some() || is_awaited;
        self.feed = Err(TaskError::Forked);
        was_going_on.then_some(Err(TaskError::Forked))
    }
}

impl<F, I, T> Iterator for Results<'_, F, I, T>
where
    I: Iterator,
    I::Item: Serialize,
    T: Send,
{
    type Item = Result<T, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // The iterator of the arguments may have forked.
            if fork::is_fork() {
                return self.end_in_a_fork();
            }
            let feed = match &mut self.feed {
                Ok(feed) => feed,
                Err(error) => return self.arguments.as_mut()?.next().map(|_| Err(error.clone())),
            };
            // One argument for each result, and more while there is no result to give: as many are under way as it takes.
            if let Some(arguments) = &mut self.arguments
                && feed.next - self.taken < self.window
            {
                match arguments.next() {
                    Some(argument) => feed.offer(&argument),
                    None => {
                        self.arguments = None;
                        feed.flush();
                    }
                }
                if let Some(result) = self.stream.lock().take() {
                    self.taken += 1;
                    return Some(result);
                }
            } else if feed.next == self.taken {
                return None;
            } else {
                let result = self.stream.wait(None, Stream::take);
                self.taken += 1;
                return result;
            }
        }
    }
}

impl<F, I, T> fmt::Debug for Results<'_, F, I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("taken", &self.taken).finish_non_exhaustive()
    }
}
