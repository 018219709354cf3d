//! `process`: processes started beforehand (*pre-fork*), each with one connection at a time.
//!
//! The listening socket is an argument of each process, so all of them accept from the same one, and the kernel gives each connection to one. They share no memory: one that crashes
//! takes its own connection along and no other, and is replaced. What that costs: as many connections as processes, each with buffers, caches and page tables
//! of its own.
//!
//! With so few places nobody may sit in one for nothing. While somebody waits to be accepted, answers end their connection; and one that is idle
//! is closed for a newcomer that no other process took for a while.

use crate::{
    Options, Stop,
    answer::Site,
    connection::{Connection, Next, Worker},
    socket::{Accepted, LATER, accept, wait},
};
use processes::{Child, Descriptor, JoinError};
use rustix::event::{PollFd, PollFlags};
use std::{
    io,
    net::TcpListener,
    os::fd::OwnedFd,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How long a newcomer waits for a process that is free, before one that is idle lets it in.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long a process has to live so that its end is an accident, after which another one is started at once.
const ACCIDENT: Duration = Duration::from_secs(1);

// ANCHOR: parent
/// Starts the processes and replaces those that end, until `stop`; see [`serve`](crate::serve).
pub(crate) fn serve(listener: TcpListener, options: &Options, stop: &Stop) -> io::Result<usize> {
    let listener = Descriptor::new(listener);
    let start = || -> io::Result<(Child<()>, Instant)> {
        let argument = (listener.try_clone()?, options.clone());
        let child = processes::Builder::new(work).name("web-worker").spawn(argument);
        Ok((child.map_err(io::Error::other)?, Instant::now()))
    };
    let mut workers =
        (0..options.workers.max(1)).map(|_| start()).collect::<io::Result<Vec<_>>>()?;
    while !stop.is_stopped() {
        let mut fds = vec![PollFd::new(stop, PollFlags::IN)];
        fds.extend(workers.iter().map(|(child, _)| PollFd::new(child, PollFlags::IN)));
        wait(&mut fds, None)?; // for the end of one of them
        for (child, started) in workers.iter_mut().filter(|(child, _)| !child.is_alive()) {
            if stop.is_stopped() {
                break;
            }
            if let Err(error) = child.join() {
                eprintln!("a worker is replaced: {error}");
            }
            if started.elapsed() < ACCIDENT {
                thread::sleep(ACCIDENT); // it would happen again and again
            }
            (*child, *started) = start()?;
        }
    }
    drop(listener);
    workers.iter().for_each(|(child, _)| _ = child.terminate());
    let end = Instant::now() + options.timeouts.grace;
    let is_cut_off = |child: &Child<()>| {
        let left = end.saturating_duration_since(Instant::now());
        child.join_timeout(left) == Err(JoinError::TimedOut)
    };
    Ok(workers.iter().filter(|(child, _)| is_cut_off(child)).count()) // dropped, they would run on; but not longer than this process
}
// ANCHOR_END: parent

// ANCHOR: work
/// What each of the processes does.
fn work((listener, options): (Descriptor, Options)) {
    let stop = Arc::new(Stop::new().expect("two descriptors"));
    stop.on_signals().expect("signals can be handled");
    let site = Arc::new(Site::new(&options, &stop).expect("the parent could open it as well"));
    let listener = TcpListener::from(listener.into_inner());
    let mut worker = Worker::new(&site);
    let mut newcomer = None;
    while !stop.is_stopped() {
        let accepted = newcomer.take().map_or_else(|| accept(&listener), Accepted::Connection);
        match accepted {
            Accepted::Connection(socket) => {
                newcomer = converse(socket, &mut worker, &listener, &stop);
            }
            Accepted::None => {
                let mut fds =
                    [PollFd::new(&listener, PollFlags::IN), PollFd::new(&*stop, PollFlags::IN)];
                wait(&mut fds, None).expect("there is memory for two descriptors");
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
) -> Option<OwnedFd> {
    let mut connection = Connection::new(socket);
    let mut next = connection.advance(worker);
    let mut watches_stop = true;
    while next != Next::Close {
        let events = if next == Next::Read { PollFlags::IN } else { PollFlags::OUT };
        let deadline = connection.deadline(worker.site());
        let is_idle = connection.is_idle();
        let until = if is_idle { deadline.min(Instant::now() + PATIENCE) } else { deadline };
        let mut fds = [PollFd::new(&connection.socket, events), PollFd::new(stop, PollFlags::IN)];
        wait(if watches_stop { &mut fds } else { &mut fds[..1] }, Some(until)).ok()?;
        let [is_ready, is_stopped] = fds.map(|fd| !fd.revents().is_empty());
        if is_ready || is_stopped {
            watches_stop &= !is_stopped;
            let mut others = [PollFd::new(listener, PollFlags::IN)];
            wait(&mut others, Some(Instant::now())).ok()?; // only looks
            worker.is_crowded = !others[0].revents().is_empty();
            next = connection.advance(worker);
        } else if Instant::now() >= deadline {
            next = connection.expire(worker);
        } else if is_idle && let Accepted::Connection(newcomer) = accept(listener) {
            return Some(newcomer);
        }
    }
    None
}
