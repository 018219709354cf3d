//! What the models do with sockets alike: listen, accept, wait for one of a few.

use crate::{Timeouts, answer::Site};
use rustix::{
    event::{PollFd, Timespec, poll},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, acceptfrom_with, bind, listen as listen_on},
    net::{socket_with, sockopt},
    process::{Resource, getrlimit, setrlimit},
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

/// How many connections wait with the kernel until they are accepted, at the most (`net.core.somaxconn` may allow fewer).
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
    // Connections inherit it: the last piece of an answer is not held back until the one before it was acknowledged.
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

/// The next connection that waits at `listener`, which does not block. The connection does not block either.
pub(crate) fn accept(listener: impl AsFd) -> Accepted {
    loop {
        match acceptfrom_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((socket, _)) => return Accepted::Connection(socket),
            Err(Errno::AGAIN) => return Accepted::None,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
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

/// How often to look for connections whose deadline has passed: often enough for the shortest one.
pub(crate) fn check_interval(site: &Site) -> Duration {
    let Timeouts { idle, head, body, write, grace } = site.timeouts;
    let shortest = idle.min(head).min(body).min(write).min(grace);
    (shortest / 4).clamp(Duration::from_millis(5), Duration::from_millis(250))
}
