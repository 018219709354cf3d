//! The library's own threads: all of them block all signals.
//!
//! A signal for the process goes to any thread that does not block it. A program that blocks a
//! signal everywhere, to receive it by `sigwait` or `signalfd`, relies on there being no such
//! thread; and a handler of the program should not run on a thread it does not know. Libraries that
//! build on this one start their threads in the same way.
//!
//! ```
//! use multiproc::signals;
//!
//! let blocked = signals::block_all()?;
//! let helper = std::thread::spawn(|| "a thread that blocks all signals");
//! drop(blocked); // this thread's own mask is as before
//! helper.join().unwrap();
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! # Invariants of the `unsafe` code
//!
//! `pthread_sigmask` is called with a valid operation and with sets that are initialized or a place
//! for one; a set is read only after a call that succeeded has written it.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::thread::{Builder, JoinHandle};

/// All signals are blocked on this thread as long as this exists, and on the threads that it starts
/// meanwhile for good: a new thread has the mask of the one that starts it.
#[must_use = "the signals are blocked as long as this exists"]
pub struct Blocked {
    before: libc::sigset_t,
    /// It restores the mask of the thread it is dropped on, so it stays on one.
    on_this_thread: PhantomData<*const ()>,
}

/// Blocks all signals. What arrives meanwhile is delivered after the mask is restored.
///
/// # Errors
///
/// When the system refuses, which no system is known to do.
pub fn block_all() -> io::Result<Blocked> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` writes the whole set; the other is a place for the mask until now.
    let result = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr())
    };
    if result != 0 {
        return Err(io::Error::from_raw_os_error(result));
    }
    // SAFETY: the call succeeded, so it has written the mask.
    Ok(Blocked { before: unsafe { before.assume_init() }, on_this_thread: PhantomData })
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // It fails only for an invalid operation.
        // SAFETY: the set is initialized, and the former one is not asked for.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut())
        };
    }
}

impl fmt::Debug for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocked").finish_non_exhaustive()
    }
}

/// Starts a thread with all signals blocked from its first instruction. It runs code of the library
/// only: programs that the caller's code starts there would have all signals blocked, too.
///
/// # Errors
///
/// As [`std::thread::Builder::spawn`].
pub(crate) fn start<T: Send + 'static>(
    name: &str,
    stack_size: Option<usize>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let mut builder = Builder::new().name(name.to_owned());
    if let Some(size) = stack_size {
        builder = builder.stack_size(size);
    }
    let _blocked = block_all()?;
    builder.spawn(work)
}
