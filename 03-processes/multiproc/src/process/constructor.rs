//! Initialization before `main`, for programs whose `main` cannot call [`init`](crate::init()):
//! those of the test harness.
//!
//! The function in `.init_array` takes no argument and returns nothing, as the loader expects; it
//! runs after the standard library's own entry there, which has a priority, so the program's
//! arguments are known.

use crate::process::{bootstrap, dispositions};

/// What [`init_tests!`](crate::init_tests) has the loader call.
#[doc(hidden)]
pub extern "C" fn init_before_main() {
    if bootstrap::is_child() {
        dispositions::ignore_broken_pipes();
    }
    bootstrap::init();
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
