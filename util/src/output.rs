//! What becomes of a program whose standard output cannot be written.
//!
//! Rust ignores `SIGPIPE`, so a `println!` whose reader is gone (`… | head -1`) panics, and so does
//! one on a full disk. A panic in one thread can leave the others waiting for it. With [`start`] as
//! the first line of `main` the program behaves as command-line tools do: if the reader is gone it
//! is killed by `SIGPIPE` (a shell reports 141) and prints nothing; on any other error it prints
//! one line on standard error and exits with status 1. Sockets and other pipes are not affected: a
//! write to one whose reader is gone is still an error.
//!
//! The processes of a program share its standard output. If one that this program started as a copy
//! of itself cannot write, it tells the first one, and that ends in the same way: a parent need not
//! make sense of a child that is gone. On macOS and Windows it does not tell, it just ends; and on
//! Windows, which has no `SIGPIPE`, a program whose reader is gone exits with status 1.
//!
//! A thread, process, file or memory that cannot be had ends the program in this way too, if it is
//! not handled: `thread::spawn` and `Scope::spawn` panic then, as `unwrap` does, and the threads
//! that wait for that one never end.
//!
//! Standard error is only for messages: [`eprintln!`](crate::eprintln!) of this crate does not
//! panic if it cannot be written.

use std::{
    fmt,
    io::{self, Write},
    panic,
    sync::Once,
    thread,
};

use crate::{
    again, scratch,
    sys::{self, FAILED},
};

/// From now on, a failed `print!` or `println!` in any thread ends this program as the
/// [module](self) says. Keep the value until the end of `main`: when it is dropped, what is left in
/// the buffer is written, and an error then counts as well.
///
/// The first call installs a panic hook, which calls the one that was there for all other panics,
/// and a handler for `SIGPIPE`. Further calls do nothing.
///
/// ```
/// let _output = util::output::start();
/// println!("hello");
/// ```
pub fn start() -> Output {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        sys::listen();
        again::follow_parent();
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // The texts of `std`'s own panics and, for threads, tokio's. The tests of all cases
            // would notice if the first changed.
            let text = panic.payload_as_str().unwrap_or_default();
            if let Some(error) = text.strip_prefix("failed printing to stdout: ") {
                cannot_print(error, code(error, "(os error ", ')'));
            }
            let of_tokio = text.strip_prefix("OS can't spawn worker thread: ");
            let code = match of_tokio {
                Some(error) => code(error, "(os error ", ')'),
                None => code(text, "Os { code: ", ','),
            };
            if let Some(code) = code.filter(|code| sys::EXHAUSTED.contains(code)) {
                let is_thread = of_tokio.is_some() || text.starts_with("failed to spawn thread: ");
                let what =
                    if is_thread { "cannot start a thread" } else { "a resource is exhausted" };
                fail(format_args!("{what}: {}", io::Error::from_raw_os_error(code)));
            }
            next(panic);
        }));
    });
    Output(())
}

/// The number of the operating system's error in the text of one, where it stands between `before`
/// and `behind`.
fn code(error: &str, before: &str, behind: char) -> Option<i32> {
    error.rsplit_once(before)?.1.split(behind).next()?.parse().ok()
}

/// Writes what is in the buffer of standard output. If it cannot, the program ends as the
/// [module](self) says.
pub fn flush() {
    if let Err(error) = io::stdout().flush() {
        cannot_print(&error.to_string(), error.raw_os_error());
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

/// Ends the program with status 1 after a line on standard error, from any thread and also from a
/// child process that this program started as a copy of itself: for a failure that leaves nothing
/// to do, where no error can be returned.
///
/// ```no_run
/// let cannot = |error| util::fail(format_args!("cannot read a: {error}"));
/// let file = std::fs::read("a").unwrap_or_else(cannot);
/// ```
pub fn fail(message: impl fmt::Display) -> ! {
    crate::eprintln!("error: {message}");
    end(sys::REPORTED, "")
}

/// Ends the program at once. Not by `exit`: that would flush standard output, whose buffer this
/// thread may be using.
fn cannot_print(error: &str, code: Option<i32>) -> ! {
    end(code.unwrap_or_default(), &format!("{FAILED}: {error}\n"))
}

/// Ends the program, or the one that this process is a child of, which then prints the line if it
/// is about its output.
pub(crate) fn end(code: i32, line: &str) -> ! {
    scratch::remove_all();
    sys::stop_writing(code, line);
    loop {
        thread::park(); // another thread is ending the process
    }
}
