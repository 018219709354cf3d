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
mod clock;
pub mod conditions;
pub mod connection;
pub mod content_type;
pub mod epoll;
pub mod files;
pub mod listing;
pub mod log;
mod options;
mod places;
pub mod pool;
pub mod process;
pub mod request;
mod socket;
mod status;
mod stop;
pub mod target;
pub mod thread;
mod unsent;

pub use options::{Model, Options, Timeouts};
pub use socket::{listen, most_connections, raise_descriptor_limit};
pub use stop::Stop;

use std::{io, net::TcpListener, sync::Arc};

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
