//! Arguments on their way to the workers: they are encoded, and submitted in chunks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Options;
use super::arguments;
use super::dispatch::Dispatch;
use super::task::{Sink, TaskError, Tasks};
use super::worker::{Batch, RunTasks};
use crate::process::SpawnError;
use crate::process::remote::Remote;
use crate::shm::arena::Region;
use crate::sys::fork;

/// Bytes of arguments after which a chunk is full, however few they are.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// A chunk whose arguments take longer than this to draw is submitted before it is full.
pub(super) const SLOW: Duration = Duration::from_millis(1);

/// How many tasks are submitted before the caller looks at the results.
const BETWEEN: usize = 64;

/// Encoded arguments of tasks that follow one another.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) arguments: Vec<u8>,
    /// What there are handles to in the arguments, held until the tasks have ended.
    pub(super) kept: Vec<Region>,
    /// The index of the first task.
    pub(super) first: usize,
    pub(super) count: usize,
}

/// What the tasks of one call have in common.
pub(super) struct Submission {
    dispatch: Arc<Dispatch>,
    entry: Remote<Batch>,
    sink: Arc<dyn Sink>,
    may_run_again: bool,
}

impl Submission {
    /// Tasks that run this function.
    ///
    /// # Errors
    ///
    /// The function is not in the program's executable.
    pub(super) fn new<F, A, T>(
        options: Options<'_>,
        function: F,
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
        let dispatch = Arc::clone(&options.pool.dispatch);
        Ok(Self { dispatch, entry, sink, may_run_again: options.may_run_again })
    }

    /// Submits a chunk. With `patient`, waits first while the pool's queue is long.
    ///
    /// # Errors
    ///
    /// The pool is closed, terminated or broken.
    pub(super) fn submit(&self, chunk: Chunk, patient: bool) -> Result<(), TaskError> {
        let tasks = Tasks {
            entry: self.entry,
            arguments: chunk.arguments,
            kept: chunk.kept,
            count: chunk.count,
            sink: Arc::clone(&self.sink),
            first: chunk.first,
            may_run_again: self.may_run_again,
            deaths: 0,
        };
        self.dispatch.submit(tasks, patient)
    }

    /// Submits a chunk, unless it is empty. If the pool refuses it, that is the result of its
    /// tasks.
    pub(super) fn submit_or_fail(&self, chunk: Chunk) {
        let (first, count) = (chunk.first, chunk.count);
        if count > 0
            && !fork::is_fork()
            && let Err(error) = self.submit(chunk, true)
        {
            self.sink.fail(first, count, &error);
        }
    }

    /// A task that was not submitted has this as its result.
    pub(super) fn fail(&self, index: usize, error: TaskError) {
        self.sink.fail(index, 1, &error);
    }

    /// Draws all arguments, and submits a chunk whenever one is full. Returns how many there were.
    /// An argument that cannot be encoded has that as its task's result. `between` is called now
    /// and then, when some tasks were submitted.
    pub(super) fn feed<A: Serialize>(
        &self,
        chunk: usize,
        mut arguments: impl Iterator<Item = A>,
        mut between: impl FnMut(),
    ) -> usize {
        let (mut buffer, mut kept, mut next, mut since) = (Vec::new(), Vec::new(), 0, 0);
        loop {
            let start = (chunk > 1).then(Instant::now);
            // The counters are local: storing them for each argument would cost more than its
            // encoding.
            let (mut end, mut count, mut refused, mut is_over) = (0, 0, None, false);
            let mut look_at = 1;
            loop {
                let until = chunk.min(look_at);
                while count < until && end < CHUNK_BYTES {
                    let Some(argument) = arguments.next() else {
                        is_over = true;
                        break;
                    };
                    match arguments::encode(&mut buffer, end, &argument, &mut kept) {
                        Ok(after) => (end, count) = (after, count + 1),
                        Err(error) => {
                            refused = Some(error);
                            break;
                        }
                    }
                }
                // The clock is read after 1, 2, 4, 8 … arguments.
                if is_over
                    || refused.is_some()
                    || count >= chunk
                    || end >= CHUNK_BYTES
                    || start.is_some_and(|start| start.elapsed() >= SLOW)
                {
                    break;
                }
                look_at = 2 * count;
            }
            if fork::is_fork() {
                return next;
            }
            let arguments = buffer[..end].to_vec();
            let kept = std::mem::take(&mut kept);
            self.submit_or_fail(Chunk { arguments, kept, first: next, count });
            next += count;
            if let Some(error) = refused {
                self.fail(next, TaskError::Encode(error));
                next += 1;
            }
            if is_over {
                return next;
            }
            since += count.max(1);
            if since >= BETWEEN {
                since = 0;
                between();
            }
        }
    }
}
