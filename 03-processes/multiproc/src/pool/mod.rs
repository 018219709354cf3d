//! A pool of worker processes.
//!
//! A [`Pool`] starts its workers once and hands them task after task: calls of functions of this
//! program, each with an argument and a result that `serde` can encode. A task costs about a
//! microsecond, where a process costs about a millisecond.
//!
//! ```
//! fn square(n: u64) -> u64 {
//!     n * n
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     multiproc::init();
//!     let pool = multiproc::Pool::new()?;
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
//! - A task that panics is [`TaskError::Panicked`], and its worker goes on. In a program built with
//!   `panic = "abort"` the worker dies; the error is the same, and another worker takes its place.
//! - The death of a worker is noticed at once. The task it was in is [`TaskError::WorkerLost`]: it
//!   may have been run in part, so it is run again only if its caller has allowed that
//!   ([`Options::may_run_again`]). Tasks that the worker had not begun go to others. A new worker
//!   takes its place.
//! - Results that were written before the death count.
//! - When this process ends, its workers do.
//!
//! # When a worker cannot be started
//!
//! A start has *failed* if the worker ends before it is ready, whatever its age: its initializer
//! panics, exits, is killed or cannot decode its argument, or the process cannot set itself up. It
//! has also failed if the worker ends within a second after it was ready and has not begun the task
//! that it was given. (A worker that ends later, in a task, or with nothing to do is replaced, and
//! does not count.)
//!
//! After a failure the pool waits 20 ms before it starts workers again, and twice as long after
//! each further round in which one fails, up to five seconds. After six failed rounds in a row it
//! starts no more, and as soon as no worker is left, it is broken: all waiting tasks and all later
//! ones are [`TaskError::Broken`] with the reason, which includes the text of an initializer's
//! panic. As long as one worker is ready, the pool goes on with it and keeps trying. A worker that
//! runs a task, or has been ready for a second, ends the row of failures. Workers that end with
//! nothing to do, within a second after they were ready, are replaced with the same delays, up to
//! one second.
//!
//! If the system refuses to start a process for want of descriptors, processes or memory, the pool
//! tries again for a minute before it is broken. Meanwhile the tasks wait.
//!
//! # Which worker runs a task
//!
//! A task goes to a worker that is ready, never to one that is still in its initializer. Workers
//! are given tasks ahead of time, but these are only reserved: a worker with nothing to do gets the
//! tasks that another has not begun. That includes the tasks of a chunk behind the one being run,
//! and the tasks given to a worker that is to be replaced ([`PoolBuilder::max_tasks_per_worker`])
//! or is stopped (`SIGSTOP`). It takes a moment: up to a tenth of a second. (A chunk being run is
//! divided on Linux 4.16 or later.)
//!
//! # Where your code runs
//!
//! Results are decoded in the thread that fetches them: in [`AsyncResult::get`],
//! [`map`](Pool::map) and [`Results::next`]. So a `Deserialize` may take its time, call the pool,
//! or recurse as deeply as that thread's stack allows. A result that nobody fetches is not decoded.
//! Arguments are encoded in the thread that submits them; those of an `imap` are drawn and encoded
//! on a thread of their own, which has a stack as large as the main thread's. In a worker,
//! everything runs on the main thread.
//!
//! # Ctrl-C and other signals
//!
//! The terminal sends `SIGINT` to all processes of the foreground process group: to this program
//! and to its workers. A program that does not handle it ends, and so do its workers. In a program
//! that handles it, to finish its work or to save something, the workers die all the same, and
//! their tasks are [`TaskError::WorkerLost`] with signal 2. Such a program builds its pool with
//! [`PoolBuilder::ignore_interrupts`], and then decides by itself: it calls [`close`](Pool::close)
//! and [`join`](Pool::join) to finish what was submitted, or [`terminate`](Pool::terminate). Other
//! signals that are sent to the whole group (`kill -TERM -- -PGID`, or `SIGHUP` when a terminal is
//! closed) reach the workers as well; a program that must survive them handles them in the
//! initializer.
//!
//! # What is not promised
//!
//! - A task's own children are not the pool's. Processes that it started by this library end with
//!   their worker. Those that it started by [`std::process::Command`] go on when the worker is
//!   killed, as by [`terminate`](Pool::terminate): a task that starts them should wait for them, or
//!   have them killed with their parent (`PR_SET_PDEATHSIG`).
//! - An argument takes less than 4 GiB once it is encoded; a larger one is [`TaskError::Encode`].
//!   Results have no limit but memory.
//! - A task is not interrupted. One that hangs occupies its worker until the pool is terminated; so
//!   does an initializer that hangs.
//! - A task that overflows its stack kills its worker.

mod arguments;
mod claims;
mod collector;
mod dispatch;
mod feed;
mod gathered;
mod health;
mod results;
mod task;
mod worker;
mod workers;

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ipc::encoding::{self, EncodeError};
use crate::process::SpawnError;
use crate::process::remote::Remote;
use crate::sys::fork;

use dispatch::{Dispatch, Plan};
use feed::{Chunk, Submission};
use gathered::{Gathered, Ordered, Take, Values};
pub use results::Results;
pub use task::{AsyncResult, TaskError};
use task::{Monitor, Slot};
use worker::{RunSetup, Setup};

/// Batches a `map` makes for each worker, unless told otherwise, so that they end at about the same
/// time.
const BATCHES_A_WORKER: usize = 16;
/// Tasks a batch has at most, unless told otherwise: enough that what it costs to send it does not
/// count.
const LARGEST_BATCH: usize = 16384;

/// A pool of worker processes; see the [module](self).
///
/// Dropping it is [`terminate`](Self::terminate), and waits until the workers have ended; to finish
/// its tasks first, [`join`](Self::join) it. All its methods can be called from several threads.
pub struct Pool {
    dispatch: Arc<Dispatch>,
    collector: Option<JoinHandle<()>>,
    /// Its argument stays: a handle in it is valid as long as a process holds it.
    _initializer: Option<Initializer>,
}

/// What each worker runs first: the function, and how its argument is encoded.
struct Initializer {
    entry: Remote<Setup>,
    encode: Box<dyn Fn() -> Result<Vec<u8>, EncodeError> + Send + Sync>,
}

/// How a pool is to be started; see [`Pool::builder`].
#[must_use = "nothing is started before `build`"]
pub struct PoolBuilder {
    workers: Option<usize>,
    tasks_a_worker: Option<usize>,
    initializer: Option<Result<Initializer, PoolError>>,
    ignore_interrupts: bool,
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

    /// How many tasks a worker runs before a new process takes its place, instead of any number:
    /// against leaks in what the tasks call. Tasks sent together (a chunk) are not divided for it.
    pub fn max_tasks_per_worker(mut self, tasks: usize) -> Self {
        self.tasks_a_worker = Some(tasks);
        self
    }

    /// A function that each worker runs before its first task; so does each worker that takes the
    /// place of another. It may take any time. If it fails, the worker is replaced; if that happens
    /// repeatedly, the pool is [`TaskError::Broken`]: see [when a worker cannot be
    /// started](self#when-a-worker-cannot-be-started).
    ///
    /// The argument is encoded once, in [`build`](Self::build), and every worker decodes it. The
    /// pool keeps it until it is dropped, so queues in it exist as long as the pool. An end of a
    /// pipe cannot be in it: there is one of each, and there are many workers.
    ///
    /// ```
    /// use std::sync::OnceLock;
    /// static GREETING: OnceLock<String> = OnceLock::new();
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     multiproc::init();
    ///     let set = |greeting: String| GREETING.set(greeting).unwrap();
    ///     let pool = multiproc::Pool::builder().workers(2).initializer(set, "hello".to_owned()).build()?;
    ///     assert_eq!(pool.apply(|name: String| format!("{} {name}", GREETING.get().unwrap()), "Anna".to_owned())?, "hello Anna");
    ///     Ok(())
    /// }
    /// ```
    pub fn initializer<F, A>(mut self, function: F, argument: A) -> Self
    where
        F: Fn(A) + Copy + Send + 'static,
        A: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let entry = Remote::new::<F, RunSetup<A>>(function);
        self.initializer = Some(match entry {
            Err(_) => Err(PoolError::Spawn(SpawnError::NotInExecutable)),
            Ok(entry) => {
                let encode = move || encoding::encode_kept(&argument);
                Ok(Initializer { entry, encode: Box::new(encode) })
            }
        });
        self
    }

    /// Lets the workers ignore `SIGINT`, which Ctrl-C sends to all processes of a terminal's
    /// foreground process group: for a program that handles it. See [Ctrl-C and other
    /// signals](self#ctrl-c-and-other-signals). Programs that a task starts inherit this.
    ///
    /// ```
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     multiproc::init();
    ///     let pool = multiproc::Pool::builder().workers(2).ignore_interrupts().build()?;
    ///     assert_eq!(pool.apply(|n: u32| n + 1, 1)?, 2);
    ///     Ok(())
    /// }
    /// ```
    pub fn ignore_interrupts(mut self) -> Self {
        self.ignore_interrupts = true;
        self
    }

    /// Starts the workers. Does not wait until they are ready.
    ///
    /// The workers inherit what the calling thread has now, such as its sandbox and its processors
    /// (see [`Builder::spawn`](crate::Builder::spawn)); so do those that take another one's place
    /// later.
    ///
    /// # Errors
    ///
    /// [`PoolError`]: no workers or no tasks were asked for, the initializer's argument cannot be
    /// encoded, or a worker cannot be started.
    ///
    /// # Panics
    ///
    /// If the `Serialize` of the initializer's argument does. No worker was started then.
    pub fn build(self) -> Result<Pool, PoolError> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = self.workers.unwrap_or_else(cores);
        if workers == 0 || self.tasks_a_worker == Some(0) {
            return Err(PoolError::NoWorkers);
        }
        let initializer = self.initializer.transpose()?;
        // Once, and here: a `Serialize` is the caller's code, which must not run on the pool's
        // thread.
        let encoded = match &initializer {
            None => None,
            Some(Initializer { entry, encode }) => {
                Some((*entry, encode().map_err(SpawnError::Encode)?))
            }
        };
        let (dispatch, collector) = Dispatch::start(Plan {
            workers,
            tasks_a_worker: self.tasks_a_worker,
            initializer: encoded,
            ignore_interrupts: self.ignore_interrupts,
        })?;
        Ok(Pool { dispatch, collector: Some(collector), _initializer: initializer })
    }
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("workers", &self.workers)
            .field("max_tasks_per_worker", &self.tasks_a_worker)
            .field("ignore_interrupts", &self.ignore_interrupts)
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
    ///     multiproc::init();
    ///     let pool = multiproc::Pool::builder().workers(3).max_tasks_per_worker(100).build()?;
    ///     assert_eq!(pool.workers(), 3);
    ///     assert!(multiproc::Pool::builder().workers(0).build().is_err());
    ///     Ok(())
    /// }
    /// ```
    pub fn builder() -> PoolBuilder {
        PoolBuilder {
            workers: None,
            tasks_a_worker: None,
            initializer: None,
            ignore_interrupts: false,
        }
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
        T: Serialize + DeserializeOwned,
    {
        self.options().apply(function, argument)
    }

    /// Submits one task; its result is fetched from the handle later.
    ///
    /// # Errors
    ///
    /// [`TaskError`], if it could not be submitted: the argument cannot be encoded, the pool is
    /// closed or broken.
    pub fn apply_async<F, A, T>(
        &self,
        function: F,
        argument: A,
    ) -> Result<AsyncResult<T>, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        self.options().apply_async(function, argument)
    }

    /// Runs the function once for each argument, and waits for all results: in the arguments'
    /// order.
    ///
    /// Tasks go to the workers in chunks (see [`Options::chunk`]), and begin while further
    /// arguments are drawn. The arguments are drawn in this thread, so they may borrow from it.
    ///
    /// # Errors
    ///
    /// The error of the first task, in order, that has one; all have ended by then. Use
    /// [`map_each`](Self::map_each) to get the others' results.
    pub fn map<F, A, T>(
        &self,
        function: F,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Vec<T>, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
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
        T: Serialize + DeserializeOwned,
    {
        self.options().map_each(function, arguments)
    }

    /// An iterator over the results, in the arguments' order. Each comes as soon as it and those
    /// before it are there.
    ///
    /// The first call of `next` starts a thread that draws the arguments and submits the tasks, so
    /// an iterator over the arguments may be slow, and may even wait for a result of an earlier
    /// one. It may also be endless: the thread draws at most 64 chunks for each worker ahead of the
    /// results that were taken. A chunk is one task, unless [`Options::chunk`] sets another size.
    ///
    /// An argument that cannot be encoded has an error as its result; if the pool is closed or
    /// broken, every argument has. For a panic in the iterator over the arguments, and for dropping
    /// the results early, see [`Results`].
    ///
    /// ```
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     multiproc::init();
    ///     let pool = multiproc::Pool::new()?;
    ///     let squares = pool.imap(|n: u64| n * n, 1..).map(Result::unwrap);
    ///     assert_eq!(squares.take_while(|n| *n < 30).collect::<Vec<_>>(), [1, 4, 9, 16, 25]);
    ///     Ok(())
    /// }
    /// ```
    pub fn imap<F, A, T, I>(&self, function: F, arguments: I) -> Results<'_, T>
    where
        I: IntoIterator<Item = A, IntoIter: Send + 'static>,
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        self.options().imap(function, arguments)
    }

    /// As [`imap`](Self::imap), in the order in which the tasks end.
    pub fn imap_unordered<F, A, T, I>(&self, function: F, arguments: I) -> Results<'_, T>
    where
        I: IntoIterator<Item = A, IntoIter: Send + 'static>,
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        self.options().imap_unordered(function, arguments)
    }

    /// From now on nothing can be submitted ([`TaskError::Closed`]); what was submitted is
    /// finished, then the workers end. Does not wait.
    pub fn close(&self) {
        self.dispatch.close();
    }

    /// Ends the workers at once (`SIGKILL`). Tasks that have not ended are
    /// [`TaskError::Terminated`]. Does not wait for the workers' end.
    pub fn terminate(&self) {
        self.dispatch.terminate();
    }

    /// [Closes](Self::close) the pool, unless it is closed or terminated, and waits until every
    /// task and every worker has ended.
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
///     multiproc::init();
///     let pool = multiproc::Pool::new()?;
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

    /// A task whose worker died is run again, up to twice, instead of being lost. This is right for
    /// tasks that are idempotent, also when they were stopped half-way.
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
        T: Serialize + DeserializeOwned,
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
        T: Serialize + DeserializeOwned,
    {
        let slot: Arc<Slot> = Arc::new(Monitor::new(None));
        let submission = Submission::new::<F, A, T>(self, function, Arc::clone(&slot) as _)?;
        let (mut arguments, mut kept) = (Vec::new(), Vec::new());
        let end = arguments::encode(&mut arguments, 0, &argument, &mut kept)
            .map_err(TaskError::Encode)?;
        // This process's copy of what traveled is closed before the task runs.
        drop(argument);
        arguments.truncate(end);
        submission.submit(Chunk { arguments, kept, first: 0, count: 1 }, false)?;
        Ok(AsyncResult::new(slot))
    }

    /// The size of a chunk: what was set, or `automatic`.
    fn chunk_or(self, automatic: usize) -> usize {
        self.chunk.map_or(automatic, NonZero::get)
    }

    /// Submits everything, waits for everything, and gives the results to `taken` in order, as long
    /// as it wants more.
    fn run_all<F, A, T, S: Take<T>>(
        self,
        function: F,
        arguments: impl Iterator<Item = A>,
        taken: S,
    ) -> Result<S, TaskError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        let known = arguments.size_hint().0;
        let automatic =
            known.div_ceil(self.pool.workers() * BATCHES_A_WORKER).clamp(1, LARGEST_BATCH);
        let gathered = Arc::new(Monitor::new(Gathered::default()));
        let submission = Submission::new::<F, A, T>(self, function, Arc::clone(&gathered) as _)?;
        let mut ordered = Ordered::new(taken);
        let chunk = self.chunk_or(automatic);
        let total = submission.feed(chunk, arguments, || ordered.fetch_much(&gathered));
        // The iterator, or an argument's `Serialize`, may have forked.
        if fork::is_fork() {
            return Err(TaskError::Forked);
        }
        gathered.lock().set_total(total);
        Ok(ordered.fetch_all(&gathered))
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
        T: Serialize + DeserializeOwned,
    {
        let taken = Values { values: Vec::new(), first_error: None };
        let Values { values, first_error } =
            self.run_all(function, arguments.into_iter(), taken)?;
        first_error.map_or(Ok(values), Err)
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
        T: Serialize + DeserializeOwned,
    {
        let arguments = arguments.into_iter();
        self.run_all(function, arguments, Vec::new()).unwrap_or_else(|error| vec![Err(error)])
    }

    /// As [`Pool::imap`].
    pub fn imap<F, A, T, I>(self, function: F, arguments: I) -> Results<'a, T>
    where
        I: IntoIterator<Item = A, IntoIter: Send + 'static>,
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        Results::new::<F, A, _>(self, function, arguments.into_iter(), true)
    }

    /// As [`Pool::imap_unordered`].
    pub fn imap_unordered<F, A, T, I>(self, function: F, arguments: I) -> Results<'a, T>
    where
        I: IntoIterator<Item = A, IntoIter: Send + 'static>,
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        Results::new::<F, A, _>(self, function, arguments.into_iter(), false)
    }
}
