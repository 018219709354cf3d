//! A copier of files and folders: many workers, processes or threads, and nothing half-written.
//!
//! ```
//! use copier::Options;
//! use std::ops::ControlFlow;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     multiproc::init();
//!     let place = std::env::temp_dir().join(format!("copy-doc-{}", std::process::id()));
//!     std::fs::create_dir_all(place.join("from/inner"))?;
//!     std::fs::write(place.join("from/inner/file"), "contents")?;
//!
//!     let (from, to) = (place.join("from"), place.join("to"));
//!     let go_on = |_: &copier::Progress| ControlFlow::Continue(());
//!     let summary = copier::copy(&[from], &to, &Options::default(), go_on)?;
//!     assert!(summary.is_complete());
//!     assert_eq!((summary.files, summary.folders, summary.bytes), (1, 2, 8));
//!     assert_eq!(std::fs::read_to_string(place.join("to/inner/file"))?, "contents");
//!     # std::fs::remove_dir_all(place)?;
//!     Ok(())
//! }
//! ```
//!
//! # What it promises
//!
//! - A file is under its name only when it is whole. Whatever is killed, whenever, no name ever
//!   stands for a part of a file. A file that is being written has no name at all where the file
//!   system allows it (`O_TMPFILE`); else it is in a directory with a temporary name
//!   (`.copy-….part`), as is a new directory that is being filled. [Stopped](copy) in order, a copy
//!   leaves none of its own. What a killed run left is deleted by the next one that comes to the
//!   same directory, once the kernel says that its owner is gone. Somebody else's file or directory
//!   of such a name is not deleted, unless it is an empty directory.
//! - What is there stays there, unless [`OnExists::Overwrite`] is asked for. So the same call once
//!   more does what the first could not finish.
//! - Nothing is written through a symbolic link, except that the target itself may be one when the
//!   copy begins.
//! - The names of one file become names of one file. A name that is there already stays what it is;
//!   the others are not linked to it, unless it is a copy of this very file: of its kind, length,
//!   owner and contents, and with `preserve` of its mode and time.
//! - Symbolic links, hard links, holes, FIFOs, sockets and (for root) device nodes are copied as
//!   what they are. Names are bytes.
//! - Nothing is copied onto itself or into itself: such a call is refused before anything is
//!   touched.
//! - One file that cannot be copied is reported, and the others are copied.
//! - A worker process that dies costs its time: what it was doing is done again.
//!
//! A file that is written to while it is copied is copied again, up to three times, and then
//! reported; shorter ones than 64 KiB are not looked at twice.
//!
//! # How it is fast
//!
//! One thread lists folders, and looks at no file for it. Parcels of up to 128 names go to the
//! workers, up to eight in a message: a message for each file would cost as much as the copy. Until
//! there is enough work for worker processes, and while they start, this one copies already. A
//! worker that finds large files gives the rest of its parcel back. The kernel moves the bytes
//! (`copy_file_range`) where it can.
//!
//! The number of system calls for an entry does not depend on how many there are, nor on how deep
//! they are. Directories share the memory of their paths.
//!
//! Where the file system can (btrfs, xfs), a file shares the blocks of its original (`FICLONE`).

mod dir_path;
mod engine;
mod links;
mod meta;
mod parcel;
mod place;
mod slots;
mod staging;
mod walk;
mod worker;

use std::fmt;
use std::io;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The largest number of workers.
pub const MAX_WORKERS: usize = 1024;

/// How to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How many workers: one for each core, unless told otherwise. 0 counts as 1, and what is more
    /// than [`MAX_WORKERS`] as that.
    pub workers: usize,
    /// What a worker is.
    pub model: Model,
    /// With [`Model::Process`], how long threads of this process copy before worker processes are
    /// started: 50 ms, unless told otherwise. To start some takes tens of milliseconds of CPU time,
    /// which a short copy does not earn back; so they are not started either while what is left
    /// seems to take less than four times as long as this. With 0 they are waited for, unless there
    /// is a single parcel of work.
    pub processes_after: Duration,
    /// What happens to a file whose name is taken in the target.
    pub on_exists: OnExists,
    /// Whether to keep modes, times, extended attributes, and the owner where that is allowed.
    /// Otherwise the mode is kept as far as the umask allows, without its set-id bits.
    pub preserve: bool,
    /// Whether to wait until everything is on disk.
    pub sync: bool,
    /// Whether only to count what would be copied, and to touch nothing.
    pub dry_run: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, NonZero::get),
            model: Model::Process,
            processes_after: Duration::from_millis(50),
            on_exists: OnExists::Skip,
            preserve: false,
            sync: false,
            dry_run: false,
        }
    }
}

/// What a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// A process of a [`Pool`](multiproc::Pool), started when the copy has taken
    /// [`processes_after`](Options::processes_after) and goes on. Until it is there, and if it
    /// cannot be started, a thread of this process copies instead of it. Threads also copy what
    /// would be too long to send: directories whose path below the target has 1024 bytes or more,
    /// and files with more than 129 names.
    Process,
    /// A thread of this process.
    Thread,
}

/// What happens to a file whose name is taken in the target. Folders are not replaced but filled,
/// in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnExists {
    /// What is there stays, and is counted.
    Skip,
    /// It is replaced, in one step.
    Overwrite,
    /// What is there stays, and that is a failure.
    Fail,
}

/// A word that names no choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownChoice(&'static str);

impl fmt::Display for UnknownChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

impl std::error::Error for UnknownChoice {}

impl FromStr for Model {
    type Err = UnknownChoice;

    fn from_str(word: &str) -> Result<Self, UnknownChoice> {
        match word {
            "process" => Ok(Self::Process),
            "thread" => Ok(Self::Thread),
            _ => Err(UnknownChoice("process or thread")),
        }
    }
}

impl FromStr for OnExists {
    type Err = UnknownChoice;

    fn from_str(word: &str) -> Result<Self, UnknownChoice> {
        match word {
            "skip" => Ok(Self::Skip),
            "overwrite" => Ok(Self::Overwrite),
            "fail" => Ok(Self::Fail),
            _ => Err(UnknownChoice("skip, overwrite or fail")),
        }
    }
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Names dealt with: copied, linked, skipped or failed. (Not folders.)
    pub files: u64,
    /// Those of `files` that could not be copied, as far as that is known.
    pub failed: u64,
    /// Names found.
    pub files_found: u64,
    /// Whether everything has been found: `files_found` will not grow.
    pub is_listed: bool,
    /// Bytes written.
    pub bytes: u64,
    /// Bytes to be written, once that is known. Sizes are looked up after half a second, if there
    /// seem to be five seconds' work or only few files left.
    pub bytes_found: Option<u64>,
    /// Bytes of `bytes` that are on disk, if [`Options::sync`] is asked for.
    pub on_disk: Option<u64>,
    /// Whether that was all: every file has its name, and is on disk if that was asked for.
    pub is_over: bool,
}

/// What a copy has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Files copied (or, in a dry run, to be copied).
    pub files: u64,
    /// Bytes in them. A hole counts as what one reads there.
    pub bytes: u64,
    /// Folders made.
    pub folders: u64,
    /// Further names given to files that have several.
    pub links: u64,
    /// Symbolic links, FIFOs, sockets and device nodes made.
    pub others: u64,
    /// Left alone, since there was something of that name.
    pub skipped: u64,
    /// What could not be copied, in the order in which it was noticed.
    pub failures: Vec<Failure>,
    /// Whether it was stopped before its end.
    pub is_stopped: bool,
    /// Whether it gave up because the target is full; the last of `failures` say what did not fit.
    pub is_full: bool,
}

impl Summary {
    /// Whether everything is in the target.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && !self.is_stopped && !self.is_full
    }
}

/// Something that could not be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// It, in the source.
    pub path: PathBuf,
    /// What did not work, and why.
    pub reason: String,
}

impl fmt::Display for Failure {
    /// The path is quoted, and what is not printable in it escaped: a name can hold anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.path, self.reason)
    }
}

/// Why a copy was not begun. Nothing has been touched.
#[derive(Debug)]
#[non_exhaustive]
pub enum CopyError {
    /// There are no sources.
    NoSource,
    /// This source cannot be looked at.
    Source(PathBuf, io::Error),
    /// This source has no name of its own, and the target is a folder to put it into.
    NoName(PathBuf),
    /// Two sources would have this one name in the target.
    SameName(PathBuf),
    /// This source is the target.
    SameFile(PathBuf),
    /// The target is inside this source.
    Inside(PathBuf),
    /// The target, or the folder it is to be in, cannot be used.
    Target(PathBuf, io::Error),
    /// A thread cannot be started; fewer workers need fewer threads.
    Thread(io::Error),
    /// The system refuses something else.
    Io(io::Error),
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSource => f.write_str("there is nothing to copy"),
            Self::Source(path, error) => write!(f, "cannot copy {path:?}: {error}"),
            Self::NoName(path) => {
                write!(f, "{path:?} has no name of its own that it could have in the target")
            }
            Self::SameName(path) => write!(f, "two of the sources would both become {path:?}"),
            Self::SameFile(path) => {
                write!(f, "{path:?} and the target are the same; nothing was done")
            }
            Self::Inside(path) => {
                write!(
                    f,
                    "the target is inside {path:?}: a folder cannot be copied into itself; nothing was done"
                )
            }
            Self::Target(path, error) => write!(f, "cannot copy to {path:?}: {error}"),
            Self::Thread(error) => {
                write!(
                    f,
                    "cannot start a thread, nothing was done (fewer workers need fewer): {error}"
                )
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CopyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Source(_, error)
            | Self::Target(_, error)
            | Self::Thread(error)
            | Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Copies `sources` to `target`.
///
/// One source becomes `target` itself, whether or not that is there: a folder that is there is
/// filled. If `target` ends with `/`, if there are several sources, or if the source is a file and
/// `target` a folder, then each source keeps its name inside `target`, which is made if it is not
/// there. So the same call always means the same, and a second one goes on where a first one ended.
/// The folder that `target` is in must be there. A source that is a symbolic link is copied as one,
/// unless it ends with `/`.
///
/// `progress` is called a hundred times a second, and once at the end, on this thread; the copy
/// does not end while it does not return. [`ControlFlow::Break`] stops the copy in any phase: what
/// is not whole by then is deleted.
///
/// # Errors
///
/// [`CopyError`], if it cannot begin. What fails later is in the [`Summary`].
pub fn copy(
    sources: &[PathBuf],
    target: &Path,
    options: &Options,
    progress: impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Summary, CopyError> {
    multiproc::fork::begin_use().map_err(CopyError::Io)?;
    let roots = walk::resolve(sources, target)?;
    engine::Engine::new(options)?.run(&roots, progress)
}
