//! The library's own threads: all of them block all signals.
//!
//! A signal for the process goes to any thread that does not block it. A program that blocks a
//! signal everywhere, to receive it by `sigwait` or `signalfd`, relies on there being no such
//! thread; and a handler of the program should not run on a thread it does not know.

use std::io;
use std::thread::{Builder, JoinHandle};

use nix::sys::signal::{SigSet, SigmaskHow};

/// Starts a thread with all signals blocked from its first instruction.
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
    // A new thread has the mask of the one that starts it. What arrives here meanwhile is delivered
    // after the mask is restored.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let started = builder.spawn(work);
    before.thread_set_mask()?;
    started
}
