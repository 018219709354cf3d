//! The processes this one started, and the thread that waits for them.
//!
//! A child that ended stays a *zombie* until its parent has asked for its exit status. One thread asks for all of them, as soon as they end, whether
//! or not anybody still holds the [`Child`](crate::Child). It sleeps in `epoll_wait` on the children's pidfds and uses no time while nothing ends.
//!
//! A joiner does not wait for that thread: whoever sees first that the child ended takes the status.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::event::{PollFd, PollFlags, epoll};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::sync::lock;
use crate::wire::{Deadline, poll_until};

/// How a process ended, as far as its parent could learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Status(ExitStatus),
    /// Somebody else took the status: the program ignores `SIGCHLD`, or waits for any child.
    Unknown,
}

/// What to do once when the process has ended, on the reaper's thread: it must be quick.
type OnEnd = Box<dyn FnOnce(End) + Send>;

/// One process that was started: what all its handles share.
pub(crate) struct Started {
    pub(crate) id: u32,
    pub(crate) name: String,
    pidfd: OwnedFd,
    end: Mutex<Option<End>>,
    on_end: Mutex<Option<OnEnd>>,
}

impl AsFd for Started {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Started {
    pub(crate) fn new(id: u32, name: String, pidfd: OwnedFd, on_end: Option<OnEnd>) -> Self {
        Self { id, name, pidfd, end: Mutex::new(None), on_end: Mutex::new(on_end) }
    }

    /// How it ended, taking the exit status from the kernel if nobody has; `None` while it runs.
    pub(crate) fn end(&self) -> Option<End> {
        let mut end = lock(&self.end);
        if end.is_none() {
            *end = loop {
                match waitid(
                    WaitId::PidFd(self.pidfd.as_fd()),
                    WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
                ) {
                    Ok(None) => break None,
                    Ok(Some(status)) => {
                        let raw = match (status.exit_status(), status.terminating_signal()) {
                            (Some(code), _) => (code & 0xff) << 8,
                            (None, signal) => {
                                signal.unwrap_or(0) | if status.dumped() { 0x80 } else { 0 }
                            }
                        };
                        break Some(End::Status(ExitStatus::from_raw(raw)));
                    }
                    Err(Errno::INTR) => {}
                    Err(_) => break Some(End::Unknown),
                }
            };
            if end.is_some() {
                util::timeline::ended(self.id);
            }
        }
        *end
    }

    /// Waits until it has ended; `None` at the deadline.
    pub(crate) fn wait(&self, deadline: Deadline) -> io::Result<Option<End>> {
        loop {
            if let Some(end) = self.end() {
                return Ok(Some(end));
            }
            if poll_until(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], deadline)? == 0 {
                return Ok(None);
            }
        }
    }

    /// Sends a signal; to a process that has ended, nothing happens.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

struct Reaper {
    epoll: OwnedFd,
    /// By the number the kernel hands back with an event, in the order they were started.
    children: Mutex<BTreeMap<u64, Arc<Started>>>,
}

static REAPER: Mutex<Option<&'static Reaper>> = Mutex::new(None);

/// The reaper, started at the first use.
fn reaper() -> io::Result<&'static Reaper> {
    let mut started = lock(&REAPER);
    if let Some(reaper) = *started {
        return Ok(reaper);
    }
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let reaper: &'static Reaper =
        Box::leak(Box::new(Reaper { epoll, children: Mutex::new(BTreeMap::new()) }));
    std::thread::Builder::new()
        .name("reaper".to_owned())
        .stack_size(128 * 1024)
        .spawn(|| reaper.run())?;
    Ok(started.insert(reaper))
}

/// Makes sure that a process can be reaped once it is started.
pub(crate) fn prepare() -> io::Result<()> {
    reaper().map(drop)
}

/// From now on the process is reaped when it ends.
pub(crate) fn register(child: &Arc<Started>) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let reaper = reaper()?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    lock(&reaper.children).insert(number, Arc::clone(child));
    let added = epoll::add(
        &reaper.epoll,
        child.as_fd(),
        epoll::EventData::new_u64(number),
        epoll::EventFlags::IN,
    );
    if let Err(error) = added {
        lock(&reaper.children).remove(&number);
        return Err(error.into());
    }
    Ok(())
}

/// Those that have not ended, the oldest first.
pub(crate) fn living() -> Vec<Arc<Started>> {
    let Some(reaper) = *lock(&REAPER) else {
        return Vec::new();
    };
    let children: Vec<_> = lock(&reaper.children).values().cloned().collect();
    children.into_iter().filter(|child| child.end().is_none()).collect()
}

impl Reaper {
    fn run(&self) {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                // Only a wrong descriptor can fail here, and ours is never closed.
                Err(error) => panic!("epoll_wait: {error}"),
            }
            for event in &events {
                let number = event.data.u64();
                let Some(child) = lock(&self.children).get(&number).cloned() else {
                    continue;
                };
                let Some(end) = child.end() else { continue };
                let _ = epoll::delete(&self.epoll, child.as_fd());
                lock(&self.children).remove(&number);
                let on_end = lock(&child.on_end).take();
                if let Some(on_end) = on_end {
                    on_end(end);
                }
            }
        }
    }
}
