//! The processes this one started, and the threads that watch over them.
//!
//! Each child has a thread of its own here. The thread that calls `spawn` starts it, so it inherits
//! the attributes of that thread: the processors it may run on, its priority, its capabilities, its
//! sandbox (`no_new_privs`, seccomp, Landlock). It starts the child, which inherits all of them,
//! and then sleeps until the child has ended.
//!
//! The thread lives as long as the child, because for `PR_SET_PDEATHSIG` the "parent" is the
//! *thread* that started the process. So the kernel kills the child together with this process,
//! even a child that is stopped and cannot check for its parent's end itself.
//!
//! A child that ended stays a *zombie* until its parent has taken its exit status. The thread takes
//! it as soon as the child ends, whether or not the program still holds the
//! [`Child`](crate::Child). A thread in `join` does not wait for that thread: the first of the two
//! that sees the end of the child takes the status.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::sys::fork;
use crate::sys::observer::{self, Event};
use crate::sys::poll;
use crate::sys::signals;
use crate::sys::sync::{Deadline, deadline_after, lock};

/// How a process ended, as far as its parent could learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Status(ExitStatus),
    /// Somebody else took the status: the program ignores `SIGCHLD`, or waits for any child.
    Unknown,
}

/// What to do once when the process has ended, on the thread that watches over it.
pub(crate) type OnEnd = Box<dyn FnOnce(End) + Send>;

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
    ///
    /// In a fork of this process nothing can be learned, so there it runs for as long as its
    /// descriptor says so.
    pub(crate) fn end(&self) -> Option<End> {
        if fork::is_fork() {
            let mut pidfd = [PollFd::new(&self.pidfd, PollFlags::IN)];
            let ended = poll::until(&mut pidfd, deadline_after(Duration::ZERO));
            return ended.is_ok_and(|ended| ended > 0).then_some(End::Unknown);
        }
        let mut end = lock(&self.end);
        if end.is_none() {
            *end = loop {
                match waitid(
                    WaitId::PidFd(self.pidfd.as_fd()),
                    WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
                ) {
                    Ok(None) => break None,
                    // A stop of a process that this one traces.
                    Ok(Some(status))
                        if !(status.exited() || status.killed() || status.dumped()) =>
                    {
                        break None;
                    }
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
                observer::report(Event::Reaped { id: self.id });
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
            if poll::until(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], deadline)? == 0 {
                return Ok(None);
            }
        }
    }

    /// Waits until it has ended, and takes the exit status if nobody has.
    fn wait_to_reap(&self) -> End {
        loop {
            // Not by `waitid`, which would take the stops of a process that this one traces from
            // the tracer.
            if poll::until(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], None).is_err() {
                // No memory, or a limit of no descriptors.
                std::thread::sleep(Duration::from_millis(10));
            }
            if let Some(end) = self.end() {
                return end;
            }
        }
    }

    /// Sends a signal; to a process that has ended, nothing happens.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        fork::check()?;
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Those that have not ended as far as is known, by number, the oldest first.
static CHILDREN: Mutex<BTreeMap<u64, Arc<Started>>> = Mutex::new(BTreeMap::new());

/// Starts a process by `start` on a thread of its own, which then watches over it.
///
/// # Errors
///
/// Those of `start`, or there is no thread to be had.
pub(crate) fn start(
    start: impl FnOnce() -> io::Result<Started> + Send + 'static,
) -> io::Result<Arc<Started>> {
    let (answer, answered) = mpsc::sync_channel(1);
    let watch = move || match start() {
        Err(error) => drop(answer.send(Err(error))),
        Ok(child) => {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let (child, number) = (Arc::new(child), NEXT.fetch_add(1, Ordering::Relaxed));
            // Before anybody else knows the child, so before it can be reaped.
            observer::report(Event::Spawned { id: child.id, name: &child.name });
            lock(&CHILDREN).insert(number, Arc::clone(&child));
            let _ = answer.send(Ok(Arc::clone(&child)));
            let end = child.wait_to_reap();
            lock(&CHILDREN).remove(&number);
            let on_end = lock(&child.on_end).take();
            if let Some(on_end) = on_end {
                on_end(end);
            }
        }
    };
    signals::start("child-watch", Some(64 * 1024), watch).map_err(|error| {
        let reason = format!("no thread can be started to watch over it: {error}");
        io::Error::new(error.kind(), reason)
    })?;
    answered.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it panicked")))
}

/// Those that have not ended, the oldest first.
pub(crate) fn living() -> Vec<Arc<Started>> {
    if fork::is_fork() {
        return Vec::new();
    }
    let children: Vec<_> = lock(&CHILDREN).values().cloned().collect();
    children.into_iter().filter(|child| child.end().is_none()).collect()
}
