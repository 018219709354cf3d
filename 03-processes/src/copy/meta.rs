//! What `preserve` keeps: owner, mode, extended attributes, times.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
    fchmod, fchown, fgetxattr, flistxattr, fsetxattr, futimens, utimensat,
};
use rustix::io::{Errno, Result};

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

/// Gives a file or folder what its original has. The times come last, since everything else changes them.
///
/// An attribute that cannot be kept keeps nothing else from being kept.
pub(super) fn keep(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    let owner_is_kept = keep_owner(stat, |user, group| fchown(to, user, group))?;
    fchmod(to, mode(stat, owner_is_kept))?;
    let attributes = keep_attributes(from, to);
    futimens(to, &times(stat))?;
    attributes
}

/// The same for what has no contents: a symbolic link, a FIFO, a socket, a device node.
pub(super) fn keep_node(folder: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let owner_is_kept = keep_owner(stat, |user, group| chownat(folder, name, user, group, flags))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        chmodat(folder, name, mode(stat, owner_is_kept), AtFlags::empty())?;
    }
    utimensat(folder, name, &times(stat), flags)
}

/// Attributes are only read where there is a system that knows them.
fn keep_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let names = match read(|buffer| flistxattr(from, buffer)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
        names => names?,
    };
    let mut trouble = Ok(());
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let kept = read(|buffer| fgetxattr(from, name, buffer))
            .and_then(|value| fsetxattr(to, name, &value, XattrFlags::empty()));
        match kept {
            // The system's own labels are its own business where one may not set them.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ACCESS)
                if name.to_bytes().starts_with(b"security.") => {}
            Err(error) => {
                let name = name.to_string_lossy();
                trouble = Err(io::Error::other(format!(
                    "its attribute {name} could not be kept: {}",
                    io::Error::from(error)
                )));
            }
            Ok(()) => {}
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
