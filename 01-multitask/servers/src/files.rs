//! Finding files below a folder, and keeping small ones in memory.
//!
//! # Never outside
//!
//! A path is opened by `openat2` with `RESOLVE_BENEATH`: the kernel itself refuses every step that leads out of the folder, `..` or a symlink, at the moment it opens the
//! file; so nobody can slip one in between a check and its use. Symlinks that stay inside are followed. Where the system call is missing (kernels
//! before 5.6, some sandboxes) the path is walked part by part, and no symlink is followed at all.
//!
//! # What is kept is never stale
//!
//! Every request looks its path up anew and asks for the file's state. What is saved for a small file is opening and reading it: its
//! content is kept under its path, and is right as long as there is the same file (by device and inode), and its size, its time of modification and its time of change are the same. Who may read
//! it is among what changes that time. The look follows no symlink, neither at the end of the path nor on the way: what has become one, or always was, is opened as above. The kernel keeps these times by a coarse clock, so a file that was changed less than [`SETTLED`] before it was read is not kept: a second change could leave the times as they are. (One who
//! writes through a shared memory mapping can change content without changing times for as long as the kernel has not written the page back.)

use crate::answer::Status;
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, statat},
    io::{Errno, pread},
};
use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, RwLock},
    time::{Duration, SystemTime},
};

/// The longest file that is kept, and sent together with its head, in bytes. Longer ones go from the file to the socket (`sendfile`).
pub const SMALL: u64 = 32 * 1024;
/// How much is kept, in bytes of content.
const KEPT_AT_MOST: usize = 16 * 1024 * 1024;
/// How long a file must not have changed before it is kept: longer than any clock tick of a file system.
pub const SETTLED: Duration = Duration::from_secs(2);

/// The folder that is served.
#[derive(Debug)]
pub struct Root {
    folder: OwnedFd,
    has_openat2: bool,
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    files: HashMap<Box<[u8]>, Arc<File>>,
    bytes: usize,
}

#[derive(Debug)]
struct File {
    version: Version,
    content: Box<[u8]>,
}

/// Which file it is, and what changes when its content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Something that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Its size in bytes.
    pub size: u64,
    /// When it was last modified.
    pub modified: SystemTime,
    /// Whether it is a folder; else it is a regular file.
    pub is_folder: bool,
    version: Version,
    source: Source,
}

/// Where the content of what was opened is.
#[derive(Debug)]
enum Source {
    Descriptor(OwnedFd),
    Kept(Arc<File>),
}

const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOCTTY).union(OFlags::NONBLOCK); // a FIFO without a writer is not waited for

impl Root {
    /// Opens the folder.
    ///
    /// # Errors
    ///
    /// If it is none, or may not be read.
    pub fn open(path: &Path) -> io::Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        let probe = openat2(&folder, ".", FLAGS, Mode::empty(), ResolveFlags::BENEATH);
        let has_openat2 = !matches!(probe, Err(Errno::NOSYS | Errno::PERM));
        Ok(Root { folder, has_openat2, kept: RwLock::default() })
    }

    /// Opens the file or the folder at `path`, relative to the root; the root itself for an empty one.
    ///
    /// # Errors
    ///
    /// 403 if it is outside, or may not be read, or is neither file nor folder; 404 if it is not there; 503 if the system is out of something.
    pub fn find(&self, path: &[u8]) -> Result<Opened, Status> {
        let kept = self.kept.read().unwrap_or_else(|e| e.into_inner()).files.get(path).cloned();
        if let Some(kept) = kept.filter(|kept| self.has(path, kept.version)) {
            return Ok(Opened::new(kept.version, false, Source::Kept(kept)));
        }
        let path = if path.is_empty() { b"." } else { path };
        let fd = if self.has_openat2 { self.beneath(path) } else { self.walk(path) };
        let fd = fd.map_err(refusal)?;
        let stat = fstat(&fd).map_err(refusal)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(kind, FileType::RegularFile | FileType::Directory) {
            return Err(Status::Forbidden); // a device or a FIFO has no content to send
        }
        let is_folder = kind == FileType::Directory;
        Ok(Opened::new(Version::of(&stat), is_folder, Source::Descriptor(fd)))
    }

    /// Whether this very file is at `path`, and no symlink on the way there.
    fn has(&self, path: &[u8], version: Version) -> bool {
        let look = |path: &[u8]| {
            statat(&self.folder, path, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
        };
        let is_folder = |path: &[u8]| {
            look(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
        };
        let mut slashes = (0..path.len()).filter(|at| path[*at] == b'/');
        slashes.all(|at| is_folder(&path[..at]))
            && look(path).is_ok_and(|stat| Version::of(&stat) == version)
    }

    // ANCHOR: beneath
    fn beneath(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..100 {
            match openat2(&self.folder, path, FLAGS, Mode::empty(), inside) {
                // Somebody moved a folder meanwhile, so the kernel cannot be sure: once more.
                Err(Errno::AGAIN) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }
    // ANCHOR_END: beneath

    fn walk(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let mut parts = path.split(|byte| *byte == b'/').peekable();
        let mut folder: Option<OwnedFd> = None;
        while let Some(part) = parts.next() {
            if part == b".." {
                return Err(Errno::XDEV);
            }
            let base = folder.as_ref().unwrap_or(&self.folder);
            let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let flags = if parts.peek().is_some() { step } else { FLAGS } | OFlags::NOFOLLOW;
            let opened = openat(base, part, flags, Mode::empty());
            // A symlink in the middle is "not a folder", and at the end "a loop".
            folder = Some(opened.map_err(|e| if e == Errno::LOOP { Errno::XDEV } else { e })?);
        }
        folder.ok_or(Errno::NOENT)
    }

    /// Calls `then` with the content of a small file, which was found at `path`: from memory, or read into `scratch`. What is read is as long as the file is by then.
    ///
    /// # Errors
    ///
    /// 500, if it cannot be read.
    pub fn read<T>(
        &self,
        path: &[u8],
        file: &Opened,
        scratch: &mut Vec<u8>,
        then: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Status> {
        let fd = match &file.source {
            Source::Kept(kept) => return Ok(then(&kept.content)),
            Source::Descriptor(fd) => fd,
        };
        scratch.resize(file.size as usize, 0);
        let mut length = 0;
        while length < scratch.len() {
            match pread(fd, &mut scratch[length..], length as u64) {
                Ok(0) => break, // it has become shorter
                Ok(count) => length += count,
                Err(Errno::INTR) => {}
                Err(_) => return Err(Status::InternalError),
            }
        }
        scratch.truncate(length);
        if length as u64 == file.size && file.has_settled() {
            self.keep(path, file.version, scratch);
        }
        Ok(then(scratch))
    }

    fn keep(&self, path: &[u8], version: Version, content: &[u8]) {
        // Only if it has not changed while it was read, and can be found again without opening it.
        if !self.has(path, version) {
            return;
        }
        let mut kept = self.kept.write().unwrap_or_else(|e| e.into_inner());
        if kept.bytes + content.len() > KEPT_AT_MOST || kept.files.len() >= KEPT_AT_MOST / 1024 {
            *kept = Kept::default(); // simple, and rare: what is asked for often is back at once
        }
        let file = File { version, content: content.into() };
        let replaced = kept.files.insert(path.into(), Arc::new(file));
        kept.bytes += content.len();
        kept.bytes -= replaced.map_or(0, |file| file.content.len());
    }
}

impl Opened {
    fn new(version: Version, is_folder: bool, source: Source) -> Opened {
        let size = u64::try_from(version.size).unwrap_or(0);
        Opened { size, modified: version.modified(), is_folder, version, source }
    }

    /// A descriptor to read it by.
    ///
    /// # Panics
    ///
    /// If it is a file of at most [`SMALL`] bytes: that may have been kept, and not been opened.
    pub fn into_fd(self) -> OwnedFd {
        match self.source {
            Source::Descriptor(fd) => fd,
            Source::Kept(_) => panic!("a small file that is kept has no descriptor"),
        }
    }

    fn has_settled(&self) -> bool {
        let (seconds, nanoseconds) = self.version.modified.max(self.version.changed);
        let changed = time(seconds, nanoseconds);
        SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED)
    }
}

impl Version {
    fn of(stat: &Stat) -> Version {
        Version {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }

    fn modified(&self) -> SystemTime {
        time(self.modified.0, self.modified.1)
    }
}

/// A time before 1970 counts as 1970: there is no date for it in HTTP.
fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    SystemTime::UNIX_EPOCH + seconds + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

/// What a client is told when the system says no.
fn refusal(error: Errno) -> Status {
    match error {
        Errno::XDEV | Errno::ACCESS | Errno::PERM => Status::Forbidden,
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP | Errno::INVAL => {
            Status::NotFound
        }
        Errno::NXIO | Errno::NODEV => Status::Forbidden, // a socket, or a device without a driver
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => Status::Unavailable,
        _ => Status::InternalError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn both_ways_to_a_file_stay_inside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root");
        fs::create_dir_all(path.join("sub")).unwrap();
        fs::write(path.join("sub/file"), "x").unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        symlink(folder.path(), path.join("up")).unwrap();
        symlink("../secret", path.join("out")).unwrap();
        symlink("sub", path.join("in")).unwrap();
        for has_openat2 in [true, false] {
            let root = Root { has_openat2, ..Root::open(&path).unwrap() };
            let code = |path: &str| root.find(path.as_bytes()).err().map_or(200, Status::code);
            assert_eq!((code(""), code("sub"), code("sub/file")), (200, 200, 200));
            assert_eq!((code("none"), code("sub/file/x")), (404, 404));
            for outside in ["out", "up/secret", "../secret", "sub/../../secret", "up"] {
                assert!([403, 404].contains(&code(outside)), "{outside}: {}", code(outside));
            }
            assert_eq!(code("in/file"), if has_openat2 { 200 } else { 404 }); // it follows none
        }
    }
}
