//! What both stores do, under one name.

use crate::{Job, redis::Redis, sqlite::Sqlite};
use apalis::prelude::{Task, TaskBuilder};
use std::{
    fmt,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What a store or the library said; it is only ever shown.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Where a queue is kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file, for workers on one machine. Not on a network file system: SQLite's locks do not hold there.
    Sqlite(PathBuf),
    /// A server, as `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, for workers on many machines.
    Redis(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Sqlite(file) => write!(f, "{}", file.display()),
            Place::Redis(url) => {
                let address = url.split_once("://").map_or(url.as_str(), |(_, address)| address);
                // What stands before the `@` is a password.
                write!(f, "Redis at {}", address.rsplit('@').next().unwrap_or_default())
            }
        }
    }
}

/// An open queue. A clone is another handle to the same one.
#[derive(Clone, Debug)]
pub enum Store {
    #[doc(hidden)]
    Sqlite(Sqlite),
    #[doc(hidden)]
    Redis(Redis),
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// For a worker, or after a failure for its time to be tried again.
    Waiting,
    /// A worker has it.
    Running,
    /// Over, with a result.
    Done,
    /// Over: it failed, or its worker died, as often as it may.
    Failed,
}

/// A job in the store.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What is to be done.
    pub job: Job,
    /// How far it is.
    pub state: State,
    /// How often it was begun, as far as the store knows.
    pub runs: u32,
    /// What its last finished run returned, or why it failed.
    pub result: Option<Result<String, String>>,
}

/// How many jobs go to the store in one message.
const BATCH: usize = 500;

macro_rules! either {
    ($store:expr, $inner:ident => $body:expr) => {
        match $store {
            Store::Sqlite($inner) => $body,
            Store::Redis($inner) => $body,
        }
    };
}
pub(crate) use either;

impl Store {
    /// Opens the queue called `queue` at `place`. A file that is not there is made if `create` says so.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or is none of ours, or the server does not answer within seconds.
    pub async fn open(place: &Place, queue: &str, create: bool) -> Result<Store, Error> {
        match place {
            Place::Sqlite(file) => Ok(Store::Sqlite(Sqlite::open(file, queue, create).await?)),
            Place::Redis(url) => Ok(Store::Redis(Redis::open(url, queue).await?)),
        }
    }

    /// Puts `jobs` in. A job whose key the store has seen before stays out: so it does no harm
    /// to call this again after an error, when nobody knows how far it came.
    ///
    /// # Errors
    ///
    /// What the store said. Some of the jobs may be in it.
    pub async fn push(&self, jobs: &[Job]) -> Result<(), Error> {
        for jobs in jobs.chunks(BATCH) {
            either!(self, store => store.push(jobs).await?);
        }
        Ok(())
    }

    /// All jobs that were ever put in, by file.
    ///
    /// # Errors
    ///
    /// What the store said, or that one of its jobs cannot be read.
    pub async fn entries(&self) -> Result<Vec<Entry>, Error> {
        let mut entries = either!(self, store => store.entries().await?);
        entries.sort_by(|a, b| a.job.file.cmp(&b.job.file).then_with(|| a.job.key.cmp(&b.job.key)));
        Ok(entries)
    }

    /// Run number `run` of job `id` begins. That a job was begun is to be known even if
    /// its worker does not live to say so.
    pub(crate) async fn begin(&self, id: &str, run: u32) -> Result<(), Error> {
        match self {
            Store::Sqlite(_) => Ok(()), // counted when the job is taken away from its dead worker
            Store::Redis(redis) => redis.begin(id, run).await,
        }
    }

    /// Run number `run` of job `id` failed: the next one comes `run` seconds later.
    pub(crate) async fn back_off(&self, id: &str, run: u32) -> Result<(), Error> {
        match self {
            Store::Sqlite(sqlite) => sqlite.back_off(id, now() + u64::from(run)).await,
            Store::Redis(_) => Ok(()), // apalis: it does so itself, there
        }
    }

    /// The worker called `name` is alive.
    pub(crate) async fn beat(&self, name: &str) -> Result<(), Error> {
        either!(self, store => store.beat(name).await)
    }

    /// The worker called `name` is gone for good; what it still holds is for others, at once.
    pub(crate) async fn give_back(&self, name: &str) -> Result<(), Error> {
        either!(self, store => store.give_back(name).await)
    }
}

/// Seconds since 1970, the clock both stores go by.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Jobs as the library wants them.
pub(crate) fn tasks(jobs: &[Job]) -> Result<Vec<Task<Vec<u8>>>, Error> {
    let task = |job: &Job| {
        let bytes = serde_json::to_vec(job)?;
        Ok(TaskBuilder::new(bytes).idempotency_key(&job.key).build())
    };
    jobs.iter().map(task).collect()
}

/// A job's result as the library stores it: `{"Ok": …}` or `{"Err": …}`.
pub(crate) fn result(stored: Option<&str>) -> Result<Option<Result<String, String>>, Error> {
    let Some(stored) = stored.filter(|stored| !stored.is_empty()) else { return Ok(None) };
    let result: Result<String, String> = serde_json::from_str(stored)?;
    let plain =
        |reason: String| reason.strip_prefix("AbortError: ").map(str::to_owned).unwrap_or(reason);
    Ok(Some(result.map_err(plain)))
}
