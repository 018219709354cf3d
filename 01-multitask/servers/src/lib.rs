//! One static file server, five models of serving many at once.
//!
//! Everything about HTTP and files is there once, and does not wait:
//! [`connection::Connection::advance`] reads what has come, answers the requests that are whole,
//! writes what the socket takes, and says what it has to wait for next. A model is nothing but a
//! way to wait:
//!
//! | model | who waits for a connection | module |
//! | --- | --- | --- |
//! | `process` | a process, started beforehand, which has one connection at a time | [`process`] |
//! | `thread` | a thread of its own | [`thread`] |
//! | `pool` | nobody; when something comes, the next free thread of the pool takes it | [`pool`] |
//! | `async` | a task of its own; a few threads run all tasks | [`asynchronous`] |
//! | `epoll` | a few threads, each of them for many connections, by hand | [`epoll`] |
//!
//! [`request`] is the parser, [`target`] the way from a URL to a path, [`files`] finds and keeps
//! files, [`answer`] puts the two together.
//!
//! ```
//! use servers::{Model, Options, Stop};
//! use std::{io::{Read, Write}, net::TcpStream, sync::Arc};
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("hello.txt"), "hello")?;
//! let listener = servers::listen("127.0.0.1:0".parse()?)?;
//! let address = listener.local_addr()?;
//! let stop = Arc::new(Stop::new()?);
//!
//! let options = Options { root: folder.path().into(), ..Options::new(Model::Epoll) };
//! let server = std::thread::spawn({
//!     let stop = Arc::clone(&stop);
//!     move || servers::serve(listener, &options, &stop)
//! });
//!
//! let mut client = TcpStream::connect(address)?;
//! client.write_all(b"GET /hello.txt HTTP/1.0\r\n\r\n")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"));
//!
//! stop.stop();
//! assert_eq!(server.join().unwrap()?, 0); // no connection was cut off
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod answer;
pub mod asynchronous;
pub mod conditions;
pub mod connection;
pub mod content_type;
pub mod epoll;
pub mod files;
pub mod listing;
pub mod log;
mod places;
pub mod pool;
pub mod process;
pub mod request;
mod socket;
mod stop;
pub mod target;
pub mod thread;
mod unsent;

pub use socket::{listen, most_connections, raise_descriptor_limit};
pub use stop::Stop;

use serde::{Deserialize, Serialize};
use std::{fmt, io, net::TcpListener, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

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
    /// Whether each answer is a line on standard output; see [`log`].
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

/// Serves on `listener` until `stop`, then finishes what it is at. Returns how many connections it
/// had to cut off when [`Timeouts::grace`] was over.
///
/// What goes wrong while it serves, it reports on standard error and goes on: see [`log::report`].
///
/// # Errors
///
/// If the folder cannot be opened, or the system refuses what the model needs to begin.
pub fn serve(listener: TcpListener, options: &Options, stop: &Arc<Stop>) -> io::Result<usize> {
    serve_and_tell(listener, options, stop, || {})
}

/// As [`serve`], and calls `is_ready` as soon as nothing more can prevent it from serving.
///
/// # Errors
///
/// As there.
pub fn serve_and_tell(
    listener: TcpListener,
    options: &Options,
    stop: &Arc<Stop>,
    is_ready: impl FnOnce(),
) -> io::Result<usize> {
    listener.set_nonblocking(true)?;
    if options.model == Model::Process {
        files::Root::open(&options.root)?; // each process has its own
        return process::serve(listener, options, stop, is_ready);
    }
    let site = Arc::new(answer::Site::new(options, stop)?);
    let cut_off = match options.model {
        Model::Process | Model::Thread => thread::serve(listener, &site, stop, is_ready),
        Model::Pool => pool::serve(listener, &site, stop, is_ready),
        Model::Async => asynchronous::serve(listener, &site, stop, is_ready),
        Model::Epoll => epoll::serve(listener, &site, stop, is_ready),
    };
    site.log.finish();
    cut_off
}
