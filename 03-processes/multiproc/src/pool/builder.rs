//! Setting up and starting a pool.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::collector;
use super::error::PoolError;
use super::handle::Pool;
use super::scheduler::{Config, Scheduler};
use super::worker::{InitializerCall, RunInitializer};
use crate::ipc::encoding::{self, EncodeError};
use crate::process::SpawnError;
use crate::process::remote::Remote;

/// The function that each worker runs first, and how its argument is encoded.
struct Initializer {
    entry: Remote<InitializerCall>,
    /// It owns the argument.
    encode: Encode,
}

type Encode = Box<dyn Fn() -> Result<Vec<u8>, EncodeError> + Send + Sync>;

/// How a pool is to be started; see [`Pool::builder`].
#[must_use = "nothing is started before `build`"]
pub struct Builder {
    workers: Option<usize>,
    max_tasks_per_worker: Option<usize>,
    initializer: Option<Result<Initializer, PoolError>>,
    ignore_interrupts: bool,
}

impl Pool {
    /// A pool with a worker for each core.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
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
    pub fn builder() -> Builder {
        Builder {
            workers: None,
            max_tasks_per_worker: None,
            initializer: None,
            ignore_interrupts: false,
        }
    }
}

impl Builder {
    /// The number of workers, instead of one for each core.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How many tasks a worker runs before a new process takes its place, instead of any number:
    /// against leaks in what the tasks call. Tasks sent together (a chunk) are not divided for it.
    pub fn max_tasks_per_worker(mut self, tasks: usize) -> Self {
        self.max_tasks_per_worker = Some(tasks);
        self
    }

    /// A function that each worker runs before its first task; so does each worker that takes the
    /// place of another. It may take any time. If it fails, the worker is replaced; if that happens
    /// repeatedly, the pool is [`TaskError::Broken`](super::TaskError::Broken): see [when a worker
    /// cannot be started](crate::pool#when-a-worker-cannot-be-started).
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
    ///     let builder = multiproc::Pool::builder().initializer(set, "hello".to_owned());
    ///     let pool = builder.build()?;
    ///     let greet = |name: String| format!("{} {name}", GREETING.get().unwrap());
    ///     assert_eq!(pool.apply(greet, "Anna".to_owned())?, "hello Anna");
    ///     Ok(())
    /// }
    /// ```
    pub fn initializer<F, A>(mut self, function: F, argument: A) -> Self
    where
        F: Fn(A) + Copy + Send + 'static,
        A: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let entry = Remote::new::<F, RunInitializer<A>>(function);
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
    /// signals](crate::pool#ctrl-c-and-other-signals). Programs that a task starts inherit this.
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
        if workers == 0 || self.max_tasks_per_worker == Some(0) {
            return Err(PoolError::NoWorkers);
        }
        let initializer = self.initializer.transpose()?;
        // Once, and here: a `Serialize` is the caller's code, which must not run on the collector's
        // thread.
        let encoded = match &initializer {
            None => None,
            Some(Initializer { entry, encode }) => {
                Some((*entry, encode().map_err(SpawnError::Encode)?))
            }
        };
        let scheduler = Scheduler::new(Config {
            workers,
            max_tasks_per_worker: self.max_tasks_per_worker,
            initializer: encoded,
            ignore_interrupts: self.ignore_interrupts,
        });
        let scheduler = Arc::new(scheduler.map_err(SpawnError::from)?);
        let spawned = scheduler.spawn_all()?;
        let collector = collector::start(&scheduler, spawned).map_err(|error| {
            scheduler.terminate();
            SpawnError::from(error)
        })?;
        // The argument stays: a handle in it is valid as long as a process holds it.
        let argument = initializer.map(|initializer| Box::new(initializer.encode) as _);
        Ok(Pool::from_parts(scheduler, collector, argument))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.workers)
            .field("max_tasks_per_worker", &self.max_tasks_per_worker)
            .field("ignore_interrupts", &self.ignore_interrupts)
            .finish_non_exhaustive()
    }
}
