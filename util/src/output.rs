//! What becomes of a program whose standard output cannot be written.
//!
//! Rust ignores `SIGPIPE`, so a `println!` whose reader is gone (`… | head -1`) panics, and so does one on
//! a full disk. A panic in one thread can leave the others waiting for it. With [`start`] as the first line of `main` the
//! program behaves as command-line tools do: if the reader is gone it is killed by `SIGPIPE` (a shell reports 141) and
//! prints nothing; on any other error it prints one line on standard error and exits with status 1. Sockets and other pipes are
//! not affected: a write to one whose reader is gone is still an error.
//!
//! Standard error is only for messages: [`eprintln!`](crate::eprintln!) of this crate does not panic if it cannot be written.

use std::{
    fmt::Display,
    io::{self, Write},
    panic,
    sync::Once,
};

use crate::sys;

/// Prints a line on standard error like `std`'s macro of that name, which panics if it cannot; this one then prints nothing.
///
/// ```
/// use util::eprintln;
/// eprintln!("error: {}", "no such file");
/// ```
#[macro_export]
macro_rules! eprintln {
    ($($message:tt)*) => {{
        let _ = ::std::io::Write::write_fmt(
            &mut ::std::io::stderr(),
            ::std::format_args!("{}\n", ::std::format_args!($($message)*)),
        );
    }};
}

/// From now on, a failed `print!` or `println!` in any thread ends this program as the [module](self) says. Keep the value
/// until the end of `main`: when it is dropped, what is left in the buffer is written, and an error then counts as well.
///
/// The first call installs a panic hook, which calls the one that was there for all other panics. Further calls do nothing.
///
/// ```
/// let _output = util::output::start();
/// println!("hello");
/// ```
pub fn start() -> Output {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // The text of `std`'s own panic in `print!`; the tests of all cases would notice if it changed.
            if let Some(text) = panic.payload_as_str()
                && let Some(error) = text.strip_prefix("failed printing to stdout: ")
            {
                let code = error.strip_suffix(')').and_then(|e| e.rsplit_once("(os error "));
                fail(error, code.and_then(|(_, code)| code.parse().ok()));
            }
            next(panic);
        }));
    });
    Output(())
}

/// Writes what is in the buffer of standard output. If it cannot, the program ends as the [module](self) says.
pub fn flush() {
    if let Err(error) = io::stdout().flush() {
        fail(&error, error.raw_os_error());
    }
}

/// See [`start`].
#[must_use = "what is left in the buffer is written when this is dropped: `let _output = …`"]
#[derive(Debug)]
pub struct Output(());

impl Drop for Output {
    fn drop(&mut self) {
        flush();
    }
}

/// Ends the process at once. Not by `exit`: that would flush standard output, whose buffer this thread may be using.
fn fail(error: impl Display, code: Option<i32>) -> ! {
    if code == Some(sys::EPIPE) {
        sys::die_of_sigpipe();
    }
    crate::eprintln!("error: cannot write to standard output: {error}");
    sys::exit_now(1)
}
