//! Arguments on their way into the pool: they are drawn, encoded, and submitted in batches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::{self, Arguments};
use super::batch::{Batch, Policy};
use super::error::TaskError;
use super::gather::Sink;
use super::scheduler::Scheduler;
use super::worker::{Execution, RunTasks};
use crate::process::SpawnError;
use crate::process::remote::Remote;
use crate::sys::fork;

/// Bytes of arguments after which a batch is full, however few they are.
pub(super) const BATCH_BYTES: usize = 256 * 1024;

/// A batch whose arguments take longer than this to draw is submitted before it is full.
pub(super) const SLOW: Duration = Duration::from_millis(1);

/// How many tasks are submitted before the caller fetches results that are there.
const TASKS_BETWEEN_FETCHES: usize = 64;

/// What the tasks of one call of the pool have in common.
pub(super) struct Submission {
    scheduler: Arc<Scheduler>,
    entry: Remote<Execution>,
    sink: Arc<dyn Sink>,
    policy: Policy,
}

impl Submission {
    /// Tasks that run this function.
    ///
    /// # Errors
    ///
    /// The function is not in the program's executable, or this process is a fork.
    pub(super) fn new<F, A, T>(
        scheduler: &Arc<Scheduler>,
        function: F,
        sink: Arc<dyn Sink>,
        policy: Policy,
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
        Ok(Self { scheduler: Arc::clone(scheduler), entry, sink, policy })
    }

    /// Submits one task without waiting.
    ///
    /// # Errors
    ///
    /// The argument cannot be encoded, or the pool is closed, terminated or broken.
    pub(super) fn submit_one<A: Serialize>(&self, argument: A) -> Result<(), TaskError> {
        let (mut bytes, mut kept) = (Vec::new(), Vec::new());
        let end =
            arguments::encode(&mut bytes, 0, &argument, &mut kept).map_err(TaskError::Encode)?;
        // This process's copy of what traveled is closed before the task runs.
        drop(argument);
        bytes.truncate(end);
        self.submit(0, Arguments { bytes, kept, count: 1 }, false)
    }

    fn submit(&self, first: usize, arguments: Arguments, waits: bool) -> Result<(), TaskError> {
        let batch = Batch {
            entry: self.entry,
            arguments,
            sink: Arc::clone(&self.sink),
            first,
            policy: self.policy,
            deaths: 0,
        };
        self.scheduler.submit(batch, waits)
    }

    /// Submits a batch of tasks from index `first` on, unless it is empty; waits first while the
    /// pool's queue is long. If the pool refuses the batch, that is the result of its tasks.
    pub(super) fn submit_or_fail(&self, first: usize, arguments: Arguments) {
        let count = arguments.count;
        if count > 0
            && !fork::is_fork()
            && let Err(error) = self.submit(first, arguments, true)
        {
            self.sink.fail(first, count, &error);
        }
    }

    /// Delivers an error for a task that was not submitted.
    pub(super) fn fail(&self, index: usize, error: TaskError) {
        self.sink.fail(index, 1, &error);
    }

    /// Draws all arguments, and submits a batch whenever `chunk` are drawn. Returns how many there
    /// were. An argument that cannot be encoded has that as its task's result. `fetch` is called
    /// now and then, when some tasks were submitted.
    pub(super) fn feed<A: Serialize>(
        &self,
        chunk: usize,
        mut arguments: impl Iterator<Item = A>,
        mut fetch: impl FnMut(),
    ) -> usize {
        let (mut buffer, mut kept, mut next, mut since_fetch) = (Vec::new(), Vec::new(), 0, 0);
        loop {
            let start = (chunk > 1).then(Instant::now);
            // The counters are local: storing them for each argument would cost more than its
            // encoding.
            let (mut end, mut count, mut refused, mut is_over) = (0, 0, None, false);
            let mut check_at = 1;
            loop {
                let until = chunk.min(check_at);
                while count < until && end < BATCH_BYTES {
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
                    || end >= BATCH_BYTES
                    || start.is_some_and(|start| start.elapsed() >= SLOW)
                {
                    break;
                }
                check_at = 2 * count;
            }
            if fork::is_fork() {
                return next;
            }
            let bytes = buffer[..end].to_vec();
            let kept = std::mem::take(&mut kept);
            self.submit_or_fail(next, Arguments { bytes, kept, count });
            next += count;
            if let Some(error) = refused {
                self.fail(next, TaskError::Encode(error));
                next += 1;
            }
            if is_over {
                return next;
            }
            since_fetch += count.max(1);
            if since_fetch >= TASKS_BETWEEN_FETCHES {
                since_fetch = 0;
                fetch();
            }
        }
    }
}
