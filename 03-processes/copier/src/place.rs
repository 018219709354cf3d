//! Directories by descriptor.
//!
//! The root of a tree is opened by its path once for each worker, and must be the directory that it
//! was when the copy began: so a root that is swapped for a symbolic link while we copy leads
//! nowhere. A directory below it is opened without following any symbolic link, and no path is too
//! long. The last directories stay open, because the next one wanted is mostly one of them or
//! inside one.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat, fstat, linkat, openat, openat2};
use rustix::io::{Errno, Result};
use serde::{Deserialize, Serialize};

use super::dir_path::DirPath;

/// Opens a directory to look for names in it; its entries need not be readable.
pub(super) const SEARCH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A file's device and inode: it, whatever its names are.
pub(super) fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// The root of a tree: its path as the user gave it, and the directory that it led to when the copy
/// began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) path: Vec<u8>,
    pub(super) id: (u64, u64),
}

/// Directories on the way to the last one opened that stay open.
const HELD: usize = 4;
/// The kernel refuses a longer path.
const LONGEST: usize = 4095;

/// A place below a root: a directory that is open, and the way to it.
///
/// A directory with a short path is opened by one call. To one with a longer path the way is
/// followed name by name, from the deepest directory that is above both this one and the last one.
/// So a walk through a tree takes a bounded number of calls for each directory, whatever its depth
/// is.
#[derive(Default)]
pub(super) struct Place {
    root: Option<(End, OwnedFd)>,
    /// The directories below the root on the way to the last one opened, the outermost first. That
    /// one is open, and so are some of those above it.
    way: Vec<Step>,
}

struct Step {
    dir: DirPath,
    held: Held,
}

enum Held {
    Open(OwnedFd),
    /// Closed since. The device and inode tell it from another directory.
    Closed(u64, u64),
    /// Not open, and has a short path.
    No,
}

impl Step {
    fn is_open(&self) -> bool {
        matches!(self.held, Held::Open(_))
    }
}

impl Place {
    /// The directory's descriptor, for use with `openat` and the like.
    ///
    /// Fails with `ESTALE` if the root is another directory by now, and with `ELOOP` or `ENOTDIR`
    /// if what stands there is not a directory.
    pub(super) fn open(&mut self, root: &End, folder: &DirPath) -> Result<BorrowedFd<'_>> {
        if self.root.as_ref().is_none_or(|(end, _)| end != root) {
            self.way.clear();
            let opened = openat(CWD, &root.path[..], SEARCH, Mode::empty())?;
            if id(&fstat(&opened)?) != root.id {
                return Err(Errno::STALE);
            }
            self.root = Some((root.clone(), opened));
        }
        if folder.depth() > 0
            && let Err(errno) = self.go_to(folder)
        {
            let open = self.way.iter().rposition(Step::is_open).map_or(0, |last| last + 1);
            self.way.truncate(open);
            return Err(errno);
        }
        let (_, root) = self.root.as_ref().ok_or(Errno::BADF)?;
        match self.way.last() {
            Some(Step { held: Held::Open(fd), .. }) if folder.depth() > 0 => Ok(fd.as_fd()),
            _ => Ok(root.as_fd()),
        }
    }

    fn go_to(&mut self, folder: &DirPath) -> Result<()> {
        let (shared, mut missing) = missing(&self.way, folder);
        if !back_to(&mut self.way, shared) {
            self.way.clear();
            (_, missing) = self::missing(&self.way, folder);
        }
        while let Some(dir) = missing.pop() {
            // All up to the last one with a short path are opened by one call.
            if dir.length() > LONGEST {
                self.open_last()?;
            }
            self.way.push(Step { dir, held: Held::No });
        }
        self.open_last()
    }

    /// Opens the last directory of the way, from the last one that is open.
    fn open_last(&mut self) -> Result<()> {
        let (_, root) = self.root.as_ref().ok_or(Errno::BADF)?;
        let first = self.way.iter().rposition(Step::is_open).map_or(0, |last| last + 1);
        if first == self.way.len() {
            return Ok(());
        }
        let above = match first.checked_sub(1).map(|at| &self.way[at].held) {
            Some(Held::Open(fd)) => fd.as_fd(),
            _ => root.as_fd(),
        };
        let names: Vec<&[u8]> = self.way[first..].iter().map(|step| step.dir.name()).collect();
        let opened = open_below(above, &names)?;
        let last = self.way.last_mut().ok_or(Errno::BADF)?;
        last.held = Held::Open(opened);
        if let Some(step) = self.way.iter_mut().rev().filter(|step| step.is_open()).nth(HELD)
            && let Held::Open(fd) = &step.held
        {
            step.held = if step.dir.length() > LONGEST {
                let (device, inode) = id(&fstat(fd)?);
                Held::Closed(device, inode)
            } else {
                Held::No
            };
        }
        Ok(())
    }
}

/// Opens a directory below another one; no symbolic link is followed.
fn open_below(above: BorrowedFd<'_>, names: &[&[u8]]) -> Result<OwnedFd> {
    static IS_KNOWN: AtomicBool = AtomicBool::new(true);
    if names.len() > 1 && IS_KNOWN.load(Relaxed) {
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(above, names.join(&b'/'), SEARCH, Mode::empty(), inside) {
            // Linux before 5.6, or a filter of system calls.
            Err(Errno::NOSYS | Errno::PERM) => IS_KNOWN.store(false, Relaxed),
            opened => return opened,
        }
    }
    let mut opened: Option<OwnedFd> = None;
    for name in names {
        let from = opened.as_ref().map_or(above, AsFd::as_fd);
        opened = Some(openat(from, *name, SEARCH | OFlags::NOFOLLOW, Mode::empty())?);
    }
    opened.ok_or(Errno::NOENT)
}

/// How many directories of `way` lead to `folder` as well; and the directories that lead there from
/// these, the innermost first.
fn missing(way: &[Step], folder: &DirPath) -> (usize, Vec<DirPath>) {
    let (mut missing, mut at) = (Vec::new(), folder);
    while let Some((above, _)) = at.parent() {
        let depth = at.depth();
        if way.get(depth - 1).is_some_and(|step| step.dir.is_shared_with(at)) {
            return (depth, missing);
        }
        missing.push(at.clone());
        at = above;
    }
    // Paths that were sent to this process share no memory. They are short.
    let pairs = way.iter().zip(missing.iter().rev());
    let shared = pairs.take_while(|(step, dir)| step.dir.name() == dir.name()).count();
    missing.truncate(missing.len() - shared);
    (shared, missing)
}

/// Leaves the first `count` directories of a way. The last of them is open then, or has a short
/// path. `false`: there is no way back.
fn back_to(way: &mut Vec<Step>, count: usize) -> bool {
    let Some(wanted) = count.checked_sub(1) else {
        way.clear();
        return true;
    };
    if way[wanted].is_open() || way[wanted].dir.length() <= LONGEST {
        way.truncate(count);
        return true;
    }
    // Upwards, from the next one that is open. Where the root is nearer, from there.
    let next = (count..way.len()).find(|at| way[*at].is_open());
    let Some(next) = next.filter(|next| 2 * (next - wanted) < count) else { return false };
    way.truncate(next + 1);
    while way.len() > count {
        let above = match way.pop() {
            Some(Step { held: Held::Open(fd), .. }) => openat(fd, c"..", SEARCH, Mode::empty()),
            _ => return false,
        };
        let (Ok(above), Some(step)) = (above, way.last_mut()) else { return false };
        // A directory that was moved meanwhile is in another one now.
        match (fstat(&above), &step.held) {
            (Ok(stat), Held::Closed(device, inode)) if id(&stat) == (*device, *inode) => {
                step.held = Held::Open(above);
            }
            _ => return false,
        }
    }
    true
}

/// An error as a reader wants it: what the path leads to, where that is the reason.
pub(super) fn describe(errno: Errno) -> String {
    match errno {
        Errno::STALE => "the directory is not the one it was when the copy began".into(),
        Errno::LOOP => "a symbolic link stands in its place".into(),
        _ => io::Error::from(errno).to_string(),
    }
}

/// Opens a directory to list it.
pub(super) fn open_to_read(folder: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

/// A path that leads to an open file itself, also to a symbolic link or to one that is not open for
/// reading.
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
    // Since Linux 6.10 any process that has opened the file may name it by its descriptor; before,
    // only a privileged one.
    static BY_DESCRIPTOR: AtomicBool = AtomicBool::new(true);
    if BY_DESCRIPTOR.load(Relaxed) {
        match linkat(file, c"", folder, name, AtFlags::EMPTY_PATH) {
            Err(Errno::NOENT | Errno::INVAL) => {}
            linked => return linked,
        }
    }
    let linked = linkat(CWD, path_of(file), folder, name, AtFlags::SYMLINK_FOLLOW);
    if linked.is_ok() {
        BY_DESCRIPTOR.store(false, Relaxed);
    }
    linked
}

#[cfg(test)]
mod tests {
    use rustix::fs::{mkdirat, renameat, statat};

    use super::*;

    /// The device and inode of the directory that a place opens.
    fn opened(place: &mut Place, root: &End, dir: &DirPath) -> (u64, u64) {
        id(&fstat(place.open(root, dir).unwrap()).unwrap())
    }

    fn root(path: &std::path::Path) -> End {
        let id = id(&rustix::fs::stat(path).unwrap());
        End { path: path.as_os_str().as_encoded_bytes().to_vec(), id }
    }

    /// A directory for a test, gone at its end, whatever the length of the paths in it.
    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::process::Command::new("rm").arg("-rf").arg(&self.0).status();
        }
    }

    /// Makes directories, each of which stands after the one it is in. Returns their devices and
    /// inodes.
    fn make(root: &End, dirs: &[DirPath]) -> Vec<(u64, u64)> {
        let mut inodes = Vec::new();
        for dir in dirs {
            let (above, name) = dir.parent().unwrap();
            let mut place = Place::default();
            let above = place.open(root, above).unwrap();
            mkdirat(above, name, Mode::RWXU).unwrap();
            inodes.push(id(&statat(above, name, AtFlags::SYMLINK_NOFOLLOW).unwrap()));
        }
        inodes
    }

    #[test]
    fn any_directory_is_reached_from_any_other() {
        let scratch = Scratch::new("place");
        let root = &root(&scratch.0);
        for length in [1, 250] {
            // A chain, with another directory at the side of each.
            let (mut dirs, mut at) = (Vec::new(), DirPath::default());
            for _ in 0..24 {
                dirs.push(at.join("s".repeat(length).as_bytes()));
                at = at.join("c".repeat(length).as_bytes());
                dirs.push(at.clone());
            }
            let inodes = make(root, &dirs);
            let mut place = Place::default();
            for (from, from_inode) in dirs.iter().zip(&inodes) {
                for (to, to_inode) in dirs.iter().zip(&inodes) {
                    // With the memory of another path, and as one that came in a message.
                    for to in [to.clone(), DirPath::from(&to.to_bytes()[..])] {
                        assert_eq!(opened(&mut place, root, from), *from_inode);
                        assert_eq!(opened(&mut place, root, &to), *to_inode);
                        assert!(place.way.iter().filter(|step| step.is_open()).count() <= HELD);
                    }
                }
            }
        }
    }

    #[test]
    fn a_directory_that_is_moved_does_not_lead_out_of_its_root() {
        let scratch = Scratch::new("moved");
        std::fs::create_dir_all(scratch.0.join("root")).unwrap();
        let elsewhere = std::fs::File::open(&scratch.0).unwrap();
        let root = &root(&scratch.0.join("root"));
        let name = "d".repeat(250);
        let down = |above: &DirPath| Some(above.join(name.as_bytes()));
        let dirs: Vec<_> =
            std::iter::successors(down(&DirPath::default()), down).take(40).collect();
        let inodes = make(root, &dirs);
        let mut place = Place::default();
        assert_eq!(opened(&mut place, root, &dirs[39]), inodes[39]);
        let mut other = Place::default();
        let above = other.open(root, &dirs[32]).unwrap();
        renameat(above, &*name, &elsewhere, "moved").unwrap();
        // The way back leads through the directory that is elsewhere now.
        assert_eq!(opened(&mut place, root, &dirs[31]), inodes[31]);
        assert_eq!(place.open(root, &dirs[39]).err(), Some(Errno::NOENT));
        assert_eq!(opened(&mut place, root, &dirs[30]), inodes[30]);
    }

    #[test]
    fn no_symbolic_link_is_followed() {
        let scratch = Scratch::new("links");
        std::fs::create_dir_all(scratch.0.join("root/a/b/c")).unwrap();
        std::fs::create_dir_all(scratch.0.join("b/c")).unwrap();
        let root = &root(&scratch.0.join("root"));
        std::os::unix::fs::symlink("a", scratch.0.join("root/link")).unwrap();
        std::os::unix::fs::symlink("../../b", scratch.0.join("root/a/out")).unwrap();
        for path in ["link", "link/b", "a/out", "a/out/c", "a/../../b/c"] {
            let opened = Place::default().open(root, &DirPath::from(path.as_bytes())).map(drop);
            assert!(
                matches!(opened, Err(Errno::LOOP | Errno::NOTDIR | Errno::XDEV)),
                "{path}: {opened:?}"
            );
        }
    }
}
