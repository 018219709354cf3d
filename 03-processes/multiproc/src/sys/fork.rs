//! Whether this process is a copy that the program made by `fork`, after it had begun to use this
//! library.
//!
//! Such a copy has the original's memory, but none of its threads, and it shares the original's
//! file locks and sockets. A mutex may be locked by a thread that does not exist there, and a lock
//! or socket that the copy released would be released for the original. So in the copy every
//! operation of the library is an error, and every destructor leaves shared objects alone. A
//! process that forks *before* its first use of the library is not affected. Libraries that build
//! on this one use this module as well.
//!
//! The check relies on the kernel: at the first use, one word is placed in a page that `fork`
//! clears in the new process (`MADV_WIPEONFORK`). This also covers a `fork` that bypasses the C
//! library, and the check is two loads.
//!
//! # Invariants of the `unsafe` code
//!
//! `WORD` always points to an `AtomicU32` that lives until the process ends: a static, or the
//! beginning of a mapped page that is never unmapped once the pointer has been published. Every bit
//! pattern of the word is valid.
//!
//! Source: `madvise(2)`, since Linux 4.14.
#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// The word's value in a process that is not such a copy. `fork` makes it 0.
const ORIGINAL: u32 = 1;

/// The word before the first use.
static UNUSED: AtomicU32 = AtomicU32::new(ORIGINAL);
static WORD: AtomicPtr<AtomicU32> = AtomicPtr::new((&raw const UNUSED).cast_mut());

/// Whether this process was forked from one that used the library.
#[inline]
pub fn is_fork() -> bool {
    // SAFETY: by the module's invariant the pointer is valid for as long as the process lives.
    let word = unsafe { &*WORD.load(Ordering::Acquire) };
    word.load(Ordering::Relaxed) != ORIGINAL
}

/// An error in a process that was forked from one that used the library.
///
/// # Errors
///
/// [`Unsupported`](io::ErrorKind::Unsupported), with what to do instead.
#[inline]
pub fn check() -> io::Result<()> {
    if is_fork() { Err(error()) } else { Ok(()) }
}

/// What is printed of a fork, everywhere.
pub(crate) const EXPLANATION: &str = "this process was forked from one that was already using this library: \
     use it in the original process, or fork before its first use";

/// The error of an operation in a fork.
#[cold]
pub(crate) fn error() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, EXPLANATION)
}

/// To be called before anything is kept that a fork must not touch, by this library and by those
/// that build on it. From then on, forks of this process are known.
///
/// # Errors
///
/// When this process is a fork itself, or the system gives no page that `fork` clears.
pub fn begin_use() -> io::Result<()> {
    let unused = (&raw const UNUSED).cast_mut();
    if WORD.load(Ordering::Acquire) != unused {
        return check();
    }
    let len = size_of::<AtomicU32>();
    // SAFETY: the kernel chooses a free place, so nothing that exists is replaced.
    let page = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            len,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    }?;
    let word = page.cast::<AtomicU32>();
    // SAFETY: the page was mapped just above, is writable and aligned, and nobody else knows it.
    unsafe { (*word).store(ORIGINAL, Ordering::Relaxed) };
    // SAFETY: the advice concerns this page alone, and changes only what a fork finds there.
    let advised = unsafe { madvise(page, len, Advice::LinuxWipeOnFork) };
    let published = advised.is_ok()
        && WORD.compare_exchange(unused, word, Ordering::AcqRel, Ordering::Acquire).is_ok();
    if !published {
        // SAFETY: the page was never published, so nobody refers to it.
        unsafe { munmap(page, len) }?;
    }
    Ok(advised?)
}

/// Ends this process if the function it ran has forked and this is the copy: its result belongs to
/// the original.
#[inline]
pub(crate) fn leave_if_fork(code: i32) {
    if is_fork() {
        std::process::exit(code);
    }
}
