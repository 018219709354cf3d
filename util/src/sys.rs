//! The few C functions that `std` does not offer: a clock that all processes share, what the kernel counted for this
//! one, how wide the terminal is, and two ways to end at once.
//!
//! `std` links the C library anyway; declaring them here spares every case a dependency.
//! The layouts are those of 64-bit Linux, which `lib.rs` insists on.
#![allow(unsafe_code)]

use std::{
    ffi::{c_int, c_long, c_ulong, c_ushort},
    os::fd::{AsRawFd, BorrowedFd},
    time::Duration,
};

#[repr(C)]
#[derive(Default)]
struct Timespec {
    seconds: c_long,
    nanoseconds: c_long,
}

#[repr(C)]
#[derive(Default)]
struct Rusage {
    user: [c_long; 2], // seconds, microseconds
    system: [c_long; 2],
    unused: [c_long; 12],
    voluntary_switches: c_long,
    involuntary_switches: c_long,
}

#[repr(C)]
#[derive(Default)]
struct WindowSize {
    rows: c_ushort,
    columns: c_ushort,
    pixels: [c_ushort; 2],
}

unsafe extern "C" {
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn getrusage(who: c_int, usage: *mut Rusage) -> c_int;
    fn ioctl(descriptor: c_int, request: c_ulong, ...) -> c_int;
    // With `usize` for the handler, as `SIG_DFL` is a number and not a function.
    safe fn signal(signal: c_int, handler: usize) -> usize;
    safe fn getpid() -> c_int;
    safe fn kill(process: c_int, signal: c_int) -> c_int;
    safe fn _exit(status: c_int) -> !;
}

/// The error of a write to a pipe or socket whose reader is gone.
pub(crate) const EPIPE: c_int = 32;
const SIGPIPE: c_int = 13;
const SIG_DFL: usize = 0;

const CLOCK_MONOTONIC: c_int = 1;
const RUSAGE_SELF: c_int = 0;
const RUSAGE_THREAD: c_int = 1;
const RUSAGE_CHILDREN: c_int = -1;
const TIOCGWINSZ: c_ulong = 0x5413;

/// Nanoseconds since the machine started: the same clock in every process.
pub(crate) fn monotonic_nanoseconds() -> u64 {
    let mut time = Timespec::default();
    // SAFETY: `time` is a valid, exclusively borrowed `struct timespec`.
    let status = unsafe { clock_gettime(CLOCK_MONOTONIC, &mut time) };
    assert_eq!(status, 0, "Linux always has CLOCK_MONOTONIC");
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

/// Whose time and switches the kernel is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    /// All threads of this process.
    Process,
    /// The thread that asks.
    Thread,
    /// The children of this process that have ended and been waited for, with theirs.
    Children,
}

/// What the kernel counted so far: CPU time, voluntary and involuntary context switches.
pub(crate) fn usage(who: Who) -> (Duration, u64, u64) {
    let who = match who {
        Who::Process => RUSAGE_SELF,
        Who::Thread => RUSAGE_THREAD,
        Who::Children => RUSAGE_CHILDREN,
    };
    let mut usage = Rusage::default();
    // SAFETY: `usage` is a valid, exclusively borrowed `struct rusage`.
    let status = unsafe { getrusage(who, &mut usage) };
    assert_eq!(status, 0, "Linux answers all three");
    let seconds = (usage.user[0] + usage.system[0]) as u64;
    let microseconds = (usage.user[1] + usage.system[1]) as u64;
    (
        Duration::from_secs(seconds) + Duration::from_micros(microseconds),
        usage.voluntary_switches as u64,
        usage.involuntary_switches as u64,
    )
}

/// The width in columns of the terminal behind `descriptor`, if it is one that says so.
pub(crate) fn terminal_columns(descriptor: BorrowedFd) -> Option<usize> {
    let mut size = WindowSize::default();
    // SAFETY: TIOCGWINSZ writes one `struct winsize`, which `size` is; the descriptor is open.
    let status = unsafe { ioctl(descriptor.as_raw_fd(), TIOCGWINSZ, &mut size) };
    (status == 0 && size.columns > 0).then_some(size.columns.into())
}

/// Ends this process with `status`, without flushing a buffer or running a handler.
pub(crate) fn exit_now(status: c_int) -> ! {
    _exit(status)
}

/// Ends this process as `SIGPIPE` ends one that does not ignore it.
pub(crate) fn die_of_sigpipe() -> ! {
    signal(SIGPIPE, SIG_DFL);
    kill(getpid(), SIGPIPE);
    _exit(128 + SIGPIPE) // not reached, unless the signal is blocked: what a shell reports for it
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on() {
        let before = monotonic_nanoseconds();
        std::thread::sleep(Duration::from_millis(1));
        assert!(monotonic_nanoseconds() >= before + 1_000_000);
    }

    #[test]
    fn sleeping_is_a_voluntary_switch() {
        for who in [Who::Process, Who::Thread] {
            let (_, before, _) = usage(who);
            std::thread::sleep(Duration::from_millis(1));
            let (cpu, after, _) = usage(who);
            assert!(after > before);
            assert!(cpu > Duration::ZERO);
        }
    }
}
