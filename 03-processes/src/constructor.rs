//! What has to be set right in the process itself: signals that were inherited ignored, and, for programs whose `main` is not ours to write (the
//! test harness), a beginning before `main`.
//!
//! # Invariants
//!
//! - The only foreign function is `signal`, called with two valid signals and `SIG_IGN`, `SIG_DFL` or the handler it returned just before: that
//!   has no precondition.
//! - The function in `.init_array` takes no argument and returns nothing, as the loader expects; it runs after the standard library's own
//!   entry there, which has a priority, so the program's arguments are known.
#![allow(unsafe_code)]

use std::ffi::c_int;

unsafe extern "C" {
    // With `usize` for the handler, as `SIG_IGN` is a number and not a function.
    safe fn signal(signal: c_int, handler: usize) -> usize;
}

const SIGPIPE: c_int = 13;
const SIGCHLD: c_int = 17;
const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;

/// Whoever starts this program may ignore `SIGCHLD`, and so would this program: the kernel would then throw away how its children ended, and
/// give their ids to others.
pub(crate) fn attend_to_children() {
    let inherited = signal(SIGCHLD, SIG_DFL);
    if inherited != SIG_IGN {
        signal(SIGCHLD, inherited);
    }
}

/// What [`init_tests!`](crate::init_tests) has the loader call.
#[doc(hidden)]
pub extern "C" fn init_before_main() {
    if crate::init::is_child() {
        signal(SIGPIPE, SIG_IGN);
    }
    crate::init();
}

/// Calls [`init`](crate::init()) before `main`: for tests, where the harness owns `main`.
///
/// Once in each test program, at the top level: in every file of `tests/`, and under `#[cfg(test)]` in the root of a crate with unit tests that start processes.
/// In a program with a `main` of its own, call [`init`](crate::init()) there instead: less of the standard library is promised before `main`.
///
/// ```text
/// // A test file:
/// processes::init_tests!();
///
/// #[test]
/// fn a_child_answers() {
///     let child = processes::spawn(|n: u32| n + 1, 41).unwrap();
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
