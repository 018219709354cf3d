//! What a server is told: how it serves what, and what it allows.

use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

/// How a server waits for many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Model {
    /// Processes started beforehand, each of them with one connection at a time.
    Process,
    /// One thread a connection.
    Thread,
    /// A few threads that take requests as they come.
    Pool,
    /// One task a connection, on a few threads.
    Async,
    /// A few threads, each with an event loop over many connections.
    Epoll,
}

impl Model {
    /// All of them.
    pub const ALL: [Model; 5] =
        [Model::Process, Model::Thread, Model::Pool, Model::Async, Model::Epoll];

    /// As after `--model`.
    pub fn name(self) -> &'static str {
        match self {
            Model::Process => "process",
            Model::Thread => "thread",
            Model::Pool => "pool",
            Model::Async => "async",
            Model::Epoll => "epoll",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Model {
    type Err = String;

    fn from_str(name: &str) -> Result<Model, String> {
        let found = Model::ALL.into_iter().find(|model| model.name() == name);
        found.ok_or_else(|| "a model is process, thread, pool, async or epoll".into())
    }
}

/// What a server serves, and what it allows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// How it waits for many at once.
    pub model: Model,
    /// The folder whose files are served; nothing outside of it ever is.
    #[serde(with = "path")]
    pub root: PathBuf,
    /// Processes or threads that serve, at least one. The model `thread` has one a connection, and
    /// takes no notice.
    pub workers: usize,
    /// The most connections at once, as far as the limit of open files allows them. If all are in
    /// use, a new one takes the place of the one that has been idle longest, or else of the one
    /// whose client has been slower than `rate` for longest; if there is none, it waits until one
    /// ends.
    pub connections: usize,
    /// The bytes per second that a client has to take of an answer, on average over
    /// [`Timeouts::write`]. What its system has acknowledged counts as taken.
    pub rate: u64,
    /// Whether each answer is a line on standard output; see [`log`](crate::log).
    pub log: bool,
    /// How long the parts of an exchange may take.
    pub timeouts: Timeouts,
}

/// A path as bytes, for the processes that get it as a part of their argument: it need not be
/// UTF-8.
mod path {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::{
        ffi::OsString,
        os::unix::ffi::{OsStrExt, OsStringExt},
        path::{Path, PathBuf},
    };

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().as_bytes().serialize(to)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<PathBuf, D::Error> {
        Vec::deserialize(from).map(|bytes| PathBuf::from(OsString::from_vec(bytes)))
    }
}

/// How long the parts of an exchange may take. Who takes longer is dropped.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Timeouts {
    /// Between two requests, and from the connection's beginning to the first byte of the first.
    /// Then it is closed without a word.
    pub idle: Duration,
    /// From the first byte of a request to the end of its head. Then the answer is 408.
    pub head: Duration,
    /// For the body of a request, from the end of its head. Then the answer is 408.
    pub body: Duration,
    /// In which a client takes enough of an answer, as [`Options::rate`] has it. Otherwise the
    /// connection is closed.
    pub write: Duration,
    /// For all that is unfinished when the server is asked to stop. Then it is cut off.
    pub grace: Duration,
}

impl Options {
    /// The current folder, as many workers as suit the model on this machine, and patience for slow
    /// networks.
    pub fn new(model: Model) -> Options {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Options {
            model,
            root: PathBuf::from("."),
            workers: match model {
                Model::Process => 32,     // as many connections; a browser opens six
                Model::Pool => 4 * cores, // some may wait for the disk
                Model::Thread | Model::Async | Model::Epoll => cores,
            },
            connections: 1024,
            rate: 500,
            log: false,
            timeouts: Timeouts {
                idle: Duration::from_secs(60),
                head: Duration::from_secs(10),
                body: Duration::from_secs(30),
                write: Duration::from_secs(30),
                grace: Duration::from_secs(10),
            },
        }
    }
}
