//! What `preserve` keeps: owner, extended attributes and access control lists, mode, times.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
    fchmod, fchown, fgetxattr, flistxattr, fremovexattr, fsetxattr, futimens, lgetxattr,
    llistxattr, lremovexattr, lsetxattr, utimensat,
};
use rustix::io::{Errno, Result};

use super::place::{has_paths, path_of};

/// The attributes that hold access control lists. A new file inherits them from its directory,
/// unlike all others.
const LISTS: [&CStr; 2] = [c"system.posix_acl_access", c"system.posix_acl_default"];

/// All the bits that `chmod` sets.
fn mode(stat: &Stat, owner_is_kept: bool) -> Mode {
    // A program that runs as its owner must not become one that runs as somebody else.
    let keep = if owner_is_kept { 0o7777 } else { 0o1777 };
    Mode::from_raw_mode(stat.st_mode & keep)
}

fn times(stat: &Stat) -> Timestamps {
    let spec = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.cast_signed(),
    };
    Timestamps {
        last_access: spec(stat.st_atime, stat.st_atime_nsec),
        last_modification: spec(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Whether the owner and the group could be set: by root, or where they are the same anyway.
fn keep_owner(stat: &Stat, set: impl Fn(Option<Uid>, Option<Gid>) -> Result<()>) -> Result<bool> {
    let (user, group) = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
    match set(user, group) {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::INVAL) => {
            let _ = set(None, group); // a group one is in
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Gives a file or directory what its original has. The order matters: a change of owner removes
/// capabilities and set-id bits; an attribute can only be set while the mode allows writing; and
/// everything but the times changes the times.
///
/// An attribute that cannot be kept keeps nothing else from being kept.
pub(super) fn keep(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    let owner_is_kept = keep_owner(stat, |user, group| fchown(to, user, group))?;
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let attributes = keep_attributes(&Attributes::Of(from), &Attributes::Of(to), is_folder);
    fchmod(to, mode(stat, owner_is_kept))?;
    futimens(to, &times(stat))?;
    attributes
}

/// The same for what has no contents, a symbolic link, a FIFO, a socket, a device node: by its name
/// in a directory that is only ours.
pub(super) fn keep_node(
    (from, name): (BorrowedFd<'_>, &CStr),
    (to, new_name): (BorrowedFd<'_>, &CStr),
    stat: &Stat,
) -> io::Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let owner_is_kept = keep_owner(stat, |user, group| chownat(to, new_name, user, group, flags))?;
    let attributes = if has_paths() {
        let at = |folder, name| Attributes::At(path_of(folder), name);
        keep_attributes(&at(from, name), &at(to, new_name), false)
    } else {
        Ok(())
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        chmodat(to, new_name, mode(stat, owner_is_kept), AtFlags::empty())?;
    }
    utimensat(to, new_name, &times(stat), flags)?;
    attributes
}

/// Whose attributes are meant.
enum Attributes<'a> {
    Of(BorrowedFd<'a>),
    /// A name in a directory, which is given by a path: a symbolic link itself.
    At(String, &'a CStr),
}

impl Attributes<'_> {
    fn path(folder: &str, name: &CStr) -> Vec<u8> {
        [folder.as_bytes(), b"/", name.to_bytes()].concat()
    }

    fn list(&self) -> Result<Vec<u8>> {
        read(|buffer| match self {
            Self::Of(file) => flistxattr(file, buffer),
            Self::At(folder, name) => llistxattr(Self::path(folder, name), buffer),
        })
    }

    fn get(&self, attribute: &CStr) -> Result<Vec<u8>> {
        read(|buffer| match self {
            Self::Of(file) => fgetxattr(file, attribute, buffer),
            Self::At(folder, name) => lgetxattr(Self::path(folder, name), attribute, buffer),
        })
    }

    fn set(&self, attribute: &CStr, value: &[u8]) -> Result<()> {
        let flags = XattrFlags::empty();
        match self {
            Self::Of(file) => match fsetxattr(file, attribute, value, flags) {
                // The mode forbids it to the owner. It is about to be set anyway.
                Err(Errno::ACCESS) => {
                    fchmod(file, Mode::RWXU)?;
                    fsetxattr(file, attribute, value, flags)
                }
                set => set,
            },
            Self::At(folder, name) => lsetxattr(Self::path(folder, name), attribute, value, flags),
        }
    }

    fn remove(&self, attribute: &CStr) -> Result<()> {
        match self {
            Self::Of(file) => fremovexattr(file, attribute),
            Self::At(folder, name) => lremovexattr(Self::path(folder, name), attribute),
        }
    }
}

fn keep_attributes(from: &Attributes<'_>, to: &Attributes<'_>, is_folder: bool) -> io::Result<()> {
    let names = match from.list() {
        // A file system that has none.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Vec::new(),
        names => names?,
    };
    let mut trouble = Ok(());
    let mut failed = |name: &CStr, error: Errno| {
        let (name, error) = (name.to_string_lossy(), io::Error::from(error));
        trouble = Err(io::Error::other(format!("its attribute {name} could not be kept: {error}")));
    };
    // A list that the copy has inherited would grant what the original does not.
    let lists = if is_folder { &LISTS[..] } else { &LISTS[..1] };
    for list in lists {
        if names.split_inclusive(|byte| *byte == 0).any(|name| name == list.to_bytes_with_nul()) {
            continue;
        }
        match to.remove(list) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => {}
            // Of somebody else, whose mode cannot be set either; and of a symbolic link, which has
            // none.
            Err(Errno::PERM | Errno::INVAL) => {}
            Err(error) => failed(list, error),
        }
    }
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        match from.get(name).and_then(|value| to.set(name, &value)) {
            // The system's own labels are its own business where one may not set them.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ACCESS)
                if name.to_bytes().starts_with(b"security.") => {}
            // Removed meanwhile.
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) => failed(name, error),
        }
    }
    trouble
}

/// Reads into a buffer as large as it has to be.
fn read(get: impl Fn(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let mut buffer = vec![0; 1024];
    loop {
        match get(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            Err(error) => return Err(error),
        }
    }
}
