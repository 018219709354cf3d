//! A hook for programs that draw, log or count what their processes and tasks do.
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
//!
//! # Which events a process and a task have
//!
//! Each event is reported by the process in which it happens, so the observer's own process id says
//! by which one. A parent reports [`Spawned`](Event::Spawned) and [`Reaped`](Event::Reaped) of each
//! child, in this order, both exactly once, *whatever the child does*: only a parent that itself
//! ends before its child reports no `Reaped`, for the child is killed with it. What a child reports
//! of itself depends on how it ends:
//!
//! | the child | `Started` | `Finished` |
//! | --- | --- | --- |
//! | returns from its function, or panics in it | yes | yes |
//! | cannot decode its argument or encode its result | yes | yes |
//! | calls [`exit`](std::process::exit), is killed, or panics with `panic = "abort"` | yes | no |
//! | is killed, or fails, before it is set up | no | no |
//!
//! | a pool's task | `TaskStarted` | `TaskFinished` |
//! | --- | --- | --- |
//! | returns or panics, or its argument or result cannot travel | yes | yes |
//! | ends its worker: exits, is killed, or panics with `panic = "abort"` | yes | no |
//! | is one that no worker had started when the pool was terminated | no | no |
//!
//! The tasks of a worker do not overlap. So a `TaskStarted` that no other event of its worker's
//! tasks follows, and whose worker has been reaped, is the task that ended it. A task that is run
//! again in another worker has a `TaskStarted` there, too.
//!
//! A copy that the program makes by `fork` reports nothing of its own, and none of its original's
//! children.

use std::ffi::OsString;
use std::sync::OnceLock;

use crate::sys::fork;
use crate::sys::panics;

/// What happens to processes and tasks; [when](self#which-events-a-process-and-a-task-have).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// In the parent: a child has been started, and nobody knows it yet.
    Spawned {
        /// The child's process id.
        id: u32,
        /// The child's name.
        name: &'a str,
    },
    /// In a child: it has been set up, and is about to decode its argument and call its function.
    Started {
        /// This process's name.
        name: &'a str,
        /// The process id of its parent.
        parent_id: u32,
    },
    /// In a child: its function has returned or panicked. The process sends its result next, and
    /// exits.
    Finished,
    /// In the parent: a child has ended, in whatever way, and is not a zombie any more. Whoever
    /// joins it learns of its end after this event.
    Reaped {
        /// The child's process id.
        id: u32,
    },
    /// In a worker of a pool: the calling thread begins a task, whose argument it decodes first.
    TaskStarted,
    /// In a worker of a pool: the calling thread's task has returned or panicked. Its result is
    /// passed on after this event.
    TaskFinished,
}

/// Who is told of [events](Event).
///
/// The methods run on the threads where things happen, some of them the library's own, which block
/// all signals. They are to be short, and must do nothing with this library itself, which may hold
/// a lock meanwhile. If one of them panics, the panic hook prints that, the event is lost, and
/// everything goes on.
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
/// Events before it is set are not reported.
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
        report_to(*observer, event);
    }
}

/// Whether this process has an observer: for a loop in which each look counts.
pub(crate) fn is_set() -> bool {
    OBSERVER.get().is_some()
}

#[cold]
fn report_to(observer: &'static dyn Observer, event: Event<'_>) {
    if !fork::is_fork() {
        let _ = panics::catch(|| observer.event(event));
    }
}

/// The observer's variables for children.
pub(crate) fn environment() -> Vec<(OsString, OsString)> {
    let variables =
        |observer: &&'static dyn Observer| panics::catch(|| observer.environment()).ok();
    OBSERVER.get().and_then(variables).unwrap_or_default()
}
