//! The places of a server that has many connections in one process, and which connection makes room
//! when all are taken.
//!
//! Connections are served by many threads or tasks; each of them is known here by its [`Seat`].
//! While it waits, its seat says for what and since when; so any thread can choose the one that has
//! waited longest and take its place away: it marks the seat and shuts the socket down, which wakes
//! whoever serves it.

use crate::{
    connection::{Rank, Socket, Standing},
    socket::has_input,
};
use rustix::net::{Shutdown, shutdown};
use slab::Slab;
use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How many connections are looked at that have waited longest, but have something to read by now.
const TRIES: usize = 16;

/// As many places as there may be connections.
#[derive(Debug)]
pub(crate) struct Places<S> {
    most: usize,
    /// See [`Options::rate`](crate::Options::rate).
    rate: u64,
    seats: Mutex<Slab<Arc<Seat<S>>>>,
    has_left: Condvar,
}

/// A connection's place.
#[derive(Debug)]
struct Seat<S> {
    socket: S,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Somebody serves it just now.
    Served,
    Waits(Standing),
    /// Another connection has its place.
    Lost,
}

/// The right to a place, which ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Place<S> {
    seat: Arc<Seat<S>>,
    number: usize,
    places: Arc<Places<S>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: AsFd> Places<S> {
    pub(crate) fn new(most: usize, rate: u64) -> Arc<Places<S>> {
        Arc::new(Places { most, rate, seats: Mutex::default(), has_left: Condvar::new() })
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        lock(&self.seats).len()
    }

    /// A place for the connection of `socket`, if need be that of another one. If all others are in
    /// use, the socket comes back.
    pub(crate) fn enter(self: &Arc<Self>, socket: S) -> Result<Place<S>, S> {
        let mut seats = lock(&self.seats);
        if seats.len() >= self.most && !self.make_room_in(&mut seats) {
            return Err(socket);
        }
        let seat = Arc::new(Seat { socket, state: Mutex::new(State::Served) });
        let number = seats.insert(Arc::clone(&seat));
        Ok(Place { seat, number, places: Arc::clone(self) })
    }

    /// Closes the connection that is to make room next, if there is one; so that there are
    /// descriptors, memory and threads again.
    pub(crate) fn make_room(&self) -> bool {
        self.make_room_in(&mut lock(&self.seats))
    }

    fn make_room_in(&self, seats: &mut Slab<Arc<Seat<S>>>) -> bool {
        let now = Instant::now();
        let mut passed = None;
        for _ in 0..TRIES {
            let ranked = seats.iter().filter_map(|(number, seat)| {
                // Locked by another thread: it is being served.
                let State::Waits(standing) = *seat.state.try_lock().ok()? else { return None };
                let rank = standing.rank(&seat.socket, now, self.rate)?;
                let rank = rank.is_due(now).then_some(rank)?;
                passed.is_none_or(|passed| rank > passed).then_some((rank, number))
            });
            let Some((rank, number)) = ranked.min() else { return false };
            if let Some(seat) = seats.get(number)
                && take(seat, rank)
            {
                seats.remove(number);
                return true;
            }
            passed = Some(rank);
        }
        false
    }

    /// Waits until a connection has ended, at most for `time`.
    pub(crate) fn wait_for_room(&self, time: Duration) {
        let seats = lock(&self.seats);
        drop(self.has_left.wait_timeout(seats, time).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until all connections have ended, or `deadline`. Returns how many have not.
    pub(crate) fn wait_for_all(&self, deadline: Instant) -> usize {
        let mut seats = lock(&self.seats);
        while !seats.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.has_left.wait_timeout(seats, left);
            seats = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        seats.len()
    }
}

/// Takes a seat away, unless it is served meanwhile, or has something to be served.
fn take<S: AsFd>(seat: &Seat<S>, rank: Rank) -> bool {
    let mut state = lock(&seat.state);
    let still_waits = matches!(*state, State::Waits(_));
    if !still_waits || (rank.is_idle() && has_input(&seat.socket)) {
        return false;
    }
    *state = State::Lost;
    let _ = shutdown(&seat.socket, Shutdown::Both); // gone already: that will be noticed as well
    true
}

impl<S> Place<S> {
    /// The connection's socket.
    pub(crate) fn socket(&self) -> &S {
        &self.seat.socket
    }
}

impl<S: AsFd> AsFd for Place<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.seat.socket.as_fd()
    }
}

impl<S: AsFd> Socket for Place<S> {
    fn resume(&self) -> bool {
        let mut state = lock(&self.seat.state);
        let is_ours = !matches!(*state, State::Lost);
        if is_ours {
            *state = State::Served;
        }
        is_ours
    }

    fn rest(&self, standing: Standing) {
        *lock(&self.seat.state) = State::Waits(standing);
    }
}

impl<S> Drop for Place<S> {
    fn drop(&mut self) {
        let mut seats = lock(&self.places.seats);
        if !matches!(*lock(&self.seat.state), State::Lost) {
            seats.remove(self.number);
        }
        drop(seats);
        self.places.has_left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::PATIENCE;
    use std::{io::Write, os::unix::net::UnixStream};

    fn long_ago(milliseconds: u64) -> Instant {
        Instant::now() - PATIENCE - Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_longest_idle_one_makes_room() {
        let places = Places::new(4, 1000);
        let enter = |standing: Option<Standing>| {
            let (near, far) = UnixStream::pair().unwrap();
            let place = places.enter(near).unwrap();
            standing.inspect(|standing| place.rest(*standing));
            (place, far)
        };
        let _served = enter(None);
        let (second, _second) = enter(Some(Standing::idle(long_ago(2000))));
        let (first, mut far) = enter(Some(Standing::idle(long_ago(3000))));
        let (fresh, _fresh) = enter(Some(Standing::idle(Instant::now())));

        far.write_all(b"G").unwrap(); // a request has begun to come: nobody has seen it yet
        let (third, _third) = enter(None);
        assert!(!second.resume() && first.resume());
        assert!(
            places.enter(UnixStream::pair().unwrap().0).is_err(),
            "none has waited long enough"
        );
        assert_eq!(places.taken(), 4);
        drop(second);
        assert_eq!(places.taken(), 4, "its place was given away");
        drop(first);
        assert_eq!(places.taken(), 3);
        drop((third, fresh));
        assert_eq!((places.taken(), places.wait_for_all(Instant::now())), (1, 1));
    }
}
