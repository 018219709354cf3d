//! The handle of one task's result.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::error::TaskError;
use super::gather::{Single, decode};
use super::scheduler::{Cancel, Scheduler};
use crate::sys::fork;
use crate::sys::sync::deadline_after;

/// The result of a task that may still be running: see
/// [`Pool::apply_async`](crate::Pool::apply_async).
///
/// The result is decoded in the thread that calls [`get`](Self::get). Dropping the handle does not
/// stop the task, which [`cancel`](Self::cancel) does: the result is thrown away without being
/// decoded.
#[must_use = "the task runs all the same, but its result and its error are lost"]
pub struct AsyncResult<T> {
    single: Arc<Single>,
    /// Weak, so that nothing of a pool stays behind for a handle.
    scheduler: Weak<Scheduler>,
    result: PhantomData<fn() -> T>,
}

impl<T> AsyncResult<T> {
    pub(super) fn new(single: Arc<Single>, scheduler: &Arc<Scheduler>) -> Self {
        Self { single, scheduler: Arc::downgrade(scheduler), result: PhantomData }
    }

    /// Whether [`get`](Self::get) would return without waiting.
    pub fn is_ready(&self) -> bool {
        fork::is_fork() || self.single.lock().is_some()
    }

    /// Ends the task if it has not ended: one that has not begun is removed, and for one that is
    /// running, its worker is killed. Returns which of these it was, and does not wait for the
    /// worker's end. Then [`get`](Self::get) returns [`TaskError::Cancelled`], or the result if
    /// that was published before; it does not wait for long.
    ///
    /// - Only a worker that has not begun another task is killed. So no other task is lost; those
    ///   that the worker was assigned go to other workers. If the task ends at this moment, its
    ///   worker may be replaced although the task has its result.
    /// - What a killed task has done until then stays done: a file may be half written. No
    ///   destructor runs in the worker. Its locks of [`sync`](crate::sync), and what else it shared
    ///   with others, are left [as by any death](crate#when-something-dies).
    /// - Processes that the task has started by this library end with the worker; those that it has
    ///   started by [`std::process::Command`] go on ([what is not
    ///   promised](crate::pool#what-is-not-promised)).
    /// - A cancelled task is not run again
    ///   ([`Options::retry_lost`](crate::pool::Options::retry_lost)). One whose worker died before
    ///   that, and which waits to be run again, is removed.
    /// - A worker that has become another user's process cannot be killed. Its task goes on, and
    ///   the worker ends after it.
    ///
    /// It takes time in proportion to the number of tasks that wait in the pool. In a copy of the
    /// process made by `fork` it does nothing.
    ///
    /// ```
    /// use multiproc::{Pool, TaskError, pool::Cancel};
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     multiproc::init();
    ///     let pool = Pool::builder().workers(1).build()?;
    ///     let endless = |(): ()| loop {
    ///         std::thread::park();
    ///     };
    ///     let running = pool.apply_async::<_, (), ()>(endless, ())?;
    ///     let behind_it = pool.apply_async(|n: u32| n + 1, 1)?;
    ///     // The worker may not have begun it yet.
    ///     assert!(matches!(running.cancel(), Cancel::Removed | Cancel::Killed));
    ///     assert_eq!(running.get(), Err(TaskError::Cancelled));
    ///     assert_eq!(behind_it.get(), Ok(2));
    ///     Ok(())
    /// }
    /// ```
    pub fn cancel(&self) -> Cancel {
        if self.is_ready() {
            return Cancel::Ended;
        }
        // Without a scheduler there is no pool: every task has ended.
        self.scheduler.upgrade().map_or(Cancel::Ended, |scheduler| scheduler.cancel(&*self.single))
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
        decode(self.single.wait(None, Option::take).expect("without a deadline there is a result"))
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
        self.single.wait(deadline_after(timeout), Option::take).map(decode).ok_or(self)
    }
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult").field("ready", &self.is_ready()).finish()
    }
}
