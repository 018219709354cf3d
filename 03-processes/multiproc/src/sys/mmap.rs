//! Mapping bytes of a file into this process, shared with all others that map them.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::OnceLock;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// What the mapped bytes may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// The bytes of a page, which is what the kernel maps and frees as a whole: 4 KiB on x86-64, and 4,
/// 16 or 64 KiB on ARM64.
pub(crate) fn page_size() -> u64 {
    static SIZE: OnceLock<u64> = OnceLock::new();
    // SAFETY: the call takes a number and returns one.
    *SIZE.get_or_init(|| unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.cast_unsigned())
}

/// Maps `len` bytes of `file` from `offset` (a multiple of the page size) at a free place.
pub(crate) fn map(
    file: BorrowedFd<'_>,
    offset: u64,
    len: usize,
    access: Access,
) -> io::Result<NonNull<u8>> {
    let protection = match access {
        Access::Read => ProtFlags::READ,
        Access::Write => ProtFlags::READ | ProtFlags::WRITE,
    };
    // SAFETY: the kernel chooses a free place, so nothing that exists is replaced.
    let ptr =
        unsafe { mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, file, offset) }?;
    NonNull::new(ptr.cast()).ok_or(io::ErrorKind::OutOfMemory.into())
}

/// Undoes [`map`].
///
/// # Safety
///
/// `ptr` and `len` are those of one call of [`map`], and no reference into the memory is left.
pub(crate) unsafe fn unmap(ptr: NonNull<u8>, len: usize) {
    // SAFETY: as the caller promises.
    let unmapped = unsafe { munmap(ptr.as_ptr().cast(), len) };
    debug_assert!(unmapped.is_ok());
}
