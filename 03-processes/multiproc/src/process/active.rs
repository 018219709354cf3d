//! The living children of this process, with or without a handle in the program.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::process::Signal;

use crate::process::reaper::{self, Started};

/// A living process that this one started, even if its [`Child`](crate::Child) was dropped; see
/// [`active_children`].
#[derive(Clone)]
pub struct ActiveChild {
    started: Arc<Started>,
}

impl ActiveChild {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.started.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.started.name
    }

    /// Whether it has not ended since.
    pub fn is_alive(&self) -> bool {
        self.started.end().is_none()
    }

    /// Asks it to end (`SIGTERM`); as [`Child::terminate`](crate::Child::terminate).
    ///
    /// # Errors
    ///
    /// As [`Child::terminate`](crate::Child::terminate).
    pub fn terminate(&self) -> io::Result<()> {
        self.started.signal(Signal::TERM)
    }

    /// Ends it (`SIGKILL`); as [`Child::kill`](crate::Child::kill).
    ///
    /// # Errors
    ///
    /// As [`Child::kill`](crate::Child::kill).
    pub fn kill(&self) -> io::Result<()> {
        self.started.signal(Signal::KILL)
    }
}

impl AsFd for ActiveChild {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.started.as_fd()
    }
}

impl fmt::Debug for ActiveChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveChild").field("id", &self.id()).field("name", &self.name()).finish()
    }
}

/// The living processes that this one started, the oldest first: those of pools too, and those
/// whose [`Child`](crate::Child) was dropped.
///
/// ```
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     multiproc::init();
///     let child = multiproc::spawn(|()| -> () { loop { std::thread::park() } }, ())?;
///     assert_eq!(multiproc::active_children()[0].id(), child.id());
///     child.kill()?;
///     let _ = child.join();
///     assert!(multiproc::active_children().is_empty());
///     Ok(())
/// }
/// ```
pub fn active_children() -> Vec<ActiveChild> {
    reaper::living().into_iter().map(|started| ActiveChild { started }).collect()
}
