//! A hook for programs that draw, log or count what their processes do.
//!
//! ```
//! use multiproc::observer::{self, Event, Observer};
//!
//! struct Log;
//!
//! impl Observer for Log {
//!     fn event(&self, event: Event<'_>) {
//!         eprintln!("{}: {event:?}", std::process::id());
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     observer::set(&Log); // before `init`, so that it is set in children too
//!     multiproc::init();
//!     multiproc::spawn(|n: u32| n + 1, 1)?.join()?;
//!     Ok(())
//! }
//! ```

use std::ffi::OsString;
use std::sync::OnceLock;

/// What happens to processes and tasks. Each event is reported in the process named with it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// In the parent: a child has been started.
    Spawned {
        /// The child's process id.
        id: u32,
        /// The child's name.
        name: &'a str,
    },
    /// In a child: its function is about to be called.
    Started {
        /// This process's name.
        name: &'a str,
    },
    /// In a child: its function has returned or panicked, and the process exits next. A process
    /// that is killed, or calls `exit`, does not get here.
    Finished,
    /// In the parent: a child has ended, in whatever way, and has been reaped.
    Reaped {
        /// The child's process id.
        id: u32,
    },
    /// In a worker of a pool: the calling thread begins a task.
    TaskStarted,
    /// In a worker of a pool: the calling thread's task has returned or panicked.
    TaskFinished,
}

/// Who is told of [events](Event).
///
/// The methods run on the threads where things happen, some of them the library's own, which block
/// all signals. They are to be short, and do nothing with the library itself. A panic in one of
/// them is one of the thread that it runs on.
pub trait Observer: Sync {
    /// Called for each event.
    fn event(&self, event: Event<'_>);

    /// Variables for the environment of each child that is started. By default none.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        Vec::new()
    }
}

static OBSERVER: OnceLock<&'static dyn Observer> = OnceLock::new();

/// Sets the observer of this process. A child gets it if it is set before [`init`](crate::init())
/// there, which runs the child's function. Without one, an event costs one load and one branch.
///
/// # Panics
///
/// When another call has set one.
pub fn set(observer: &'static dyn Observer) {
    assert!(OBSERVER.set(observer).is_ok(), "this process has an observer already");
}

/// Reports an event.
#[inline]
pub(crate) fn report(event: Event<'_>) {
    if let Some(observer) = OBSERVER.get() {
        observer.event(event);
    }
}

/// The observer's variables for children.
pub(crate) fn environment() -> Vec<(OsString, OsString)> {
    OBSERVER.get().map(|observer| observer.environment()).unwrap_or_default()
}
