//! `SIGPIPE`: how a program ends whose standard output cannot be written, and how its processes
//! tell each other.
//!
//! # Invariants
//!
//! - The handler calls only what POSIX allows in one: `getpid`, `write`, `signal`, `kill`, `_exit`.
//!   It allocates nothing and takes no lock.
//! - The layouts of `Action` and `Info` are those of glibc and musl on 64-bit Linux, except on the
//!   three machines that are refused below.
#![allow(unsafe_code)]

#[cfg(any(target_arch = "mips64", target_arch = "s390x", target_arch = "sparc64"))]
compile_error!("`struct sigaction` has another layout on this machine");

use std::{
    ffi::{c_int, c_ulong, c_void},
    fmt::Write,
    fs, iter,
    os::unix::process::parent_id,
    path::PathBuf,
    process, ptr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use crate::sys::{FAILED, REPORTED};

/// The error of a write to a pipe or socket whose reader is gone.
const EPIPE: c_int = 32;
const SIGPIPE: c_int = 13;
pub(super) const SIG_DFL: usize = 0;
const SI_USER: c_int = 0; // sent by `kill`, or by the kernel for a write of this process
const SI_QUEUE: c_int = -1; // sent by `sigqueue`
pub(super) const SA_SIGINFO: c_int = 4;
pub(super) const SA_ONSTACK: c_int = 0x0800_0000;
pub(super) const SA_RESTART: c_int = 0x1000_0000;
const SA_NODEFER: c_int = 0x4000_0000; // so the handler can end this process by the same signal

#[repr(C)]
pub(super) struct Action {
    /// The address of a function, or [`SIG_DFL`]. With [`SA_SIGINFO`] the function is called with
    /// the signal, an [`Info`] and a context.
    pub handler: usize,
    pub mask: [c_ulong; 16],
    pub flags: c_int,
    pub restorer: usize,
}

#[repr(C)]
pub(super) struct Info {
    signal: c_int,
    error: c_int,
    code: c_int,
    padding: c_int,
    /// The process that sent it.
    process: c_int,
    user: c_int,
    /// What `sigqueue` was given: a `union` of a pointer and this.
    value: c_int,
}

unsafe extern "C" {
    pub(super) fn sigaction(signal: c_int, action: *const Action, old: *mut Action) -> c_int;
    fn write(descriptor: c_int, bytes: *const u8, count: usize) -> isize;
    // With `usize` for the handler, as `SIG_DFL` is a number and not a function.
    pub(super) safe fn signal(signal: c_int, handler: usize) -> usize;
    // The value is a `union` as large as a pointer, which is passed like a number.
    safe fn sigqueue(process: c_int, signal: c_int, value: usize) -> c_int;
    pub(super) safe fn getpid() -> c_int;
    pub(super) safe fn kill(process: c_int, signal: c_int) -> c_int;
    safe fn _exit(status: c_int) -> !;
}

/// Has [`tell`] of another process end this one. A write of this process to a pipe or socket
/// without a reader stays an error.
pub(crate) fn listen() {
    let action = Action {
        handler: handler as *const () as usize,
        mask: [0; 16],
        flags: SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER,
        restorer: 0,
    };
    // SAFETY: `action` is a valid `struct sigaction`, and `handler` keeps to the rules above. The
    // null pointer is allowed.
    let status = unsafe { sigaction(SIGPIPE, &action, ptr::null_mut()) };
    assert_eq!(status, 0, "SIGPIPE can be handled");
}

extern "C" fn handler(_: c_int, info: *const Info, _: *mut c_void) {
    // SAFETY: with `SA_SIGINFO` the kernel passes a valid `siginfo_t`, which begins like `Info`.
    let info = unsafe { &*info };
    match info.code {
        SI_QUEUE => end(info.value, None),
        SI_USER if info.process == getpid() => {} // the write returns `EPIPE`
        _ => die_of_sigpipe(),                    // `kill -PIPE`, as to any other program
    }
}

/// Ends this process after a failed write to standard output, or the one that it is a child of,
/// which then prints the line if it is about its output. Returns only if that is under way already.
pub(crate) fn stop_writing(code: c_int, line: &str) {
    match first_process() {
        Some(first) => tell(first, code),
        None => end(code, Some(line)),
    }
}

/// The farthest ancestor in an unbroken line that runs this program and has this standard output;
/// `None`, if the parent does not.
fn first_process() -> Option<u32> {
    let of = |process: u32| -> Option<[PathBuf; 2]> {
        let link = |name| fs::read_link(format!("/proc/{process}/{name}")).ok();
        Some([link("exe")?, link("fd/1")?])
    };
    let own = of(process::id())?;
    let parent_of = |process: &u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    iter::successors(Some(parent_id()), parent_of)
        .take_while(|id| of(*id).as_ref() == Some(&own))
        .last()
}

/// Tells `process` of a failed write to standard output, which ends it. Its children end with it;
/// this one does at the latest in a moment.
fn tell(process: u32, code: c_int) -> ! {
    sigqueue(process as c_int, SIGPIPE, code as usize);
    std::thread::sleep(Duration::from_secs(1));
    if code == EPIPE { die_of_sigpipe() } else { _exit(1) }
}

/// Ends this process after a failed write to standard output, with a line on standard error, which
/// is made from the `code` if there is none. Does nothing if that is under way already, in another
/// thread or in this one before a signal.
fn end(code: c_int, line: Option<&str>) {
    static UNDER_WAY: AtomicBool = AtomicBool::new(false);
    if UNDER_WAY.swap(true, Relaxed) {
        return;
    }
    match code {
        EPIPE => die_of_sigpipe(),
        REPORTED => _exit(1),
        _ => {}
    }
    let mut made = Line { bytes: [0; 128], length: 0 };
    let line = line.map_or_else(
        || {
            let _ = made.write_fmt(format_args!("{FAILED}: {} (os error {code})\n", text(code)));
            &made.bytes[..made.length]
        },
        str::as_bytes,
    );
    // SAFETY: the bytes are valid for the call. If standard error cannot be written either, nobody
    // is told.
    unsafe { write(2, line.as_ptr(), line.len()) };
    _exit(1)
}

/// What `std` would say, which allocates: the errors that a write to a file can have.
fn text(code: c_int) -> &'static str {
    match code {
        5 => "Input/output error",
        27 => "File too large",
        28 => "No space left on device",
        122 => "Disk quota exceeded",
        _ => "it failed",
    }
}

struct Line {
    bytes: [u8; 128],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Ends this process as `SIGPIPE` ends one that does not handle it.
fn die_of_sigpipe() -> ! {
    signal(SIGPIPE, SIG_DFL);
    kill(getpid(), SIGPIPE);
    _exit(128 + SIGPIPE) // if the signal is blocked: what a shell reports for it
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_texts_are_those_of_std() {
        for code in [5, 27, 28, 122] {
            let ours = format!("{} (os error {code})", text(code));
            assert_eq!(ours, std::io::Error::from_raw_os_error(code).to_string());
        }
    }
}
