//! The identity of this process in the tree of processes: whether it has called `init`, its name,
//! its number in default names, its parent.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::sys::fork;

/// Who this process is, if it is a child.
struct Identity {
    name: String,
    lineage: String,
    parent_id: u32,
}

static IDENTITY: OnceLock<Identity> = OnceLock::new();

/// Makes this process the child that its parent started under this name.
pub(super) fn become_child(name: String, lineage: String, parent_id: u32) {
    IDENTITY.get_or_init(|| Identity { name, lineage, parent_id });
}

/// The numbers in default names from the root to a new child of this process: `2:1` is the first
/// child of `Process-2`.
pub(super) fn next_lineage() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    match IDENTITY.get() {
        None => number.to_string(),
        Some(identity) => format!("{}:{number}", identity.lineage),
    }
}

static INITIALIZED: AtomicBool = AtomicBool::new(false);

/// Notes that `init` is called; whether it has been before.
pub(super) fn set_initialized() -> bool {
    INITIALIZED.swap(true, Ordering::AcqRel)
}

/// Whether `init` has been called: nothing can be started before.
pub(super) fn is_initialized() -> bool {
    INITIALIZED.load(Ordering::Acquire)
}

/// What a process knows of itself; see [`current`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// `MainProcess`, or the name it was started under.
    pub name: String,
    /// Its process id.
    pub id: u32,
    /// The id of the process that started it; `None` in the main process, which this library did
    /// not start.
    pub parent_id: Option<u32>,
}

/// The process this is called in. A process that the program made by `fork` itself has the name of
/// the one it was forked from, and no `parent_id`.
///
/// ```
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     multiproc::init();
///     assert_eq!(multiproc::current().name, "MainProcess");
///     let child = multiproc::spawn(|()| multiproc::current().parent_id, ())?;
///     assert_eq!(child.join()?, Some(std::process::id()));
///     Ok(())
/// }
/// ```
pub fn current() -> Current {
    let identity = IDENTITY.get();
    let parent_id = identity.filter(|_| !fork::is_fork()).map(|identity| identity.parent_id);
    Current {
        name: identity.map_or_else(|| "MainProcess".to_owned(), |identity| identity.name.clone()),
        id: std::process::id(),
        parent_id,
    }
}
