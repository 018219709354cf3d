//! Ctrl-C and its like: how a program that draws a timeline still draws it when a signal ends it.
//!
//! A handler may not draw: it must not allocate. It starts this program again in the same process
//! (`execve`), and there [`taken`] says which signal came and hands over the record; the picture is
//! then drawn by ordinary code, and [`Taken::die`] comes last. No thread is needed for it.
//!
//! # Invariants
//!
//! - The handler calls only what POSIX allows in one: `getpid`, `sigaction`, `fcntl`, `execve`,
//!   `signal`, `kill`. It allocates nothing and takes no lock: all it uses is prepared, and is
//!   never freed.
//! - The three signals are blocked while it runs, and stay blocked in the program it starts until
//!   [`Taken::die`]: a second Ctrl-C, or a signal that `timeout` sends twice, does not stop the
//!   drawing.
#![allow(unsafe_code)]

use std::{
    env,
    ffi::{CStr, CString, c_char, c_int, c_ulong, c_void},
    fs::{self, File, OpenOptions},
    os::{
        fd::AsRawFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::Path,
    process, ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::{
    RECORD_NAME, Record,
    signal::{
        Action, Info, SA_ONSTACK, SA_RESTART, SA_SIGINFO, SIG_DFL, getpid, kill, sigaction, signal,
    },
};

unsafe extern "C" {
    fn execve(
        program: *const c_char,
        words: *const *const c_char,
        variables: *const *const c_char,
    ) -> c_int;
    fn fcntl(descriptor: c_int, command: c_int, ...) -> c_int;
    fn pthread_sigmask(how: c_int, new: *const [c_ulong; 16], old: *mut [c_ulong; 16]) -> c_int;
}

/// `SIGHUP`, `SIGINT` and `SIGTERM`: the terminal is gone, Ctrl-C, and `kill`.
const SIGNALS: [c_int; 3] = [1, 2, 15];
/// The same as a `sigset_t`, whose bit 0 stands for signal 1.
const MASK: [c_ulong; 16] = {
    let [hangup, interrupt, terminate] = SIGNALS;
    let mut mask = [0; 16];
    mask[0] = (1 << hangup | 1 << interrupt | 1 << terminate) >> 1;
    mask
};
const F_SETFD: c_int = 2;
const SIG_UNBLOCK: c_int = 1;
const PROGRAM: &CStr = c"/proc/self/exe";

/// `PROCESS DESCRIPTOR SIGNAL`: what the program that was started again is to take up.
const VARIABLE: &str = "TIMELINE_INTERRUPTED";

/// What the handler needs, in memory that is never freed.
struct Prepared {
    process: c_int,
    descriptor: c_int,
    words: Vec<*const c_char>,
    /// The environment for each of the [`SIGNALS`].
    variables: [Vec<*const c_char>; 3],
}

// SAFETY: the pointers lead to constant strings that are never freed.
unsafe impl Send for Prepared {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Prepared {}

static PREPARED: OnceLock<Prepared> = OnceLock::new();

/// From now on, each of the signals that would end this process starts its program again, with the
/// same arguments and with `file` open, for [`taken`]. A signal that is ignored or handled is left
/// alone; so is one that the program handles later, also if that handler calls this one.
pub(crate) fn start_again(file: &File) {
    let (process, descriptor) = (process::id() as c_int, file.as_raw_fd());
    let terminated = |strings: Vec<*const c_char>| {
        strings.into_iter().chain([ptr::null()]).collect::<Vec<*const c_char>>()
    };
    let leak = |bytes: Vec<u8>| {
        let string = CString::new(bytes).expect("the system's strings have no zero inside");
        string.into_raw().cast_const()
    };
    let words = terminated(env::args_os().map(|word| leak(word.into_vec())).collect());
    let inherited: Vec<_> = env::vars_os()
        .filter(|(name, _)| name != VARIABLE)
        .map(|(name, value)| leak([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect();
    let variables = SIGNALS.map(|signal| {
        let added = format!("{VARIABLE}={process} {descriptor} {signal}");
        terminated([&inherited[..], &[leak(added.into_bytes())]].concat())
    });
    if PREPARED.set(Prepared { process, descriptor, words, variables }).is_err() {
        return;
    }
    for signal in SIGNALS {
        if current(signal) == SIG_DFL {
            let action = Action {
                handler: ours(),
                mask: MASK,
                flags: SA_SIGINFO | SA_ONSTACK | SA_RESTART,
                restorer: 0,
            };
            // SAFETY: `action` is a valid `struct sigaction`, and `handler` keeps to the rules
            // above. The null pointer is allowed.
            unsafe { sigaction(signal, &action, ptr::null_mut()) };
        }
    }
}

/// The signals end this process again at once, as far as [`start_again`] had changed that.
pub(crate) fn stop() {
    for number in SIGNALS {
        if current(number) == ours() {
            signal(number, SIG_DFL);
        }
    }
}

fn ours() -> usize {
    handler as *const () as usize
}

/// The handler of `signal`, or what stands for none.
fn current(signal: c_int) -> usize {
    let mut now = Action { handler: SIG_DFL, mask: [0; 16], flags: 0, restorer: 0 };
    // SAFETY: `now` is a valid, exclusively borrowed `struct sigaction`. The null pointer is
    // allowed.
    unsafe { sigaction(signal, ptr::null(), &mut now) };
    now.handler
}

extern "C" fn handler(number: c_int, _: *const Info, _: *mut c_void) {
    static UNDER_WAY: AtomicBool = AtomicBool::new(false);
    if current(number) != ours() {
        return; // called by the handler that took its place, which does what is to be done
    }
    // A fork of this process has another number, and just ends.
    if let Some(prepared) = PREPARED.get()
        && prepared.process == getpid()
        && let Some(index) = SIGNALS.iter().position(|signal| *signal == number)
    {
        if UNDER_WAY.swap(true, Relaxed) {
            return; // in another thread, which `execve` ends
        }
        // SAFETY: the strings and the arrays, which end with a null pointer, are never freed. The
        // descriptor is that of a static; if it were closed, the new program would find none.
        unsafe {
            fcntl(prepared.descriptor, F_SETFD, 0);
            execve(PROGRAM.as_ptr(), prepared.words.as_ptr(), prepared.variables[index].as_ptr());
        }
    }
    signal(number, SIG_DFL);
    kill(getpid(), number); // which arrives when this function returns
}

/// A signal that came to this process, when it ran this program before.
#[derive(Debug)]
pub(crate) struct Taken {
    signal: c_int,
    /// The record that was handed on.
    pub record: Record,
}

/// What [`start_again`] began, if this process was started again by it. The file must be the record
/// of a timeline.
pub(crate) fn taken() -> Option<Taken> {
    let value = env::var(VARIABLE).ok()?;
    let [process, descriptor, signal] = value.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let descriptor: u32 = descriptor.parse().ok()?;
    let signal = signal.parse().ok().filter(|signal| SIGNALS.contains(signal))?;
    let path = format!("/proc/self/fd/{descriptor}");
    let name = format!("/memfd:{} (deleted)", RECORD_NAME.to_str().ok()?);
    let is_that_file = fs::read_link(&path).is_ok_and(|file| file == Path::new(&name));
    if process.parse() != Ok(process::id()) || !is_that_file {
        return None;
    }
    let file = OpenOptions::new().read(true).append(true).open(&path).ok()?;
    Some(Taken { signal, record: Record { file, path: path.into() } })
}

impl Taken {
    /// Ends this process by the signal, as if it had not been handled.
    pub(crate) fn die(self) -> ! {
        signal(self.signal, SIG_DFL);
        kill(getpid(), self.signal);
        // SAFETY: `MASK` is a valid `sigset_t`. The null pointer is allowed.
        unsafe { pthread_sigmask(SIG_UNBLOCK, &MASK, ptr::null_mut()) };
        process::exit(128 + self.signal) // never reached, unless the signal cannot end a process
    }
}
