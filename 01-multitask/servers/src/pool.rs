//! `pool`: a few threads that take requests as they come.
//!
//! A thread is given to a connection only while there is something to do for it. Between two
//! requests the connection waits with the kernel, in an epoll instance that all threads share; each
//! asks it for one connection that is ready (`ONESHOT`: nobody else gets that one until it is put
//! back). So the kernel keeps the pool's queue, and a few threads serve any number of connections
//! that are mostly idle.

use crate::{
    Stop,
    answer::Site,
    connection::{Connection, Next, Worker},
    epoll::interest,
    places::{Place, Places},
    socket::{Accepted, accept, check_interval, run_in_threads},
};
use rustix::{
    event::{
        Timespec,
        epoll::{self, EventData, EventFlags},
    },
    io::Errno,
};
use slab::Slab;
use std::{
    io,
    mem::MaybeUninit,
    net::TcpListener,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

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
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, stop, EventData::new_u64(STOP), EventFlags::IN | EventFlags::ONESHOT)?;
    let next = EventFlags::IN | EventFlags::ONESHOT;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), next)?;
    let check_every = check_interval(&site.timeouts);
    let table = Table {
        listener: Some(listener),
        newcomer: None,
        connections: Slab::new(),
        is_paused: false,
        next_check: Instant::now() + check_every,
        end: None,
    };
    let places = Places::new(site.connections, site.rate);
    let site = Arc::clone(site);
    let pool = Pool { epoll, site, places, table: Mutex::new(table), check_every };
    is_ready();
    run_in_threads((0..pool.site.workers).map(|_| || pool.work().map(|()| 0)).collect())?;
    Ok(pool.table().connections.len())
}

/// What the threads share.
struct Pool {
    epoll: OwnedFd,
    site: Arc<Site>,
    places: Arc<Places<OwnedFd>>,
    table: Mutex<Table>,
    check_every: Duration,
}

struct Table {
    listener: Option<TcpListener>,
    /// One that was accepted, but has no place yet.
    newcomer: Option<OwnedFd>,
    /// The connections; `None` while a thread has one.
    connections: Slab<Option<Connection<Place<OwnedFd>>>>,
    /// Whether the listener is not waited for: there is a newcomer already, or no descriptor for
    /// one.
    is_paused: bool,
    next_check: Instant,
    /// When all has to be over, once the pool is to stop.
    end: Option<Instant>,
}

impl Pool {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ANCHOR: work
    fn work(&self) -> io::Result<()> {
        let mut worker = Worker::new(&self.site);
        let patience = Timespec::try_from(self.check_every).ok();
        loop {
            let mut event = [MaybeUninit::uninit()];
            let ready = match epoll::wait(&self.epoll, &mut event, patience.as_ref()) {
                Ok((events, _)) => events.first().map(|event| event.data.u64()),
                Err(Errno::INTR) => None,
                Err(error) => return Err(error.into()),
            };
            match ready {
                Some(LISTENER) => self.accept(&mut worker),
                Some(STOP) => self.stop(&mut worker),
                Some(number) => {
                    self.go_on(number as usize, &mut worker, Connection::advance);
                }
                None => {}
            }
            if self.is_over(&mut worker) {
                return Ok(());
            }
        }
    }

    fn go_on(
        &self,
        number: usize,
        worker: &mut Worker,
        how: impl FnOnce(&mut Connection<Place<OwnedFd>>, &mut Worker) -> Next,
    ) {
        let connection = self.table().connections.get_mut(number).and_then(Option::take);
        if let Some(mut connection) = connection {
            let next = how(&mut connection, worker); // here others go on with other connections
            if self.put_back(number, connection, next) {
                self.accept(worker);
            }
        }
    }
    // ANCHOR_END: work

    /// Waits for what the connection waits for, or closes it. Returns whether a newcomer has waited
    /// for its place.
    fn put_back(&self, number: usize, connection: Connection<Place<OwnedFd>>, next: Next) -> bool {
        let mut table = self.table();
        // With the table locked: as soon as it is waited for, another thread may look for it there.
        let events = interest(next) | EventFlags::ONESHOT;
        let data = EventData::new_u64(number as u64);
        if next != Next::Close
            && epoll::modify(&self.epoll, &connection.socket, data, events).is_ok()
        {
            table.connections[number] = Some(connection);
            return false;
        }
        table.connections.remove(number);
        drop(connection);
        table.newcomer.is_some()
    }

    fn accept(&self, worker: &mut Worker) {
        let mut table = self.table();
        let newcomer = table.newcomer.take();
        let Some(listener) = &table.listener else { return };
        let accepted = newcomer.map_or_else(|| accept(listener), Accepted::Connection);
        table.is_paused = true; // `ONESHOT`
        let place = match accepted {
            Accepted::Connection(socket) => self.places.enter(socket),
            Accepted::None => return self.listen(&mut table),
            Accepted::Later => {
                self.places.make_room();
                return; // the next check listens again
            }
        };
        let place = match place {
            Ok(place) => place,
            Err(newcomer) => {
                table.newcomer = Some(newcomer);
                return;
            }
        };
        let number = table.connections.insert(None);
        self.listen(&mut table);
        drop(table);
        let mut connection = Connection::new(place);
        let next = connection.advance(worker);
        let data = EventData::new_u64(number as u64);
        let known = next != Next::Close
            && epoll::add(&self.epoll, &connection.socket, data, EventFlags::ONESHOT).is_ok();
        self.put_back(number, connection, if known { next } else { Next::Close });
    }

    /// Waits for new connections again, if there may be more.
    fn listen(&self, table: &mut Table) {
        if let Some(listener) = &table.listener
            && table.is_paused
            && table.newcomer.is_none()
        {
            let events = EventFlags::IN | EventFlags::ONESHOT;
            let data = EventData::new_u64(LISTENER);
            table.is_paused = epoll::modify(&self.epoll, listener, data, events).is_err();
        }
    }

    /// Takes no more connections, and closes those that are idle; the others when they are through.
    fn stop(&self, worker: &mut Worker) {
        let mut table = self.table();
        (table.listener, table.newcomer) = (None, None);
        table.end = Some(Instant::now() + self.site.timeouts.grace);
        let numbers: Vec<usize> = table.connections.iter().map(|(number, _)| number).collect();
        drop(table);
        numbers.into_iter().for_each(|number| self.go_on(number, worker, Connection::advance));
    }

    /// Ends what takes too long, when it is time to look. Returns whether the pool is through.
    fn is_over(&self, worker: &mut Worker) -> bool {
        let now = Instant::now();
        let mut table = self.table();
        if now >= table.next_check {
            table.next_check = now + self.check_every;
            let late = |connection: &Connection<_>| connection.deadline(&self.site) <= now;
            let late = table.connections.iter().filter(|(_, c)| c.as_ref().is_some_and(late));
            let late: Vec<usize> = late.map(|(number, _)| number).collect();
            drop(table);
            self.accept(worker);
            for number in late {
                // It may have moved since.
                self.go_on(number, worker, |connection, worker| {
                    match connection.deadline(&self.site) <= now {
                        true => connection.expire(worker),
                        false => connection.advance(worker),
                    }
                });
            }
            table = self.table();
        }
        table.end.is_some_and(|end| now >= end || table.connections.is_empty())
    }
}
