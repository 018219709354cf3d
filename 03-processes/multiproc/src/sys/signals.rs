//! The library's own threads: all of them block all signals.
//!
//! A signal for the process goes to any thread that does not block it. A program that blocks a
//! signal everywhere, to receive it by `sigwait` or `signalfd`, relies on there being no such
//! thread; and a handler of the program should not run on a thread it does not know.

use std::io;
use std::thread::{Builder, JoinHandle};

use nix::sys::signal::{SigSet, SigmaskHow};

/// All signals are blocked on this thread as long as this exists, and on the threads that it starts
/// meanwhile for good: a new thread has the mask of the one that starts it.
#[derive(Debug)]
pub struct Blocked {
    before: SigSet,
}

/// Blocks all signals. What arrives meanwhile is delivered after the mask is restored.
pub fn block_all() -> io::Result<Blocked> {
    Ok(Blocked { before: SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)? })
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // It fails only for an invalid operation.
        let _ = self.before.thread_set_mask();
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
