//! The handle to a child process: waiting for its end, its result, and ending it.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use serde::de::DeserializeOwned;

use crate::ipc::codec;
use crate::ipc::error::EncodeError;
use crate::ipc::packet;
use crate::ipc::socket::{self, Packet};
use crate::process::error::JoinError;
use crate::process::messages::Report;
use crate::process::reaper::{End, Started};
use crate::sys::fork;
use crate::sys::limits;
use crate::sys::sync::{Deadline, deadline_after, lock};

/// A process that was started, and the result it will have.
///
/// Dropping it leaves the process running; it is reaped when it ends, so no zombie stays. As a
/// descriptor ([`AsFd`]) it is the process's pidfd: readable once the process has ended, so it can
/// be waited for together with others, by [`pipe::wait`](crate::ipc::pipe::wait) or by `poll`.
pub struct Child<T> {
    started: Arc<Started>,
    answer: Mutex<Answer>,
    result: PhantomData<fn() -> T>,
}

impl<T> Child<T> {
    /// The process, whose answer comes through the socket.
    pub(super) fn new(started: Arc<Started>, socket: OwnedFd) -> Child<T> {
        Child { started, answer: Mutex::new(Answer::Awaited(socket)), result: PhantomData }
    }
}

/// What is known of a child's answer.
enum Answer {
    /// It is or will be in this socket.
    Awaited(OwnedFd),
    /// The result, encoded from this position on.
    Returned(Packet, usize),
    Failed(JoinError),
}

impl<T: DeserializeOwned> Child<T> {
    /// Waits until the process has ended, and returns the function's result. May be called again,
    /// from any thread, with the same outcome.
    ///
    /// What the process wrote to its standard output is written when this returns.
    ///
    /// # Errors
    ///
    /// [`JoinError`]: it panicked, exited or was killed before the function returned, or the result
    /// could not travel.
    pub fn join(&self) -> Result<T, JoinError> {
        self.join_until(None)
    }

    /// Waits like [`join`](Self::join), but not longer than `timeout`; [`Duration::ZERO`] does not
    /// wait at all.
    ///
    /// # Errors
    ///
    /// [`JoinError::TimedOut`] if it still runs then (it goes on running); else as
    /// [`join`](Self::join).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use multiproc::JoinError;
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     multiproc::init();
    ///     let child = multiproc::spawn(|()| std::thread::sleep(Duration::from_secs(60)), ())?;
    ///     assert_eq!(child.join_timeout(Duration::ZERO), Err(JoinError::TimedOut));
    ///     child.kill()?;
    ///     assert_eq!(child.join(), Err(JoinError::Killed { signal: 9 }));
    ///     Ok(())
    /// }
    /// ```
    pub fn join_timeout(&self, timeout: Duration) -> Result<T, JoinError> {
        self.join_until(deadline_after(timeout))
    }

    fn join_until(&self, deadline: Deadline) -> Result<T, JoinError> {
        if fork::is_fork() {
            return Err(JoinError::Forked);
        }
        let end = match self.started.wait(deadline) {
            Ok(Some(end)) => end,
            Ok(None) => return Err(JoinError::TimedOut),
            Err(error) => return Err(JoinError::Io(error.kind())),
        };
        let mut answer = lock(&self.answer);
        if let Answer::Awaited(socket) = &*answer {
            *answer = received(socket, end)?;
        }
        let (packet, at) = match &*answer {
            Answer::Awaited(_) => unreachable!("it was received just now"),
            Answer::Failed(error) => return Err(error.clone()),
            Answer::Returned(packet, at) => {
                let packet = packet.try_clone().map_err(limits::descriptors);
                (packet.map_err(|error| JoinError::Io(error.kind()))?, *at)
            }
        };
        // Decoding runs code of the caller's, which may join as well.
        drop(answer);
        packet::decode(&packet.bytes[at..], packet.descriptors).map_err(JoinError::Decode)
    }
}

/// The answer of a process that has ended: all it will ever send has been sent. An error where it
/// is still to be received.
fn received(socket: &OwnedFd, end: End) -> Result<Answer, JoinError> {
    let packet = match socket::receive(socket.as_fd(), deadline_after(Duration::ZERO)) {
        Ok(Some(packet)) => packet,
        Ok(None) => return Ok(Answer::Failed(JoinError::from(end))),
        Err(error) => match error.kind() {
            io::ErrorKind::TimedOut => return Ok(Answer::Failed(JoinError::from(end))),
            kind @ io::ErrorKind::QuotaExceeded => return Err(JoinError::Io(kind)),
            kind => return Ok(Answer::Failed(JoinError::Io(kind))),
        },
    };
    let total = packet.bytes.len();
    Ok(match codec::decode_header::<Report>(&packet.bytes) {
        Ok((Report::Returned, rest)) => {
            let at = total - rest.len();
            Answer::Returned(packet, at)
        }
        Ok((Report::Panicked(panic), _)) => Answer::Failed(panic.into()),
        Ok((Report::Argument(error) | Report::Setup(error), _)) => {
            Answer::Failed(JoinError::NotRun(error))
        }
        Ok((Report::Result(reason), _)) => {
            Answer::Failed(JoinError::Encode(EncodeError::new(reason)))
        }
        Err(error) => Answer::Failed(JoinError::Decode(error)),
    })
}

impl<T> Child<T> {
    /// Its process id. Once it has ended, the system may give the number to another process; no
    /// method here is misled by that.
    pub fn id(&self) -> u32 {
        self.started.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.started.name
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.started.end().is_none()
    }

    /// How it ended: 0 after the function returned, 101 after a panic, the number it gave to
    /// [`std::process::exit`], or a signal.
    ///
    /// `None` while it runs, and also if the status was lost because this program ignores `SIGCHLD`
    /// or waits for any child itself.
    ///
    /// ```
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     multiproc::init();
    ///     let child = multiproc::spawn(|code: i32| -> () { std::process::exit(code) }, 3)?;
    ///     assert_eq!(child.join(), Err(multiproc::JoinError::Exited { code: 3 }));
    ///     assert_eq!(child.exit_status().and_then(|status| status.code()), Some(3));
    ///     Ok(())
    /// }
    /// ```
    pub fn exit_status(&self) -> Option<ExitStatus> {
        match self.started.end()? {
            End::Status(status) => Some(status),
            End::Unknown => None,
        }
    }

    /// Asks it to end (`SIGTERM`). Does not wait; nothing happens if it has ended.
    ///
    /// # Errors
    ///
    /// If the system does not permit it: the process has become another user's.
    pub fn terminate(&self) -> io::Result<()> {
        self.started.signal(Signal::TERM)
    }

    /// Ends it (`SIGKILL`). Does not wait; nothing happens if it has ended.
    ///
    /// # Errors
    ///
    /// If the system does not permit it: the process has become another user's.
    pub fn kill(&self) -> io::Result<()> {
        self.started.signal(Signal::KILL)
    }
}

impl<T> AsFd for Child<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.started.as_fd()
    }
}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.started.id)
            .field("name", &self.started.name)
            .field("alive", &self.is_alive())
            .finish_non_exhaustive()
    }
}
