//! How this process and its children handle signals: what was inherited ignored, and what a child
//! begins with.
//!
//! # Invariants of the `unsafe` code
//!
//! - `signal` is called with valid signals and `SIG_IGN`, `SIG_DFL` or the handler it returned
//!   just before, and `sigaction` only to ask how a valid signal is handled, with a place for the
//!   answer: that has no precondition.
//! - A signal set is read only after `sigfillset` has written all of it.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use libc::{SIG_DFL, SIG_IGN, SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT};

unsafe extern "C" {
    // With `usize` for the handler, as `SIG_IGN` is a number and not a function.
    safe fn signal(signal: c_int, handler: usize) -> usize;
}

/// Whoever starts this program may ignore `SIGCHLD`, and so would this program: the kernel would
/// then throw away how its children ended, and give their ids to others.
pub(super) fn attend_to_children() {
    let inherited = signal(SIGCHLD, SIG_DFL);
    if inherited != SIG_IGN {
        signal(SIGCHLD, inherited);
    }
}

/// The signals of a terminal that whoever started this program had it ignore: `nohup` does that
/// with `SIGHUP`, and a shell without job control with `SIGINT` and `SIGQUIT` for what it runs in
/// the background.
static IGNORED_AT_START: OnceLock<Vec<c_int>> = OnceLock::new();

/// Notes which signals were ignored when the program was started, before it can have changed that.
pub(super) fn note_ignored_signals() {
    IGNORED_AT_START.get_or_init(|| {
        [SIGHUP, SIGINT, SIGQUIT].into_iter().filter(|signal| is_ignored(*signal)).collect()
    });
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a valid signal, no new action, and a place for the present one, which is written if
    // the call succeeds.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == SIG_IGN
    }
}

/// The signals whose handling is the default one in a child, whatever it is here: all but those
/// that the program was started to ignore.
pub(super) fn reset_in_children() -> libc::sigset_t {
    let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` writes the whole set and fails only for an invalid address; the signals
    // removed from it are valid.
    unsafe {
        libc::sigfillset(signals.as_mut_ptr());
        let mut signals = signals.assume_init();
        for ignored in IGNORED_AT_START.get().into_iter().flatten() {
            libc::sigdelset(&raw mut signals, *ignored);
        }
        signals
    }
}

/// From here on, Ctrl-C does not end this process.
pub(crate) fn ignore_interrupts() {
    signal(SIGINT, SIG_IGN);
}

/// From here on, writing to a broken pipe is an error of the write, as in every Rust program after
/// the standard library has begun.
pub(super) fn ignore_broken_pipes() {
    signal(SIGPIPE, SIG_IGN);
}
