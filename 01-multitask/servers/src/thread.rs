//! `thread`: one thread a connection.
//!
//! The simplest to write and to read: a thread that waits for its connection and for nothing else.
//! What it costs is a stack and a switch of threads for each request. One thread accepts
//! connections and starts the others.

use crate::{
    Stop,
    answer::Site,
    connection::{Connection, Next, Worker},
    log::report,
    places::{Place, Places},
    socket::{Accepted, LATER, accept, wait},
};
use rustix::event::{PollFd, PollFlags};
use std::{
    io,
    net::TcpListener,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
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
    is_ready: impl FnOnce(),
) -> io::Result<usize> {
    // Where there is no thread for anybody there is no server.
    let _ = thread::Builder::new().stack_size(STACK).spawn(|| {})?.join();
    let places = Places::new(site.connections, site.rate);
    is_ready();
    while !stop.is_stopped() {
        let mut fds = [PollFd::new(&listener, PollFlags::IN), PollFd::new(&**stop, PollFlags::IN)];
        wait(&mut fds, None)?;
        match accept(&listener) {
            Accepted::Connection(socket) => {
                if let Some(place) = enter(socket, &places, stop) {
                    start(place, &places, site, stop);
                }
            }
            Accepted::None => {}
            Accepted::Later => {
                places.make_room();
                places.wait_for_room(LATER);
            }
        }
    }
    drop(listener);
    Ok(places.wait_for_all(Instant::now() + site.timeouts.grace))
}

/// A place for a new connection, as soon as there is one.
fn enter(
    mut socket: OwnedFd,
    places: &Arc<Places<OwnedFd>>,
    stop: &Stop,
) -> Option<Place<OwnedFd>> {
    while !stop.is_stopped() {
        match places.enter(socket) {
            Ok(place) => return Some(place),
            Err(back) => socket = back,
        }
        places.wait_for_room(LATER);
    }
    None
}

/// Starts the thread of a new connection, as soon as there can be one.
fn start(place: Place<OwnedFd>, places: &Places<OwnedFd>, site: &Arc<Site>, stop: &Arc<Stop>) {
    // A closure that cannot be run is gone with all that it has: so the place is not among that.
    let place = Arc::new(Mutex::new(Some(place)));
    while !stop.is_stopped() {
        let (place, site, stop) = (Arc::clone(&place), Arc::clone(site), Arc::clone(stop));
        let run = move || {
            let place = place.lock().unwrap_or_else(PoisonError::into_inner).take();
            place.into_iter().for_each(|place| converse(place, &mut Worker::new(&site), &stop));
        };
        match thread::Builder::new().stack_size(STACK).spawn(run) {
            Ok(_) => return,
            Err(error) => {
                report("thread", &format!("cannot start a thread for a connection: {error}"));
                places.make_room(); // the thread that serves it ends
                places.wait_for_room(LATER);
            }
        }
    }
}

// ANCHOR: converse
/// All of one connection, by a thread that does nothing else meanwhile.
fn converse(socket: Place<OwnedFd>, worker: &mut Worker, stop: &Stop) {
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
