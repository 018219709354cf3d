//! `thread`: one thread a connection.
//!
//! The simplest to write and to read: a thread that waits for its connection and for nothing else. What it costs is a stack and a switch of threads for each request. One thread
//! accepts connections and starts the others.

use crate::{
    Stop,
    answer::Site,
    connection::{Connection, Next, Worker},
    socket::{Accepted, LATER, accept, wait},
};
use rustix::event::{PollFd, PollFlags};
use std::{
    io,
    net::TcpListener,
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Instant,
};

/// Enough for all that a connection's thread calls; only what it uses of it is ever memory.
const STACK: usize = 256 * 1024;

/// Serves until `stop`; see [`serve`](crate::serve).
pub(crate) fn serve(
    listener: TcpListener,
    site: &Arc<Site>,
    stop: &Arc<Stop>,
) -> io::Result<usize> {
    let live = Arc::new(Live::default());
    while !stop.is_stopped() {
        live.wait_until(|count| count < site.connections || stop.is_stopped(), None);
        let mut fds = [PollFd::new(&listener, PollFlags::IN), PollFd::new(&**stop, PollFlags::IN)];
        wait(&mut fds, None)?;
        match accept(&listener) {
            Accepted::Connection(socket) => {
                let (site, stop, live) = (Arc::clone(site), Arc::clone(stop), Arc::clone(&live));
                let ticket = live.enter();
                let run = move || {
                    converse(socket, &mut Worker::new(&site), &stop);
                    drop(ticket);
                };
                // No thread to be had: the connection is closed, as nobody would serve it.
                let _ = thread::Builder::new().stack_size(STACK).spawn(run);
            }
            Accepted::None => {}
            Accepted::Later => thread::sleep(LATER),
        }
    }
    drop(listener);
    Ok(live.wait_until(|count| count == 0, Some(Instant::now() + site.timeouts.grace)))
}

// ANCHOR: converse
/// All of one connection, by a thread that does nothing else meanwhile.
pub(crate) fn converse(socket: OwnedFd, worker: &mut Worker, stop: &Stop) {
    let mut connection = Connection::new(socket);
    let mut next = connection.advance(worker);
    let mut watches_stop = true;
    while next != Next::Close {
        let events = match next {
            Next::Read => PollFlags::IN,
            _ => PollFlags::OUT, // for a turn as well: nobody else is waiting for this thread
        };
        let deadline = connection.deadline(worker.site());
        let mut fds = [PollFd::new(&connection.socket, events), PollFd::new(stop, PollFlags::IN)];
        let watched = if watches_stop { &mut fds[..] } else { &mut fds[..1] };
        if wait(watched, Some(deadline)).is_err() {
            return;
        }
        let [is_ready, is_stopped] = fds.map(|fd| !fd.revents().is_empty());
        next = if is_ready || is_stopped {
            watches_stop &= !is_stopped; // once is enough: `advance` closes what is idle then
            connection.advance(worker)
        } else if Instant::now() >= deadline {
            connection.expire(worker)
        } else {
            next
        };
    }
}
// ANCHOR_END: converse

/// How many connections there are.
#[derive(Debug, Default)]
struct Live {
    count: Mutex<usize>,
    has_left: Condvar,
}

impl Live {
    fn enter(self: &Arc<Live>) -> Ticket {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Ticket(Arc::clone(self))
    }

    /// Waits until `enough` is true of the count, or until `deadline`. Returns the count.
    fn wait_until(&self, enough: impl Fn(usize) -> bool, deadline: Option<Instant>) -> usize {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        while !enough(*count) && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            // Not for ever: a signal that asks to stop wakes nobody here.
            let waited = self.has_left.wait_timeout(count, LATER);
            count = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *count
    }
}

/// One of the connections counted; dropping it counts down.
struct Ticket(Arc<Live>);

impl Drop for Ticket {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.has_left.notify_one();
    }
}
