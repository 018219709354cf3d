//! What has to be set right in the process itself: signals that were inherited ignored, and, for
//! programs whose `main` is not ours to write (the test harness), a beginning before `main`.
//!
//! # Invariants
//!
//! - `signal` is called with valid signals and `SIG_IGN`, `SIG_DFL` or the handler it returned
//!   just before, and `sigaction` only to ask how a valid signal is handled, with a place for the
//!   answer: that has no precondition.
//! - The function in `.init_array` takes no argument and returns nothing, as the loader expects; it
//!   runs after the standard library's own entry there, which has a priority, so the program's
//!   arguments are known.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::OnceLock;

use nix::libc;
use nix::sys::signal::{SigSet, Signal};

unsafe extern "C" {
    // With `usize` for the handler, as `SIG_IGN` is a number and not a function.
    safe fn signal(signal: c_int, handler: usize) -> usize;
}

use libc::{SIG_DFL, SIG_IGN, SIGCHLD, SIGINT, SIGPIPE};

/// Whoever starts this program may ignore `SIGCHLD`, and so would this program: the kernel would
/// then throw away how its children ended, and give their ids to others.
pub(crate) fn attend_to_children() {
    let inherited = signal(SIGCHLD, SIG_DFL);
    if inherited != SIG_IGN {
        signal(SIGCHLD, inherited);
    }
}

/// The signals of a terminal that whoever started this program had it ignore: `nohup` does that
/// with `SIGHUP`, and a shell without job control with `SIGINT` and `SIGQUIT` for what it runs in
/// the background.
static IGNORED_AT_START: OnceLock<SigSet> = OnceLock::new();

/// Notes which signals were ignored when the program was started, before it can have changed that.
pub(crate) fn note_ignored_signals() {
    IGNORED_AT_START.get_or_init(|| {
        [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT]
            .into_iter()
            .filter(|s| is_ignored(*s))
            .collect()
    });
}

fn is_ignored(signal: Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a valid signal, no new action, and a place for the present one, which is written if
    // the call succeeds.
    unsafe {
        libc::sigaction(signal as c_int, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == SIG_IGN
    }
}

/// The signals whose handling is the default one in a child, whatever it is here: all but those
/// that the program was started to ignore.
pub(crate) fn reset_in_children() -> SigSet {
    let mut signals = SigSet::all();
    IGNORED_AT_START.get().into_iter().flatten().for_each(|signal| signals.remove(signal));
    signals
}

/// From here on, Ctrl-C does not end this process.
pub(crate) fn ignore_interrupts() {
    signal(SIGINT, SIG_IGN);
}

/// What [`init_tests!`](crate::init_tests) has the loader call.
#[doc(hidden)]
pub extern "C" fn init_before_main() {
    if crate::process::bootstrap::is_child() {
        signal(SIGPIPE, SIG_IGN);
    }
    crate::init();
}

/// Calls [`init`](crate::init()) before `main`: for tests, where the harness owns `main`.
///
/// Once in each test program, at the top level: in every file of `tests/`, and under `#[cfg(test)]`
/// in the root of a crate with unit tests that start processes. In a program with a `main` of its
/// own, call [`init`](crate::init()) there instead: less of the standard library is promised before
/// `main`.
///
/// ```text
/// // A test file:
/// multiproc::init_tests!();
///
/// #[test]
/// fn a_child_answers() {
///     let child = multiproc::spawn(|n: u32| n + 1, 41).unwrap();
///     assert_eq!(child.join().unwrap(), 42);
/// }
/// ```
#[macro_export]
macro_rules! init_tests {
    () => {
        const _: () = {
            #[used]
            #[allow(unsafe_code)]
            #[unsafe(link_section = ".init_array")]
            static INIT_BEFORE_MAIN: extern "C" fn() = $crate::init_before_main;
        };
    };
}
