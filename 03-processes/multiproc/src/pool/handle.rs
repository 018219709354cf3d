//! The handle of a pool.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::async_result::AsyncResult;
use super::error::TaskError;
use super::imap::Results;
use super::options::Options;
use super::scheduler::Scheduler;
use crate::sys::fork;

/// A pool of worker processes; see the [module](crate::pool).
///
/// Dropping it is [`terminate`](Self::terminate), and waits until the workers have ended; to finish
/// its tasks first, [`join`](Self::join) it. All its methods can be called from several threads.
pub struct Pool {
    scheduler: Arc<Scheduler>,
    collector: Option<JoinHandle<()>>,
    /// What owns the initializer's argument, to be dropped with the pool.
    _argument: Option<Box<dyn Any + Send + Sync>>,
}
impl Pool {
    /// A pool that was started. `argument` is dropped with it.
    pub(super) fn from_parts(
        scheduler: Arc<Scheduler>,
        collector: JoinHandle<()>,
        argument: Option<Box<dyn Any + Send + Sync>>,
    ) -> Self {
        Self { scheduler, collector: Some(collector), _argument: argument }
    }

    /// How many workers it keeps.
    pub fn workers(&self) -> usize {
        self.scheduler.workers()
    }

    /// The process ids of the workers alive now.
    pub fn worker_ids(&self) -> Vec<u32> {
        self.scheduler.worker_ids()
    }

    /// The same pool, with other options for what is submitted through it.
    pub fn options(&self) -> Options<'_> {
        Options::new(&self.scheduler)
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
        self.scheduler.close();
    }

    /// Ends the workers at once (`SIGKILL`). Tasks that have not ended are
    /// [`TaskError::Terminated`]. Does not wait for the workers' end.
    pub fn terminate(&self) {
        self.scheduler.terminate();
    }

    /// [Closes](Self::close) the pool, unless it is closed or terminated, and waits until every
    /// task and every worker has ended.
    pub fn join(mut self) {
        self.scheduler.close();
        self.join_collector();
    }

    fn join_collector(&mut self) {
        if let Some(collector) = self.collector.take() {
            if fork::is_fork() {
                // The thread exists in the original process only.
                return std::mem::forget(collector);
            }
            // It catches its own panics.
            let _ = collector.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.collector.is_some() {
            self.scheduler.terminate();
            self.join_collector();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("workers", &self.worker_ids()).finish()
    }
}
