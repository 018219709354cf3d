//! `epoll`: a few threads, each with an event loop over many connections.
//!
//! Each thread has an epoll instance, a table of the connections it has accepted, and the listening
//! socket, which all share. A connection stays with its thread, so nothing needs a lock. Whatever a
//! thread does for one connection, all its others wait: `advance` never waits itself.

use crate::{
    Stop,
    answer::Site,
    connection::{Connection, Next, Worker},
    places::{Place, Places},
    socket::{Accepted, accept, check_interval, run_in_threads},
};
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    io::Errno,
};
use slab::Slab;
use std::{io, net::TcpListener, os::fd::OwnedFd, sync::Arc, time::Instant};

/// What an event is about, if it is not one of the connections, which are numbered from 0.
const LISTENER: u64 = u64::MAX;
const STOP: u64 = u64::MAX - 1;

/// Serves until `stop`; see [`serve`](crate::serve).
pub(crate) fn serve(
    listener: TcpListener,
    site: &Arc<Site>,
    stop: &Stop,
    is_ready: impl FnOnce(),
) -> io::Result<usize> {
    let places = Places::new(site.connections, site.rate);
    let loops = (0..site.workers).map(|_| Loop::new(&listener, site, &places, stop));
    let loops: Vec<Loop> = loops.collect::<io::Result<_>>()?;
    drop(listener);
    is_ready();
    run_in_threads(loops.into_iter().map(|mut l| move || l.run()).collect())
}

/// One thread's part.
struct Loop {
    epoll: OwnedFd,
    listener: Option<TcpListener>,
    /// A connection that was accepted, but has no place yet.
    newcomer: Option<OwnedFd>,
    /// The connections, and what the kernel was told to wait for.
    connections: Slab<(Connection<Place<OwnedFd>>, Next)>,
    places: Arc<Places<OwnedFd>>,
    /// Whether the listener is among what is waited for.
    is_listening: bool,
    /// Whether the system had no room for a new connection, until the next check.
    is_paused: bool,
    worker: Worker,
}

impl Loop {
    fn new(
        listener: &TcpListener,
        site: &Arc<Site>,
        places: &Arc<Places<OwnedFd>>,
        stop: &Stop,
    ) -> io::Result<Loop> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        epoll::add(&epoll, stop, epoll::EventData::new_u64(STOP), once)?;
        let mut this = Loop {
            epoll,
            listener: Some(listener.try_clone()?),
            newcomer: None,
            connections: Slab::new(),
            places: Arc::clone(places),
            is_listening: false,
            is_paused: false,
            worker: Worker::new(site),
        };
        this.listen()?;
        Ok(this)
    }

    // ANCHOR: loop
    fn run(&mut self) -> io::Result<usize> {
        let mut events = Vec::with_capacity(256);
        let check_every = check_interval(&self.worker.site().timeouts);
        let mut next_check = Instant::now() + check_every;
        let mut end = None;
        while end.is_none() || !self.connections.is_empty() {
            events.clear();
            let patience = Timespec::try_from(check_every).ok();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), patience.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept(),
                    STOP => {
                        end = Some(Instant::now() + self.worker.site().timeouts.grace);
                        self.stop();
                    }
                    connection => self.go_on(connection as usize, Connection::advance),
                }
            }
            let now = Instant::now();
            if now >= next_check {
                next_check = now + check_every;
                self.expire(now);
                self.is_paused = false;
                self.accept(); // a newcomer, or one that no thread was woken for
            }
            self.listen()?;
            if end.is_some_and(|end| now >= end) {
                break;
            }
        }
        Ok(self.connections.len())
    }
    // ANCHOR_END: loop

    /// Takes one connection, not all that wait: other threads are to have their share.
    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        let newcomer = self.newcomer.take();
        let accepted = newcomer.map_or_else(|| accept(listener), Accepted::Connection);
        let place = match accepted {
            Accepted::Connection(socket) => self.places.enter(socket),
            Accepted::None => return,
            Accepted::Later => {
                self.places.make_room();
                self.is_paused = true;
                return;
            }
        };
        match place {
            Ok(place) => {
                let mut connection = Connection::new(place);
                // Its request is often there already; with luck all is over before the kernel is
                // told to wait.
                let next = connection.advance(&mut self.worker);
                if next != Next::Close {
                    let entry = self.connections.vacant_entry();
                    let number = epoll::EventData::new_u64(entry.key() as u64);
                    // If the kernel has no memory to wait for it, the connection is closed here.
                    if epoll::add(&self.epoll, &connection.socket, number, interest(next)).is_ok() {
                        entry.insert((connection, next));
                    }
                }
            }
            Err(newcomer) => self.newcomer = Some(newcomer),
        }
    }

    /// Lets a connection go on, and waits for what it waits for next.
    fn go_on(
        &mut self,
        number: usize,
        how: impl FnOnce(&mut Connection<Place<OwnedFd>>, &mut Worker) -> Next,
    ) {
        // An event may be about a connection that was closed by one before it.
        let Some((connection, waits_for)) = self.connections.get_mut(number) else { return };
        let next = how(connection, &mut self.worker);
        let mut is_over = next == Next::Close;
        if !is_over && interest(next) != interest(*waits_for) {
            let event = epoll::EventData::new_u64(number as u64);
            is_over =
                epoll::modify(&self.epoll, &connection.socket, event, interest(next)).is_err();
            *waits_for = next;
        }
        if is_over {
            self.connections.remove(number); // closed, it is no longer waited for
            if self.newcomer.is_some() {
                self.accept();
            }
        }
    }

    /// Waits for new connections, if there may be more.
    fn listen(&mut self) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        let may = self.newcomer.is_none() && !self.is_paused;
        if may && !self.is_listening {
            // Exclusive: one new connection wakes one of the threads, not all.
            let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
            epoll::add(&self.epoll, listener, epoll::EventData::new_u64(LISTENER), flags)?;
        } else if !may && self.is_listening {
            epoll::delete(&self.epoll, listener)?;
        }
        self.is_listening = may;
        Ok(())
    }

    /// Takes no more connections, and closes those that are idle; the others when they are through.
    fn stop(&mut self) {
        self.newcomer = None;
        if let Some(listener) = self.listener.take()
            && self.is_listening
        {
            let _ = epoll::delete(&self.epoll, listener); // the other threads have it open as well
        }
        for number in self.numbers(|_| true) {
            self.go_on(number, Connection::advance);
        }
    }

    /// Ends what takes too long.
    fn expire(&mut self, now: Instant) {
        let site = Arc::clone(self.worker.site());
        for number in self.numbers(|connection| connection.deadline(&site) <= now) {
            self.go_on(number, Connection::expire);
        }
    }

    fn numbers(&self, which: impl Fn(&Connection<Place<OwnedFd>>) -> bool) -> Vec<usize> {
        self.connections.iter().filter(|(_, (c, _))| which(c)).map(|(number, _)| number).collect()
    }
}

/// What the kernel is to wait for. One who waits for its turn is told at once that it could write.
pub(crate) fn interest(next: Next) -> epoll::EventFlags {
    match next {
        Next::Read => epoll::EventFlags::IN,
        Next::Write | Next::Turn => epoll::EventFlags::OUT,
        Next::Close => epoll::EventFlags::empty(),
    }
}
