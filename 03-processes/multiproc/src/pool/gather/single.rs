//! The result of one task: `apply` and `apply_async`.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::monitor::Monitor;
use super::outcome::{Encoded, Outcome, decode};
use super::sink::Gather;
use crate::pool::error::TaskError;
use crate::shm::arena::Region;
use crate::sys::fork;
use crate::sys::sync::deadline_after;

/// Where the result of one task waits.
pub(in crate::pool) type Single = Monitor<Option<Outcome>>;

impl Gather for Option<Outcome> {
    fn fail(&mut self, _index: usize, error: TaskError) {
        *self = Some(Err(error));
    }

    fn gather(&mut self, _index: usize, tag: u8, bytes: &[u8], kept: Vec<Region>) {
        *self = Some(Ok(Encoded { tag, bytes: bytes.to_vec(), kept }));
    }

    fn is_ready(&self) -> bool {
        self.is_some()
    }
}

/// The result of a task that may still be running: see
/// [`Pool::apply_async`](crate::Pool::apply_async).
///
/// The result is decoded in the thread that calls [`get`](Self::get). Dropping the handle does not
/// stop the task; its result is then thrown away without being decoded.
#[must_use = "the task runs all the same, but its result and its error are lost"]
pub struct AsyncResult<T> {
    single: Arc<Single>,
    result: PhantomData<fn() -> T>,
}

impl<T> AsyncResult<T> {
    pub(in crate::pool) fn new(single: Arc<Single>) -> Self {
        Self { single, result: PhantomData }
    }

    /// Whether [`get`](Self::get) would return without waiting.
    pub fn is_ready(&self) -> bool {
        fork::is_fork() || self.single.lock().is_some()
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
