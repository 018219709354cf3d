//! What both stores do, under one name.

use crate::{
    Job,
    entry::{Entry, Error, now},
    redis::Redis,
    sqlite::Sqlite,
};
use std::{fmt, path::PathBuf};
use util::text::visible;

/// Where a queue is kept.
#[derive(Clone)]
pub enum Place {
    /// A file, for workers on one machine. Not on a network file system: SQLite's locks do not hold
    /// there.
    Sqlite(PathBuf),
    /// A server, as `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, for workers on many machines.
    Redis(String),
}

/// The file, or the server's address without any credentials.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Sqlite(file) => write!(f, "{}", visible(file)),
            Place::Redis(url) => match ::redis::Client::open(url.as_str()) {
                Ok(client) => {
                    let about = client.get_connection_info();
                    write!(f, "Redis at {}", visible(&about.addr().to_string()))?;
                    match about.redis_settings().db() {
                        0 => Ok(()),
                        database => write!(f, "/{database}"),
                    }
                }
                // A password can stand anywhere in it.
                Err(_) => f.write_str("the Redis URL"),
            },
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
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
    /// Opens the queue called `queue` at `place`, to add jobs or to work. A file that does not
    /// exist is created.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or belongs to another program, or the server does not answer
    /// within seconds.
    pub async fn open(place: &Place, queue: &str) -> Result<Store, Error> {
        match place {
            Place::Sqlite(file) => Ok(Store::Sqlite(Sqlite::open(file, queue).await?)),
            Place::Redis(url) => Ok(Store::Redis(Redis::open(url, queue).await?)),
        }
    }

    /// Opens it to list its jobs. Nothing in a file is changed.
    ///
    /// # Errors
    ///
    /// As [`Store::open`], and if there is no such file.
    pub async fn open_to_list(place: &Place, queue: &str) -> Result<Store, Error> {
        match place {
            Place::Sqlite(file) => Ok(Store::Sqlite(Sqlite::open_to_list(file, queue).await?)),
            Place::Redis(_) => Store::open(place, queue).await,
        }
    }

    /// Adds `jobs` and returns how many of them are new. A job whose key the store has seen before
    /// is not added again, so this is idempotent: call it again after an error, when it is unknown
    /// which jobs were added.
    ///
    /// # Errors
    ///
    /// What the store reported. Some of the jobs may have been added.
    pub async fn push(&self, jobs: &[Job]) -> Result<usize, Error> {
        let mut new = 0;
        for jobs in jobs.chunks(BATCH) {
            new += either!(self, store => store.push(jobs).await?);
        }
        Ok(new)
    }

    /// All jobs that were ever added, by file; behind them those that cannot be decoded.
    ///
    /// # Errors
    ///
    /// What the store reported.
    pub async fn entries(&self) -> Result<Vec<Entry>, Error> {
        let mut entries = either!(self, store => store.entries().await?);
        entries.sort_by(|a, b| {
            let place = |entry: &Entry| entry.job.is_err();
            let file = |entry: &Entry| entry.job.as_ref().ok().map(|job| job.file.clone());
            place(a)
                .cmp(&place(b))
                .then_with(|| file(a).cmp(&file(b)))
                .then_with(|| a.id.cmp(&b.id))
        });
        Ok(entries)
    }

    /// Jobs that should be due are.
    pub(crate) async fn promote(&self) -> Result<(), Error> {
        either!(self, store => store.promote().await)
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

    /// The worker called `name` has ended for good. Jobs that it holds are for others, at once. If
    /// it `failed`, a job that the library cannot read may be what ended it: such jobs are set
    /// aside as failed and returned, each with the reason.
    pub(crate) async fn give_back(
        &self,
        name: &str,
        failed: bool,
    ) -> Result<Vec<(Vec<u8>, String)>, Error> {
        either!(self, store => store.give_back(name, failed).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        for (url, shown) in [
            ("redis://127.0.0.1:1", "Redis at 127.0.0.1:1"),
            ("redis://u:SECRET@h:7/3", "Redis at h:7/3"),
            ("redis://:SECRET%40%2F@h:7", "Redis at h:7"),
            ("redis://SECRET@h", "Redis at h:6379"),
            ("redis://u:SE@CRET@h:7", "Redis at h:7"),
            ("redis://h:7?pass=SECRET", "Redis at h:7"),
            ("redis://h:7/3?pass=SECRET@SECRET", "Redis at h:7/3"),
            ("redis+unix:///run/r.sock?user=u&pass=SECRET", "Redis at /run/r.sock"),
            ("unix:///run/r.sock?pass=SECRET&db=2", "Redis at /run/r.sock/2"),
            // Not URLs: an unescaped slash, question mark or hash in a password, no scheme, another
            // scheme.
            ("redis://u:SE/CRET@h:7", "the Redis URL"),
            ("redis://u:SE?CRET@h:7", "the Redis URL"),
            ("redis://u:SE#CRET@h:7", "the Redis URL"),
            ("u:SECRET@h:7", "the Redis URL"),
            ("http://u:SECRET@h:7", "the Redis URL"),
            ("redis://h:7/SECRET", "the Redis URL"),
            ("", "the Redis URL"),
        ] {
            let place = Place::Redis(url.into());
            assert_eq!(place.to_string(), shown, "{url}");
            assert_eq!(format!("{place:?}"), format!("Place({shown})"));
        }
    }
}
