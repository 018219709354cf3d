//! Folders by descriptor, and the temporary names in them.
//!
//! A folder below a root is opened part by part, none of them through a symbolic link: so no path is too long, and one that is swapped for a link while
//! we copy leads nowhere. The last folder stays open, because the next one wanted is mostly the same or inside it.

use std::ffi::{CStr, CString};
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, fchmod, flock, openat, unlinkat,
};
use rustix::io::{Errno, Result};

/// Opens a folder to look for names in it; its entries need not be readable.
const SEARCH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A place below a root, one folder of it open.
#[derive(Default)]
pub(super) struct Place {
    root: Option<(Vec<u8>, OwnedFd)>,
    folder: Option<(Vec<u8>, OwnedFd)>,
}

impl Place {
    /// The folder's descriptor, for use with `openat` and the like.
    pub(super) fn open(&mut self, root: &[u8], folder: &[u8]) -> Result<BorrowedFd<'_>> {
        if self.root.as_ref().is_none_or(|(path, _)| path != root) {
            self.folder = None;
            self.root = Some((root.to_vec(), openat(CWD, root, SEARCH, Mode::empty())?));
        }
        let (_, root) = self.root.as_ref().ok_or(Errno::BADF)?;
        if folder.is_empty() {
            return Ok(root.as_fd());
        }
        if self.folder.as_ref().is_none_or(|(path, _)| path != folder) {
            // From the folder that is open, if this one is inside it.
            let inside = self.folder.as_ref().and_then(|(path, fd)| {
                Some((fd.as_fd(), folder.strip_prefix(&path[..])?.strip_prefix(b"/")?))
            });
            let (start, rest) = inside.unwrap_or((root.as_fd(), folder));
            let mut opened: Option<OwnedFd> = None;
            for part in rest.split(|byte| *byte == b'/') {
                let from = opened.as_ref().map_or(start, AsFd::as_fd);
                opened = Some(openat(from, part, SEARCH | OFlags::NOFOLLOW, Mode::empty())?);
            }
            self.folder = Some((folder.to_vec(), opened.ok_or(Errno::NOENT)?));
        }
        self.folder.as_ref().map(|(_, fd)| fd.as_fd()).ok_or(Errno::BADF)
    }
}

/// `folder/name`.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

/// A folder below a root, and its name in there; the root itself has none.
pub(super) fn parent(folder: &[u8]) -> (&[u8], &[u8]) {
    match folder.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&folder[..at], &folder[at + 1..]),
        None => (&[], folder),
    }
}

/// Opens a folder to list it.
pub(super) fn open_to_read(folder: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

/// What all temporary names begin with.
const MARK: &str = ".copy-";
const END: &str = ".part";

/// The beginning of this run's temporary names: no other run has it.
pub(super) fn new_prefix() -> String {
    format!("{MARK}{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// The temporary name of a whole parcel, or of one file in it.
pub(super) fn temporary(prefix: &str, parcel: u64, position: Option<usize>) -> CString {
    let name = match position {
        Some(position) => format!("{prefix}-{parcel}-{position}{END}"),
        None => format!("{prefix}-{parcel}{END}"),
    };
    CString::new(name).unwrap_or_default()
}

/// Whether a name is one of [`temporary`]'s, of any run.
fn is_temporary(name: &[u8]) -> bool {
    let inner = |name: &[u8]| {
        let rest = name.strip_prefix(MARK.as_bytes())?.strip_suffix(END.as_bytes())?;
        let (run, numbers) = rest.split_at_checked(16)?;
        let mut numbers = numbers.strip_prefix(b"-")?.split(|byte| *byte == b'-');
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        Some(
            run.iter().all(is_hex)
                && is_number(numbers.next()?)
                && numbers.next().is_none_or(is_number)
                && numbers.next().is_none(),
        )
    };
    inner(name).unwrap_or(false)
}

/// Takes the lock that tells others that a temporary file or folder has an owner who lives; the kernel lets it go when that one ends.
///
/// A file system that knows no locks is one on which nobody cleans up.
pub(super) fn lock(fd: BorrowedFd<'_>) -> Result<()> {
    match flock(fd, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(Errno::WOULDBLOCK),
        _ => Ok(()),
    }
}

/// Deletes what other runs, killed, have left in a folder: what has a temporary name and no living owner. Of run `only`, if one is given.
pub(super) fn sweep(folder: BorrowedFd<'_>, only: Option<&str>) -> Result<()> {
    let listed = open_to_read(folder, c".")?;
    for entry in Dir::read_from(&listed)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_temporary(name.to_bytes())
            && only.is_none_or(|prefix| name.to_bytes().starts_with(prefix.as_bytes()))
        {
            // What cannot be deleted is no reason not to copy.
            let _ = remove_if_left(folder, name);
        }
    }
    Ok(())
}

fn remove_if_left(folder: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = openat(folder, name, flags, Mode::empty())?;
    flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
    match open_to_read(folder, name) {
        Ok(_) => remove_folder(folder, name),
        Err(Errno::NOTDIR) => unlinkat(folder, name, AtFlags::empty()),
        Err(error) => Err(error),
    }
}

/// Deletes a temporary folder: only files are in it.
pub(super) fn remove_folder(folder: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let inner = open_to_read(folder, name)?;
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

    #[test]
    fn only_our_own_names_are_temporary() {
        let prefix = new_prefix();
        for ours in [temporary(&prefix, 7, None), temporary(&prefix, 12, Some(127))] {
            assert!(is_temporary(ours.to_bytes()), "{ours:?}");
        }
        for other in [
            ".copy-",
            ".copy",
            ".copy-0123456789abcdef.part",
            ".copy-0123456789abcdef-.part",
            ".copy-0123456789abcdeF-1.part",
            ".copy-0123456789abcdef-1-.part",
            ".copy-0123456789abcdef-1",
            ".copy-0123456789abcdef-1-2-3.part",
            "x.copy-0123456789abcdef-1.part",
            ".copy-of-my-letter.part",
        ] {
            assert!(!is_temporary(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_has_a_living_owner_stays() {
        let base = std::env::temp_dir().join(format!("sweep-{}", std::process::id()));
        std::fs::create_dir(&base).unwrap();
        let (dead, alive) =
            (temporary(&new_prefix(), 1, Some(0)), temporary(&new_prefix(), 2, None));
        std::fs::write(base.join(dead.to_str().unwrap()), "half").unwrap();
        std::fs::create_dir(base.join(alive.to_str().unwrap())).unwrap();
        std::fs::write(base.join(alive.to_str().unwrap()).join("file"), "half").unwrap();
        std::fs::write(base.join(".copy-notes.part"), "mine").unwrap();
        let folder = openat(CWD, &base, SEARCH, Mode::empty()).unwrap();
        let owner = open_to_read(folder.as_fd(), &alive).unwrap();
        lock(owner.as_fd()).unwrap();

        let names = || {
            let list = std::fs::read_dir(&base).unwrap();
            let mut names: Vec<_> = list.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        sweep(folder.as_fd(), None).unwrap();
        assert_eq!(names().len(), 2);
        assert!(names().iter().any(|name| name == alive.to_str().unwrap()));
        drop(owner);
        // Another test may be starting a process, which has the descriptor as well until it has become a program.
        for _ in 0..1000 {
            sweep(folder.as_fd(), None).unwrap();
            if names().len() == 1 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(names(), [".copy-notes.part"]);
        std::fs::remove_dir_all(&base).unwrap();
    }
}
