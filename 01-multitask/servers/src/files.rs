//! Finding files below a folder, and keeping small ones in memory.
//!
//! # Never outside
//!
//! A path is looked up by `openat2` with `RESOLVE_BENEATH`: the kernel itself refuses every step
//! that leads out of the folder, `..` or a symlink, at the moment it looks; so nobody can slip one
//! in between a check and its use. Symlinks that stay inside are followed. The kernel refuses
//! absolute ones too; those that begin with the root's own path, as it was given or without any
//! symlink in it, are therefore resolved here, one after the other, and what comes out is looked up
//! without following any symlink at all. Where the system call is missing (kernels before 5.6, some
//! sandboxes) the path is walked part by part instead, and every symlink is resolved here.
//!
//! # Only files and folders are opened
//!
//! The look-up opens nothing (`O_PATH`). What it finds is opened, by its descriptor, only if it is
//! a regular file or a folder: opening a FIFO would let a writer go on that waits for a reader, and
//! opening a device can have any effect.
//!
//! # What is kept is never stale
//!
//! Every request looks its path up anew and asks for the file's state. What is saved for a small
//! file is opening and reading it: its content is kept under its path, and is right as long as
//! there is the same file (by device and inode), and its size, its time of modification and its
//! time of change are the same. Who may read it is among what changes that time. The look follows
//! no symlink, neither at the end of the path nor on the way: what has become one, or always was,
//! is opened as above. The kernel keeps these times by a coarse clock, so a file that was changed
//! less than [`SETTLED`] before it was read is not kept: a second change could leave the times as
//! they are. (One who writes through a shared memory mapping can change content without changing
//! times for as long as the kernel has not written the page back.)

use crate::status::Status;
use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat},
    fs::{fstat, openat, openat2, readlinkat, statat},
    io::{Errno, pread},
    time::{ClockId, clock_gettime},
};
use std::{
    collections::HashMap,
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    sync::{Arc, RwLock},
    time::{Duration, SystemTime},
};

/// The longest file that is kept, and sent together with its head, in bytes. Longer ones go from
/// the file to the socket (`sendfile`).
pub const SMALL: u64 = 32 * 1024;
/// How much is kept, in bytes of content.
const KEPT_AT_MOST: usize = 16 * 1024 * 1024;
/// How long a file must not have changed before it is kept: longer than any clock tick of a file
/// system.
pub const SETTLED: Duration = Duration::from_secs(2);
/// How often a small file is read that changes meanwhile.
const READS: usize = 3;
/// The most symlinks on the way to a file, as with the kernel.
const MOST_SYMLINKS: usize = 40;

/// The folder that is served.
#[derive(Debug)]
pub struct Root {
    folder: OwnedFd,
    /// Its absolute paths: as it was given, and without symlinks.
    names: Vec<Vec<Vec<u8>>>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Version {
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
    /// Whether it is a folder; else it is a regular file.
    pub is_folder: bool,
    version: Version,
    is_settled: bool,
    source: Source,
}

/// Where the content of what was opened is.
#[derive(Debug)]
enum Source {
    Descriptor(OwnedFd),
    Kept(Arc<File>),
}

/// To look something up without opening it.
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// To open a regular file or a folder.
const OPEN: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOCTTY).union(OFlags::NONBLOCK);

impl Root {
    /// Opens the folder.
    ///
    /// # Errors
    ///
    /// If it is none, or may not be read.
    pub fn open(path: &Path) -> io::Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        let names = [std::path::absolute(path), path.canonicalize()];
        let names = names.into_iter().flatten().map(|name| parts(name.as_os_str().as_bytes()));
        let names = names.collect();
        let probe = openat2(&folder, ".", LOOK, Mode::empty(), ResolveFlags::BENEATH);
        let has_openat2 = !matches!(probe, Err(Errno::NOSYS | Errno::PERM));
        Ok(Root { folder, names, has_openat2, kept: RwLock::default() })
    }

    /// Opens the file or the folder at `path`, relative to the root; the root itself for an empty
    /// one.
    ///
    /// # Errors
    ///
    /// 403 if it is outside, or may not be read, or is neither file nor folder; 404 if it is not
    /// there; 503 if the system is out of something.
    pub fn find(&self, path: &[u8]) -> Result<Opened, Status> {
        let kept = self.kept.read().unwrap_or_else(|e| e.into_inner()).files.get(path).cloned();
        if let Some(kept) = kept.filter(|kept| self.has(path, kept.version)) {
            return Ok(Opened {
                size: kept.content.len() as u64,
                is_folder: false,
                version: kept.version,
                is_settled: true,
                source: Source::Kept(kept),
            });
        }
        let fd = self.look_up(if path.is_empty() { b"." } else { path }).map_err(refusal)?;
        let kind = FileType::from_raw_mode(fstat(&fd).map_err(refusal)?.st_mode);
        if !matches!(kind, FileType::RegularFile | FileType::Directory) {
            return Err(Status::Forbidden); // a device, a socket or a FIFO has no content to send
        }
        let is_folder = kind == FileType::Directory;
        let fd = open(fd, is_folder).map_err(refusal)?;
        let (version, is_settled) = Version::look(&fd).map_err(refusal)?;
        let size = u64::try_from(version.size).unwrap_or(0);
        Ok(Opened { size, is_folder, version, is_settled, source: Source::Descriptor(fd) })
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

    /// Finds what is at `path`, without opening it.
    fn look_up(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        if !self.has_openat2 {
            return self.resolve(path);
        }
        match self.beneath(path, LOOK, ResolveFlags::empty()) {
            // Perhaps by an absolute symlink that stays inside.
            Err(Errno::XDEV) => self.resolve(path),
            result => result,
        }
    }

    // ANCHOR: beneath
    fn beneath(
        &self,
        path: &[u8],
        flags: OFlags,
        more: ResolveFlags,
    ) -> rustix::io::Result<OwnedFd> {
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | more;
        for _ in 0..100 {
            match openat2(&self.folder, path, flags, Mode::empty(), inside) {
                // Somebody moved a folder meanwhile, so the kernel cannot be sure: once more.
                Err(Errno::AGAIN) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }
    // ANCHOR_END: beneath

    /// Resolves the symlinks in `path` here, and finds what it leads to without following any.
    fn resolve(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let mut found: Vec<Vec<u8>> = Vec::new(); // none of these parts is a symlink
        let mut left: Vec<Vec<u8>> = parts(path).into_iter().rev().collect();
        let mut symlinks = 0;
        while let Some(part) = left.pop() {
            if part == b".." {
                found.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            found.push(part);
            let fd = self.exactly(&found)?;
            match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
                FileType::Symlink => {}
                _ if left.is_empty() => return Ok(fd),
                FileType::Directory => continue,
                _ => return Err(Errno::NOTDIR),
            }
            symlinks += 1;
            if symlinks > MOST_SYMLINKS {
                return Err(Errno::LOOP);
            }
            let target = readlinkat(&fd, "", Vec::new())?.into_bytes();
            if target.starts_with(b"/") {
                found.clear();
                left.extend(self.inside(parts(&target)).ok_or(Errno::XDEV)?.into_iter().rev());
            } else {
                found.pop();
                left.extend(parts(&target).into_iter().rev());
            }
        }
        self.exactly(&found)
    }

    /// The path relative to the root, if the absolute path of `parts` begins with the root's.
    fn inside(&self, parts: Vec<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
        self.names.iter().find_map(|name| parts.strip_prefix(&name[..])).map(<[_]>::to_vec)
    }

    /// Finds what is at the path of `parts`, and follows no symlink, neither on the way nor at its
    /// end.
    fn exactly(&self, parts: &[Vec<u8>]) -> rustix::io::Result<OwnedFd> {
        let look = LOOK | OFlags::NOFOLLOW;
        if self.has_openat2 && !parts.is_empty() {
            return self.beneath(&parts.join(&b'/'), look, ResolveFlags::NO_SYMLINKS);
        }
        let mut found = openat(&self.folder, ".", look, Mode::empty())?;
        for part in parts {
            // A symlink in the middle is "not a folder" for the next step.
            found = openat(&found, &part[..], look, Mode::empty())?;
        }
        Ok(found)
    }

    /// The content of a small file, which was found at `path`: from memory, or read into `scratch`.
    /// If it changes meanwhile, `file` is what it has become; its content is at most as long as
    /// `file` says, and shorter only if it cannot be read at rest.
    ///
    /// # Errors
    ///
    /// 500, if it cannot be read; 503, if it is no longer small.
    pub fn read<'a>(
        &self,
        path: &[u8],
        file: &'a mut Opened,
        scratch: &'a mut Vec<u8>,
    ) -> Result<(&'a Opened, &'a [u8]), Status> {
        for attempt in 0..READS {
            let Source::Descriptor(fd) = &file.source else { break };
            if file.size > SMALL {
                return Err(Status::Unavailable);
            }
            scratch.resize(file.size as usize, 0);
            let length = fill(fd, scratch).map_err(|_| Status::InternalError)?;
            scratch.truncate(length);
            let (version, is_settled) = Version::look(fd).map_err(refusal)?;
            let is_whole = version == file.version && length as u64 == file.size;
            if is_whole && file.has_settled() {
                self.keep(path, file.version, scratch);
            }
            file.is_settled &= is_whole;
            if is_whole || attempt + 1 == READS {
                break;
            }
            file.size = u64::try_from(version.size).unwrap_or(0);
            (file.version, file.is_settled) = (version, is_settled);
        }
        let content = match &file.source {
            Source::Kept(kept) => &kept.content,
            Source::Descriptor(_) => &scratch[..],
        };
        Ok((file, content))
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

/// The parts of a path, without those that mean nothing.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.map(<[u8]>::to_vec).collect()
}

/// Opens what was found: a regular file or a folder.
fn open(found: OwnedFd, is_folder: bool) -> rustix::io::Result<OwnedFd> {
    if is_folder {
        return openat(&found, ".", OPEN | OFlags::DIRECTORY, Mode::empty());
    }
    // This very file, whatever is at its path by now.
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let opened = openat(CWD, path, OPEN, Mode::empty());
    opened.map_err(|error| if error == Errno::NOENT { Errno::IO } else { error }) // no /proc
}

/// Reads `file` from its beginning until `buffer` is full or the file ends. Returns how much was
/// read.
fn fill(file: &OwnedFd, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match pread(file, &mut buffer[length..], length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

impl Opened {
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

    /// Whether every later version of it differs in its times, its size or its inode.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// What changes when its content does.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// The seconds of its last modification and of its last change.
    pub(crate) fn seconds(&self) -> (u64, u64) {
        let second = |(seconds, _): (i64, i64)| u64::try_from(seconds).unwrap_or(0);
        (second(self.version.modified), second(self.version.changed))
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

    /// The version of an open file, and whether every later one will differ from it.
    fn look(file: impl AsFd) -> rustix::io::Result<(Version, bool)> {
        // Before looking: whatever happens to the file later gets this time at the earliest.
        let now = clock_gettime(ClockId::RealtimeCoarse);
        let version = Version::of(&fstat(file)?);
        let age = |(seconds, nanoseconds): (i64, i64)| {
            i128::from(now.tv_sec - seconds) * 1_000_000_000 + i128::from(now.tv_nsec)
                - i128::from(nanoseconds)
        };
        let has_fractions = version.changed.1 % 1_000_000 != 0;
        let least = if has_fractions { 0 } else { SETTLED.as_nanos() as i128 };
        Ok((version, age(version.changed) > least))
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
    use rustix::fs::inotify;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn both_ways_to_a_file_stay_inside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root");
        fs::create_dir_all(path.join("sub")).unwrap();
        fs::create_dir_all(folder.path().join("root2")).unwrap();
        fs::write(path.join("sub/file"), "x").unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        fs::write(folder.path().join("root2/secret"), "x").unwrap();
        symlink(&path, folder.path().join("alias")).unwrap();
        for (target, link) in [
            (folder.path().to_owned(), "up"),
            ("../secret".into(), "out"),
            ("sub".into(), "in"),
            (path.join("sub"), "absolute"),
            (path.join("./sub//../sub/file"), "winding"),
            (path.join("in/file"), "over"),
            (folder.path().join("alias/sub/file"), "alias"),
            ("absolute/file".into(), "relative"),
            (path.clone(), "root"),
            (path.join("loop"), "loop"),
            (path.join("../secret"), "absolute-out"),
            (folder.path().join("root2/secret"), "beside"),
            ("/proc/self/root/etc/passwd".into(), "magic"),
        ] {
            symlink(target, path.join(link)).unwrap();
        }
        for (has_openat2, given) in
            [(true, "root"), (false, "root"), (true, "alias"), (false, "alias")]
        {
            let opened = Root::open(&folder.path().join(given)).unwrap();
            let root = Root { has_openat2: has_openat2 && opened.has_openat2, ..opened };
            let code = |path: &str| root.find(path.as_bytes()).err().map_or(200, Status::code);
            for inside in [
                "",
                "sub",
                "sub/file",
                "in",
                "in/file",
                "absolute",
                "absolute/file",
                "winding",
                "over",
                "relative",
                "root",
                "root/sub/file",
                "root/root/absolute/file",
            ] {
                assert_eq!(code(inside), 200, "{inside}");
            }
            assert_eq!(code("alias"), if given == "alias" { 200 } else { 403 });
            for none in ["none", "sub/file/x", "winding/x", "absolute/none", "loop"] {
                assert_eq!(code(none), 404, "{none}");
            }
            for outside in [
                "out",
                "up/secret",
                "../secret",
                "sub/../../secret",
                "up",
                "absolute-out",
                "beside",
                "magic",
            ] {
                assert_eq!(code(outside), 403, "{outside}");
            }
        }
    }

    #[test]
    fn nothing_but_files_and_folders_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        symlink(&fifo, folder.path().join("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        let events = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&events, &fifo, inotify::WatchFlags::OPEN).unwrap();
        let mut buffer = [0; 1024];
        for has_openat2 in [true, false] {
            let opened = Root::open(folder.path()).unwrap();
            let root = Root { has_openat2: has_openat2 && opened.has_openat2, ..opened };
            for path in ["fifo", "link", "socket"] {
                assert_eq!(root.find(path.as_bytes()).err(), Some(Status::Forbidden));
            }
            let root = Root::open(Path::new("/dev")).unwrap();
            assert_eq!(root.find(b"null").err(), Some(Status::Forbidden));
        }
        assert_eq!(rustix::io::read(&events, &mut buffer), Err(Errno::AGAIN), "it was opened");
        fs::File::options().read(true).write(true).open(&fifo).unwrap();
        assert!(rustix::io::read(&events, &mut buffer).unwrap() > 0);
    }

    #[test]
    fn a_version_is_settled_when_the_clock_has_advanced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let root = Root::open(folder.path()).unwrap();
        let mut seen = std::collections::HashMap::new();
        for number in 0..300_u32 {
            fs::write(&path, number.to_string()).unwrap();
            for _ in 0..number % 7 {
                let mut scratch = Vec::new();
                let mut file = root.find(b"file").unwrap();
                let (file, content) = root.read(b"file", &mut file, &mut scratch).unwrap();
                let content = content.to_vec();
                if file.is_settled() {
                    let before = seen.insert(file.version(), content.clone());
                    assert!(before.is_none_or(|before| before == content));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(seen.len() > 50, "{}", seen.len());
    }
}
