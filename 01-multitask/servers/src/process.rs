//! `process`: processes started beforehand (*pre-fork*), each with one connection at a time.
//!
//! The listening socket is an argument of each process, so all of them accept from the same one,
//! and the kernel gives each connection to one. They share no memory: one that crashes takes its
//! own connection along and no other, and is replaced. What that costs: as many connections as
//! processes, each with buffers, caches and page tables of its own.
//!
//! With so few places nobody may sit in one for nothing. While somebody waits to be accepted,
//! answers end their connection; and a newcomer that no other process took for a while gets the
//! place of the connection that has been idle longest. For that, each process says in a file that
//! all share since when its connection is idle.

use crate::{
    Options, Stop,
    answer::Site,
    connection::{Connection, Next, PATIENCE, Rank, Worker},
    log::report,
    socket::{Accepted, LATER, accept, wait},
};
use multiproc::{Child, Descriptor, JoinError};
use rustix::{
    event::{PollFd, PollFlags},
    fs::{MemfdFlags, memfd_create},
    io::{pread, pwrite, write},
    time::{ClockId, clock_gettime},
};
use std::{
    io,
    net::TcpListener,
    os::fd::OwnedFd,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How long a process has to live so that its end is an accident, after which another one is
/// started at once.
const ACCIDENT: Duration = Duration::from_secs(1);

/// What a process gets to share: the listener, the ranks, and a pipe to say that it has begun.
type Shared = (Descriptor, Descriptor, Option<Descriptor>);

/// One of the processes, or the place for one.
struct Slot {
    child: Option<Child<()>>,
    started: Instant,
    /// When to start the next one.
    due: Instant,
}

// ANCHOR: parent
/// Starts the processes and replaces those that end, until `stop`; see [`serve`](crate::serve).
pub(crate) fn serve(
    listener: TcpListener,
    options: &Options,
    stop: &Stop,
    is_ready: impl FnOnce(),
) -> io::Result<usize> {
    let listener = Descriptor::new(listener);
    let ranks = Ranks::new()?;
    let start = |number: usize, begins: Option<Descriptor>| -> io::Result<Slot> {
        let now = Instant::now();
        let shared = (listener.try_clone()?, ranks.file.try_clone()?, begins);
        let argument = (shared, number, options.clone());
        let child = multiproc::Builder::new(work).name("web-worker").spawn(argument);
        Ok(Slot { child: Some(child.map_err(io::Error::other)?), started: now, due: now })
    };
    let (begun, begins) = io::pipe()?;
    let first = start(0, Some(Descriptor::new(begins)))?; // without any there is no server
    if let Some(child) = &first.child {
        let fds = [PollFd::new(&begun, PollFlags::IN), PollFd::new(child, PollFlags::IN)];
        let mut fds = [&fds[..], &[PollFd::new(stop, PollFlags::IN)]].concat();
        wait(&mut fds, None)?;
        let has_begun = fds[0].revents().contains(PollFlags::IN); // not only the pipe's end
        if !has_begun && !stop.is_stopped() {
            return Err(match child.join() {
                Err(error) => io::Error::other(error),
                Ok(()) => io::Error::other("the first worker has ended"),
            });
        }
    }
    let mut slots = vec![first];
    slots.resize_with(options.workers.max(1), || {
        let now = Instant::now();
        Slot { child: None, started: now, due: now }
    });
    let mut is_ready = Some(is_ready);
    while !stop.is_stopped() {
        let now = Instant::now();
        for (number, slot) in slots.iter_mut().enumerate() {
            if let Some(child) = slot.child.take_if(|child| !child.is_alive()) {
                ranks.set(number, None);
                if let Err(error) = child.join() {
                    report("worker", &format!("a worker is replaced: {error}"));
                }
                slot.due = slot.started + ACCIDENT; // not again and again at once
            }
            if slot.child.is_none() && slot.due <= now && !stop.is_stopped() {
                match start(number, None) {
                    Ok(started) => *slot = started,
                    Err(error) => {
                        report("start", &format!("cannot start a worker: {error}"));
                        slot.due = now + ACCIDENT;
                    }
                }
            }
        }
        is_ready.take().into_iter().for_each(|is_ready| is_ready());
        let mut fds = vec![PollFd::new(stop, PollFlags::IN)];
        let children = slots.iter().filter_map(|slot| slot.child.as_ref());
        fds.extend(children.map(|child| PollFd::new(child, PollFlags::IN)));
        let missing = slots.iter().filter(|slot| slot.child.is_none());
        // For the end of one of them, or until the next one is to be started.
        if wait(&mut fds, missing.map(|slot| slot.due).min()).is_err() {
            thread::sleep(LATER); // no memory
        }
    }
    drop(listener);
    let children: Vec<Child<()>> = slots.into_iter().filter_map(|slot| slot.child).collect();
    children.iter().for_each(|child| _ = child.terminate());
    let end = Instant::now() + options.timeouts.grace + crate::log::PATIENCE;
    let is_cut_off = |child: &&Child<()>| {
        let left = end.saturating_duration_since(Instant::now());
        child.join_timeout(left) == Err(JoinError::TimedOut)
    };
    let cut_off: Vec<&Child<()>> = children.iter().filter(is_cut_off).collect();
    for child in &cut_off {
        let _ = child.kill();
        let _ = child.join();
    }
    Ok(cut_off.len())
}
// ANCHOR_END: parent

/// What each of the processes does. It ends when it is told to; or with a report, if it cannot
/// begin.
fn work((shared, number, options): (Shared, usize, Options)) {
    let (listener, ranks, begins) = shared;
    let ranks = Ranks { file: ranks };
    let begun = Stop::new().and_then(|stop| {
        stop.on_signals()?;
        let stop = Arc::new(stop);
        Ok((Arc::new(Site::new(&options, &stop)?), stop))
    });
    match begun {
        Ok((site, stop)) => {
            begins.into_iter().for_each(|begins| _ = write(begins, b"."));
            accept_and_serve(&TcpListener::from(listener.into_inner()), &site, &stop, |rank| {
                ranks.set(number, rank);
                rank.is_some() && ranks.is_first(number)
            });
            site.log.finish();
        }
        Err(error) => report("worker", &format!("a worker cannot begin: {error}")),
    }
}

// ANCHOR: work
/// Serves one connection after the other, until `stop`. `makes_room` is told the connection's rank,
/// and says whether it is the one to make room.
fn accept_and_serve(
    listener: &TcpListener,
    site: &Arc<Site>,
    stop: &Stop,
    makes_room: impl Fn(Option<Rank>) -> bool,
) {
    let mut worker = Worker::new(site);
    let mut newcomer = None;
    while !stop.is_stopped() {
        let accepted = newcomer.take().map_or_else(|| accept(listener), Accepted::Connection);
        match accepted {
            Accepted::Connection(socket) => {
                newcomer = converse(socket, &mut worker, listener, stop, &makes_room);
            }
            Accepted::None => {
                let fds = [PollFd::new(listener, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
                if wait(&mut { fds }, None).is_err() {
                    thread::sleep(LATER); // no memory
                }
            }
            Accepted::Later => thread::sleep(LATER),
        }
    }
}
// ANCHOR_END: work

/// All of one connection. Returns the one that takes its place, if it had to leave for it.
fn converse(
    socket: OwnedFd,
    worker: &mut Worker,
    listener: &TcpListener,
    stop: &Stop,
    makes_room: impl Fn(Option<Rank>) -> bool,
) -> Option<OwnedFd> {
    let mut connection = Connection::new(socket);
    let mut next = connection.advance(worker);
    let (mut watches_stop, mut has_rank) = (true, false);
    while next != Next::Close {
        let events = if next == Next::Read { PollFlags::IN } else { PollFlags::OUT };
        let deadline = connection.deadline(worker.site());
        // Its rank is told before it counts, so that all are there to be compared then.
        let until = Instant::now() + if has_rank { PATIENCE } else { PATIENCE / 4 };
        let mut fds = [PollFd::new(&connection.socket, events), PollFd::new(stop, PollFlags::IN)];
        if wait(if watches_stop { &mut fds } else { &mut fds[..1] }, Some(until.min(deadline)))
            .is_err()
        {
            break;
        }
        let [is_ready, is_stopped] = fds.map(|fd| !fd.revents().is_empty());
        let now = Instant::now();
        let rank = connection.rank(now, worker.site().rate);
        if is_ready || is_stopped {
            if std::mem::take(&mut has_rank) {
                makes_room(None);
            }
            watches_stop &= !is_stopped;
            worker.is_crowded = is_readable(listener);
            next = connection.advance(worker);
        } else if now >= deadline {
            next = connection.expire(worker);
        } else if rank.is_some() || has_rank {
            has_rank = rank.is_some();
            if makes_room(rank)
                && rank.is_some_and(|rank| rank.is_due(now))
                && let Accepted::Connection(newcomer) = accept(listener)
            {
                makes_room(None);
                return Some(newcomer);
            }
        }
    }
    if has_rank {
        makes_room(None);
    }
    None
}

fn is_readable(listener: &TcpListener) -> bool {
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    wait(&mut fds, Some(Instant::now())).is_ok() && !fds[0].revents().is_empty()
}

/// Which connection makes room first: a file with a number for each process.
struct Ranks {
    file: Descriptor,
}

impl Ranks {
    fn new() -> io::Result<Ranks> {
        let file = memfd_create("ranks", MemfdFlags::CLOEXEC)?;
        Ok(Ranks { file: Descriptor::new(file) })
    }

    /// Tells all processes the rank of this one's connection: the smaller the number, the earlier
    /// it makes room; 0, if it does not.
    fn set(&self, number: usize, rank: Option<Rank>) {
        let now = clock_gettime(ClockId::Monotonic); // the same for all processes
        let now = Duration::new(now.tv_sec as u64, now.tv_nsec as u32);
        let time = |since: Instant| now.saturating_sub(since.elapsed()).as_nanos() as u64;
        let rank = match rank {
            None => 0,
            Some(Rank::Idle(since)) => time(since),
            Some(Rank::Slow(since)) => time(since) | 1 << 63,
        };
        // Without memory for it, this one does not make room.
        let _ = pwrite(&self.file, &rank.to_ne_bytes(), number as u64 * 8);
    }

    /// Whether no other process has a smaller number.
    fn is_first(&self, number: usize) -> bool {
        let mut ranks = [0; 8 * 1024];
        let length = pread(&self.file, &mut ranks, 0).unwrap_or(0);
        let ranks = ranks[..length].as_chunks().0.iter().map(|rank| u64::from_ne_bytes(*rank));
        let first = ranks.enumerate().filter(|(_, rank)| *rank > 0).min_by_key(|(_, rank)| *rank);
        first.is_some_and(|(first, _)| first == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_process_makes_room_before_a_slow_one() {
        let ranks = Ranks::new().unwrap();
        let since = |seconds| Instant::now() - Duration::from_secs(seconds);
        assert!(!ranks.is_first(0));
        ranks.set(3, Some(Rank::Slow(since(100))));
        assert!(ranks.is_first(3));
        ranks.set(1, Some(Rank::Idle(since(2))));
        ranks.set(2, Some(Rank::Idle(since(3))));
        ranks.set(0, None);
        let first = |ranks: &Ranks| (0..5).find(|number| ranks.is_first(*number));
        assert_eq!(first(&ranks), Some(2));
        ranks.set(2, None);
        assert_eq!(first(&ranks), Some(1));
        ranks.set(1, None);
        assert_eq!(first(&ranks), Some(3));
    }
}
