//! What the models do with sockets alike: listen, accept, wait for one of a few.

use crate::{Timeouts, log::report};
use rustix::{
    event::{PollFd, Timespec, poll},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, acceptfrom_with, bind, listen as listen_on},
    net::{RecvFlags, recv, socket_with, sockopt},
    process::{Resource, getrlimit, setrlimit},
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
    panic::resume_unwind,
    thread,
    time::{Duration, Instant},
};

/// How many connections wait with the kernel until they are accepted, at the most
/// (`net.core.somaxconn` may allow fewer).
const BACKLOG: i32 = 4096;

/// A socket that listens on `address`, and can do so at once after an earlier one has ended.
///
/// # Errors
///
/// If the system refuses: the address is taken, or not one of this machine.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // Connections inherit it: the last piece of an answer is not held back until the one before it
    // was acknowledged.
    sockopt::set_tcp_nodelay(&socket, true)?;
    bind(&socket, &address)?;
    listen_on(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// What came of asking for the next connection.
pub(crate) enum Accepted {
    Connection(OwnedFd),
    /// There is none (any more).
    None,
    /// The system has no descriptor or no memory for it: ask again in a while.
    Later,
}

/// The next connection that waits at `listener`, which does not block. The connection does not
/// block either.
pub(crate) fn accept(listener: impl AsFd) -> Accepted {
    loop {
        match acceptfrom_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((socket, _)) => return Accepted::Connection(socket),
            Err(Errno::AGAIN) => return Accepted::None,
            Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                report("accept", &format!("cannot accept a connection: {error}"));
                return Accepted::Later;
            }
            // The connection has ended before it began; see accept(2).
            Err(_) => {}
        }
    }
}

/// How long to wait before asking again after [`Accepted::Later`].
pub(crate) const LATER: Duration = Duration::from_millis(50);

/// Waits until one of `fds` has what it is waited for, or `until`.
pub(crate) fn wait(fds: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<()> {
    let left = until.map(|at| at.saturating_duration_since(Instant::now()));
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(fds, left.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Allows this process as many descriptors as it may have, and says how many that is.
pub fn raise_descriptor_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| most as usize)
}

/// Runs all of `work`, each in a thread of its own, but for the first, which runs in this one. If a
/// thread cannot be started, that is reported, and the others do without it. Returns the sum of the
/// results.
pub(crate) fn run_in_threads<W>(work: Vec<W>) -> io::Result<usize>
where
    W: FnOnce() -> io::Result<usize> + Send,
{
    let count = work.len();
    thread::scope(|s| {
        let mut work = work.into_iter();
        let first = work.next();
        let mut threads = Vec::new();
        for one in work {
            match thread::Builder::new().spawn_scoped(s, one) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    let started = threads.len() + 1;
                    let why = format!("only {started} of {count} threads can be started: {error}");
                    report("thread", &why);
                    break;
                }
            }
        }
        let first = first.map_or(Ok(0), |first| first());
        let others = threads.into_iter().map(|t| t.join().unwrap_or_else(|e| resume_unwind(e)));
        [first].into_iter().chain(others).sum()
    })
}

/// How many connections a server with so many `workers` may have, so that it has descriptors for
/// other things, too.
pub fn most_connections(workers: usize) -> usize {
    let most = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| most as usize);
    // Standard streams, listener, event loops; and some for the files that are being sent.
    most.saturating_sub(24 + 3 * workers.min(most / 16) + (most / 8).min(100)).max(1)
}

/// Whether something can be read from `socket`.
pub(crate) fn has_input(socket: impl AsFd) -> bool {
    let peeked = recv(socket, &mut [0; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(peeked, Ok((_, 1..)))
}

/// How often to look for connections whose deadline has passed: often enough for the shortest one.
pub(crate) fn check_interval(timeouts: &Timeouts) -> Duration {
    let Timeouts { idle, head, body, write, grace } = *timeouts;
    let shortest = idle.min(head).min(body).min(write).min(grace);
    (shortest / 4).clamp(Duration::from_millis(5), Duration::from_millis(250))
}
