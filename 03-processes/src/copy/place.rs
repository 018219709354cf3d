//! Directories by descriptor.
//!
//! The root of a tree is opened by its path once for each worker, and must be the directory that it was when the copy began: so a root that is swapped for a
//! symbolic link while we copy leads nowhere. A directory below it is opened without following any symbolic link, and no path is too long. The last
//! directory stays open, because the next one wanted is mostly the same or inside it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat, fstat, linkat, openat, openat2};
use rustix::io::{Errno, Result};
use serde::{Deserialize, Serialize};

/// Opens a directory to look for names in it; its entries need not be readable.
pub(super) const SEARCH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A file's device and inode: it, whatever its names are.
pub(super) fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// The root of a tree: its path as the user gave it, and the directory that it led to when the copy began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) path: Vec<u8>,
    pub(super) id: (u64, u64),
}

/// A place below a root, one directory of it open.
#[derive(Default)]
pub(super) struct Place {
    root: Option<(End, OwnedFd)>,
    folder: Option<(Vec<u8>, OwnedFd)>,
}

impl Place {
    /// The directory's descriptor, for use with `openat` and the like.
    ///
    /// Fails with `ESTALE` if the root is another directory by now, and with `ELOOP` or `ENOTDIR` if what stands there is not a directory.
    pub(super) fn open(&mut self, root: &End, folder: &[u8]) -> Result<BorrowedFd<'_>> {
        if self.root.as_ref().is_none_or(|(end, _)| end != root) {
            self.folder = None;
            let opened = openat(CWD, &root.path[..], SEARCH, Mode::empty())?;
            if id(&fstat(&opened)?) != root.id {
                return Err(Errno::STALE);
            }
            self.root = Some((root.clone(), opened));
        }
        let (_, root) = self.root.as_ref().ok_or(Errno::BADF)?;
        if folder.is_empty() {
            return Ok(root.as_fd());
        }
        if self.folder.as_ref().is_none_or(|(path, _)| path != folder) {
            // From the directory that is open, if this one is inside it.
            let inside = self.folder.as_ref().and_then(|(path, fd)| {
                Some((fd.as_fd(), folder.strip_prefix(&path[..])?.strip_prefix(b"/")?))
            });
            let (start, rest) = inside.unwrap_or((root.as_fd(), folder));
            let opened = open_below(start, rest)?;
            self.folder = Some((folder.to_vec(), opened));
        }
        self.folder.as_ref().map(|(_, fd)| fd.as_fd()).ok_or(Errno::BADF)
    }
}

/// Opens a directory below another one; no symbolic link is followed.
fn open_below(start: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    /// Longer ones are refused by the kernel.
    const LONGEST: usize = 4095;
    static IS_KNOWN: AtomicBool = AtomicBool::new(true);
    if path.len() <= LONGEST && IS_KNOWN.load(Relaxed) {
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(start, path, SEARCH, Mode::empty(), inside) {
            // Linux before 5.6, or a filter of system calls.
            Err(Errno::NOSYS | Errno::PERM) => IS_KNOWN.store(false, Relaxed),
            opened => return opened,
        }
    }
    let mut opened: Option<OwnedFd> = None;
    for part in path.split(|byte| *byte == b'/') {
        let from = opened.as_ref().map_or(start, AsFd::as_fd);
        opened = Some(openat(from, part, SEARCH | OFlags::NOFOLLOW, Mode::empty())?);
    }
    opened.ok_or(Errno::NOENT)
}

/// An error as a reader wants it: what the path leads to, where that is the reason.
pub(super) fn describe(errno: Errno) -> String {
    match errno {
        Errno::STALE => "the directory is not the one it was when the copy began".into(),
        Errno::LOOP => "a symbolic link stands in its place".into(),
        _ => io::Error::from(errno).to_string(),
    }
}

/// `folder/name`.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

/// A directory below a root, and its name in there; the root itself has none.
pub(super) fn parent(folder: &[u8]) -> (&[u8], &[u8]) {
    match folder.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&folder[..at], &folder[at + 1..]),
        None => (&[], folder),
    }
}

/// Opens a directory to list it.
pub(super) fn open_to_read(folder: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

/// A path that leads to an open file itself, also to a symbolic link or to one that is not open for reading.
pub(super) fn path_of(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Whether [`path_of`] can be used here: `/proc` may not be mounted.
pub(super) fn has_paths() -> bool {
    static HAS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *HAS.get_or_init(|| std::path::Path::new("/proc/self/fd").exists())
}

/// Gives an open file a name, unless there is something of that name.
pub(super) fn link(file: BorrowedFd<'_>, folder: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    linkat(CWD, path_of(file), folder, name, AtFlags::SYMLINK_FOLLOW)
}
