//! `posix_spawn`: a new process that executes a program, without a `fork`. What happens in between
//! takes no lock of this process and copies none of its memory.
//!
//! # Invariants of the `unsafe` code
//!
//! - [`Actions`] and [`Attributes`] own an object that its `init` function has made, and destroy it
//!   once.
//! - All strings and both lists of pointers, which end with null, live until `posix_spawn` has
//!   returned; it changes none of them (the pointers are to `char` for historical reasons).
//!
//! Source: `posix_spawn(3)`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_short};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::Pid;

/// What is to be executed, and how.
pub(super) struct Program<'a> {
    pub(super) path: &'a CStr,
    pub(super) arguments: &'a [CString],
    pub(super) environment: &'a [CString],
    pub(super) stdin: BorrowedFd<'a>,
    /// Signals whose handling is the default one in the new process. None is blocked there.
    pub(super) default_signals: &'a libc::sigset_t,
    /// Whether the new process leads a process group of its own.
    pub(super) own_process_group: bool,
}

struct Actions(libc::posix_spawn_file_actions_t);

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: made by `init`, and not used any more.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: made by `init`, and not used any more.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// These functions return the error.
fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

/// Pointers to the strings, and null.
fn pointers(strings: &[CString]) -> Vec<*mut c_char> {
    let pointers = strings.iter().map(|string| string.as_ptr().cast_mut());
    pointers.chain([std::ptr::null_mut()]).collect()
}

/// Starts the program.
///
/// # Errors
///
/// What the system says, also when the program cannot be executed; there is no process then.
pub(super) fn posix_spawn(program: &Program<'_>) -> io::Result<Pid> {
    let mut actions = MaybeUninit::uninit();
    // SAFETY: a place for the object, which the call writes.
    check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
    // SAFETY: just written.
    let mut actions = Actions(unsafe { actions.assume_init() });
    // SAFETY: the object is valid; the descriptor is borrowed, so open until this returns.
    check(unsafe {
        libc::posix_spawn_file_actions_adddup2(
            &raw mut actions.0,
            program.stdin.as_raw_fd(),
            libc::STDIN_FILENO,
        )
    })?;

    let mut attributes = MaybeUninit::uninit();
    // SAFETY: a place for the object, which the call writes.
    check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
    // SAFETY: just written.
    let mut attributes = Attributes(unsafe { attributes.assume_init() });
    let mut flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
    if program.own_process_group {
        flags |= libc::POSIX_SPAWN_SETPGROUP; // 0 by default: a new one
    }
    let mut none_blocked = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` writes the whole set; the object is valid, and copies what it is given.
    unsafe {
        libc::sigemptyset(none_blocked.as_mut_ptr());
        check(libc::posix_spawnattr_setsigmask(&raw mut attributes.0, none_blocked.as_ptr()))?;
        check(libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, program.default_signals))?;
        check(libc::posix_spawnattr_setflags(&raw mut attributes.0, flags as c_short))?;
    }

    let (arguments, environment) = (pointers(program.arguments), pointers(program.environment));
    let mut pid = 0;
    // SAFETY: the module's second invariant; both objects are valid.
    check(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            program.path.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    })?;
    Pid::from_raw(pid).ok_or_else(|| io::Error::other("a process without an id"))
}
