//! Locks on single bytes of a file, which the kernel drops when their holder ends.
//!
//! They are *open file description locks*: they belong to the open file and not to the process, so
//! a second opening of the same file has locks of its own, and closing another descriptor of the
//! file drops none.
//!
//! # Invariants of the `unsafe` code
//!
//! The only call here is `fcntl` with a descriptor that is borrowed, so open, and with a pointer to
//! a `flock` structure on our stack.
//!
//! Source: `fcntl(2)`, since Linux 3.15.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The kind of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any number of holders, while there is no writer.
    Read,
    /// One holder.
    Write,
    /// No lock.
    Unlock,
}

/// Sets the lock on a byte to `kind`; false when others' locks stand against it and it is not to
/// wait.
pub(crate) fn set(file: BorrowedFd<'_>, byte: u64, kind: Kind, wait: bool) -> io::Result<bool> {
    let command = if wait { libc::F_OFD_SETLKW } else { libc::F_OFD_SETLK };
    loop {
        match control(file, command, &mut lock_on(byte, kind)) {
            Ok(()) => return Ok(true),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EACCES) => return Ok(false),
                Some(libc::EINTR) => {}
                _ => return Err(error),
            },
        }
    }
}

/// Whether another open file has a lock on the byte.
pub(crate) fn is_locked(file: BorrowedFd<'_>, byte: u64) -> io::Result<bool> {
    let mut lock = lock_on(byte, Kind::Write);
    control(file, libc::F_OFD_GETLK, &mut lock)?;
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

fn lock_on(byte: u64, kind: Kind) -> libc::flock {
    let kind = match kind {
        Kind::Read => libc::F_RDLCK,
        Kind::Write => libc::F_WRLCK,
        Kind::Unlock => libc::F_UNLCK,
    };
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte as libc::off_t,
        l_len: 1,
        l_pid: 0,
    }
}

fn control(file: BorrowedFd<'_>, command: libc::c_int, lock: &mut libc::flock) -> io::Result<()> {
    // SAFETY: the descriptor is open, and these commands read and write the structure `lock` only.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, std::ptr::from_mut(lock)) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
