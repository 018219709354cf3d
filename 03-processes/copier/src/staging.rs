//! Where a file or directory is made that cannot be made without a name: a directory of the
//! worker's own in the target.
//!
//! A regular file needs no name before it is whole, where the file system has `O_TMPFILE`; what is
//! killed then leaves nothing. Everything else is made in a directory with a temporary name
//! (`.copy-….part`), and is renamed from there. That directory is removed after the work. What a
//! killed run has left is recognized by three things, all of which must hold:
//!
//! - its name, the end of which is a checksum of the rest;
//! - a lock that nobody holds: a worker holds one on its directory for as long as it uses it, and
//!   the kernel releases that when the worker ends;
//! - a directory in it that says by its name which inode it was made in, and when: a directory that
//!   somebody has made, copied or restored has another one. In its place an empty directory will
//!   do, since removing it can lose nothing.
//!
//! A record of what is to be done at the end is kept there as well, as the name of a directory: the
//! next run finds what a killed one has not done.
//!
//! Between making its directory and locking it a worker has put nothing there. If it has lost the
//! directory when it holds the lock, it makes another one.

use std::ffi::{CStr, CString};
use std::hash::{BuildHasher, RandomState};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, RawDir, SeekFrom, StatxFlags, chmodat, fchmod,
    flock, fstat, mkdirat, openat, seek, statat, statx, unlinkat,
};
use rustix::io::{Errno, Result};

use super::place::{SEARCH, id, open_to_read, path_of};

/// What the name of each such directory begins and ends with.
const MARK: &str = ".copy-";
const END: &str = ".part";
/// What the name of a record begins with.
const RECORD: &str = "late-";
/// Digits of a name, and how many of them are random.
const DIGITS: usize = 32;
const RANDOM: usize = 24;
/// How often another name is tried.
const ATTEMPTS: u32 = 100;

fn new_name() -> CString {
    let (a, b) = (RandomState::new().hash_one(0), RandomState::new().hash_one(1));
    let random = &format!("{a:016x}{b:016x}")[..RANDOM];
    let check = checksum(random.as_bytes());
    CString::new(format!("{MARK}{random}{check:08x}{END}")).unwrap_or_default()
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}

/// Whether a name is one of [`new_name`]'s, of any run.
fn is_temporary(name: &[u8]) -> bool {
    let digits =
        name.strip_prefix(MARK.as_bytes()).and_then(|name| name.strip_suffix(END.as_bytes()));
    digits.is_some_and(|digits| {
        digits.len() == DIGITS
            && digits[RANDOM..] == *format!("{:08x}", checksum(&digits[..RANDOM])).as_bytes()
    })
}

/// The name of the directory that says whose the one around it is.
fn owner(folder: BorrowedFd<'_>) -> Result<CString> {
    let name = match statx(folder, c"", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::BTIME) {
        Ok(it) => {
            format!("of-{}-{}-{}", it.stx_ino, it.stx_btime.tv_sec, it.stx_btime.tv_nsec)
        }
        Err(_) => format!("of-{}-0-0", fstat(folder)?.st_ino),
    };
    Ok(CString::new(name).unwrap_or_default())
}

/// A directory of temporary files, locked for as long as this is there.
#[derive(Debug)]
pub(super) struct Staging {
    above: OwnedFd,
    name: CString,
    folder: OwnedFd,
    is_left: bool,
}

impl Staging {
    /// Makes one in the directory `above`.
    pub(super) fn create(above: BorrowedFd<'_>) -> Result<Self> {
        let above = openat(above, c".", SEARCH, Mode::empty())?;
        for _ in 0..ATTEMPTS {
            let name = new_name();
            match mkdirat(&above, &name, Mode::RWXU) {
                Err(Errno::EXIST) => continue,
                made => made?,
            }
            match claim(above.as_fd(), &name) {
                Ok(Some(folder)) => {
                    let made = Self { above, name, folder, is_left: false };
                    mkdirat(&made.folder, owner(made.folder.as_fd())?, Mode::RWXU)?;
                    return Ok(made);
                }
                // Another run was cleaning up, and took it for one that was left.
                Ok(None) => {}
                Err(errno) => {
                    let _ = unlinkat(&above, &name, AtFlags::REMOVEDIR);
                    return Err(errno);
                }
            }
        }
        Err(Errno::EXIST)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Leaves it to the next run, with its records.
    pub(super) fn leave(mut self) {
        self.is_left = true;
    }

    /// Makes a record, if it is not there.
    pub(super) fn record(&self, record: u64) {
        let _ = mkdirat(&self.folder, format!("{RECORD}{record:016x}"), Mode::RWXU);
    }
}

/// The record that concerns a directory below the target: FNV-1a with 64 bits, by G. Fowler, L. Noll
/// and P. Vo, so that every build of the program makes the same.
pub(super) fn record_of(folder: &[u8]) -> u64 {
    folder.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_left {
            let _ = remove(self.above.as_fd(), &self.name, self.folder.as_fd());
        }
    }
}

/// Opens and locks a directory just made. `None`: it is gone, or about to go.
fn claim(above: BorrowedFd<'_>, name: &CStr) -> Result<Option<OwnedFd>> {
    let mut opened = open_to_read(above, name);
    if opened.as_ref().err() == Some(&Errno::ACCESS) {
        // The umask withholds what the owner needs.
        let it = openat(above, name, SEARCH | OFlags::NOFOLLOW, Mode::empty())?;
        chmodat(CWD, path_of(it.as_fd()), Mode::RWXU, AtFlags::empty())?;
        opened = open_to_read(above, name);
    }
    let folder = match opened {
        Err(Errno::NOENT) => return Ok(None),
        opened => opened?,
    };
    let stat = fstat(&folder)?;
    if stat.st_mode & 0o700 != 0o700 {
        fchmod(&folder, Mode::from_raw_mode(stat.st_mode & 0o7777 | 0o700))?;
    }
    // Where a file system has no locks nobody gets one, so nobody cleans up.
    if flock(&folder, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        return Ok(None);
    }
    let is_there =
        statat(above, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|there| id(&there) == id(&stat));
    Ok(is_there.then_some(folder))
}

/// Deletes what killed runs have left in a directory; `found` gets their records first.
pub(super) fn sweep(folder: BorrowedFd<'_>, found: &mut dyn FnMut(u64)) -> Result<()> {
    let listed = open_to_read(folder, c".")?;
    for entry in Dir::read_from(&listed)? {
        let entry = entry?;
        if is_temporary(entry.file_name().to_bytes()) {
            // What cannot be deleted is no reason not to copy.
            let _ = remove_if_left(folder, entry.file_name(), found);
        }
    }
    Ok(())
}

fn remove_if_left(above: BorrowedFd<'_>, name: &CStr, found: &mut dyn FnMut(u64)) -> Result<()> {
    let folder = open_to_read(above, name)?;
    flock(&folder, FlockOperation::NonBlockingLockExclusive)?;
    let is_ours = statat(&folder, owner(folder.as_fd())?, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    if is_ours {
        for entry in Dir::read_from(open_to_read(folder.as_fd(), c".")?)? {
            let entry = entry?;
            let record = entry.file_name().to_str().ok().and_then(|it| it.strip_prefix(RECORD));
            if let Some(Ok(record)) = record.map(|it| u64::from_str_radix(it, 16)) {
                found(record);
            }
        }
        remove(above, name, folder.as_fd())
    } else {
        unlinkat(above, name, AtFlags::REMOVEDIR) // if it is empty
    }
}

/// Deletes such a directory: files are in it, and directories of files. What says whose it is goes
/// last.
fn remove(above: BorrowedFd<'_>, name: &CStr, folder: BorrowedFd<'_>) -> Result<()> {
    let owner = owner(folder)?;
    // By the descriptor that is open: there may be no other one to be had.
    seek(folder, SeekFrom::Start(0))?;
    let mut buffer = [MaybeUninit::uninit(); 4 << 10];
    let mut entries = RawDir::new(folder, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let inner = entry.file_name();
        if !matches!(inner.to_bytes(), b"." | b"..") && inner != &*owner {
            remove_entry(folder, inner)?;
        }
    }
    unlinkat(folder, &owner, AtFlags::REMOVEDIR)?;
    unlinkat(above, name, AtFlags::REMOVEDIR)
}

/// Deletes a file, or a directory of files.
pub(super) fn remove_entry(folder: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let inner = match open_to_read(folder, name) {
        Ok(inner) => inner,
        Err(Errno::NOTDIR | Errno::LOOP) => return unlinkat(folder, name, AtFlags::empty()),
        // No descriptor is to be had: a file, or a directory with nothing in it.
        Err(errno) => {
            return unlinkat(folder, name, AtFlags::empty())
                .or_else(|_| unlinkat(folder, name, AtFlags::REMOVEDIR))
                .map_err(|_| errno);
        }
    };
    let _ = fchmod(&inner, Mode::RWXU);
    for entry in Dir::read_from(&inner)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            unlinkat(&inner, entry.file_name(), AtFlags::empty())?;
        }
    }
    unlinkat(folder, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    fn base(name: &str) -> (PathBuf, OwnedFd) {
        let base = std::env::temp_dir().join(format!("staging-{name}-{}", std::process::id()));
        fs::create_dir(&base).unwrap();
        let folder = openat(CWD, &base, SEARCH, Mode::empty()).unwrap();
        (base, folder)
    }

    fn names(base: &Path) -> Vec<Vec<u8>> {
        let list = fs::read_dir(base).unwrap();
        let mut names: Vec<_> =
            list.map(|entry| entry.unwrap().file_name().as_bytes().to_vec()).collect();
        names.sort();
        names
    }

    /// Sweeps until nothing but `left` names are there: a process that another test is starting has
    /// the lock as well until it has become a program.
    fn sweep_to(left: usize, base: &Path, folder: &OwnedFd) {
        for _ in 0..1000 {
            sweep(folder.as_fd(), &mut |_| {}).unwrap();
            if names(base).len() == left {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{left} names should be left of {:?}", names(base));
    }

    /// As a killed worker leaves it.
    fn leave(staging: Staging) -> CString {
        let name = staging.name.clone();
        staging.leave();
        name
    }

    #[test]
    fn only_a_name_with_its_checksum_is_temporary() {
        assert!(is_temporary(new_name().to_bytes()));
        assert_ne!(new_name(), new_name());
        for other in [
            ".copy-",
            ".copy-.part",
            ".copy-0123456789abcdef-1.part",
            ".copy-0123456789abcdef0123456789abcdef.part",
            ".copy-of-my-letter.part",
        ] {
            assert!(!is_temporary(other.as_bytes()), "{other}");
        }
        let mut other = new_name().to_bytes().to_vec();
        other[10] = if other[10] == b'0' { b'1' } else { b'0' };
        assert!(!is_temporary(&other));
    }

    #[test]
    fn what_has_a_living_owner_stays_and_what_a_dead_one_has_left_goes() {
        let (base, folder) = base("owner");
        let alive = Staging::create(folder.as_fd()).unwrap();
        for file in ["folder/one", "folder/two", "file"] {
            let path = base.join(OsStr::from_bytes(alive.name.to_bytes())).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "half").unwrap();
        }
        // Closed to its owner, and still to be deleted.
        let inner = base.join(OsStr::from_bytes(alive.name.to_bytes())).join("folder");
        fs::set_permissions(inner, std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
        sweep(folder.as_fd(), &mut |_| {}).unwrap();
        assert_eq!(names(&base), [alive.name.to_bytes()]);
        leave(alive);
        sweep_to(0, &base, &folder);

        // Killed at once, or in the middle of being cleaned up: it is empty.
        fs::create_dir(base.join(OsStr::from_bytes(new_name().to_bytes()))).unwrap();
        sweep_to(0, &base, &folder);
        drop(Staging::create(folder.as_fd()).unwrap());
        assert_eq!(names(&base).len(), 0);
        fs::remove_dir(&base).unwrap();
    }

    #[test]
    fn somebody_elses_file_of_such_a_name_stays() {
        let (base, folder) = base("mine");
        let at = |name: &CStr| base.join(OsStr::from_bytes(name.to_bytes()));
        // A file, a link to a directory, a directory with something in it, one that was restored
        // from a copy.
        fs::write(at(&new_name()), "mine").unwrap();
        std::os::unix::fs::symlink(std::env::temp_dir(), at(&new_name())).unwrap();
        let mine = at(&new_name());
        fs::create_dir(&mine).unwrap();
        fs::write(mine.join("file"), "mine").unwrap();
        let left = leave(Staging::create(folder.as_fd()).unwrap());
        fs::write(at(&left).join("file"), "half").unwrap();
        let copy = at(&new_name());
        fs::create_dir(&copy).unwrap();
        for entry in fs::read_dir(at(&left)).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => fs::create_dir(copy.join(entry.file_name())).unwrap(),
                false => drop(fs::copy(entry.path(), copy.join(entry.file_name())).unwrap()),
            }
        }
        sweep_to(4, &base, &folder);
        assert_eq!(fs::read(mine.join("file")).unwrap(), b"mine");
        assert_eq!(fs::read(copy.join("file")).unwrap(), b"half");
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn a_worker_whose_new_directory_is_swept_makes_another() {
        let (base, folder) = base("race");
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    sweep(folder.as_fd(), &mut |_| {}).unwrap();
                }
            });
            for _ in 0..300 {
                let staging = Staging::create(folder.as_fd()).unwrap();
                let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
                openat(staging.as_fd(), c"file", flags, Mode::RWXU).unwrap();
                assert!(names(&base).contains(&staging.name.to_bytes().to_vec()));
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        sweep_to(0, &base, &folder);
        fs::remove_dir(&base).unwrap();
    }
}
