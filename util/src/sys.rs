//! The few C functions that `std` has no word for: a clock that all processes share, what the
//! kernel counted for this one, how wide the terminal is, a file in memory, and a child that ends
//! with its parent.
//!
//! `std` links the C library anyway; declaring them here spares every case a dependency.
//! The layouts are those of 64-bit Linux, which `lib.rs` insists on.
#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_ushort},
    fs::File,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
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
    fn memfd_create(name: *const c_char, flags: c_uint) -> c_int;
    fn prctl(option: c_int, ...) -> c_int;
}

const CLOCK_MONOTONIC: c_int = 1;
const RUSAGE_SELF: c_int = 0;
const RUSAGE_THREAD: c_int = 1;
const RUSAGE_CHILDREN: c_int = -1;
const TIOCGWINSZ: c_ulong = 0x5413;
const MFD_CLOEXEC: c_uint = 1;
const PR_SET_PDEATHSIG: c_int = 1;
const SIGKILL: c_ulong = 9;

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

/// An empty file in memory, which is gone with the last process that has it open. `name` is shown
/// in `/proc`.
pub(crate) fn memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: `name` ends with a zero.
    let descriptor = unsafe { memfd_create(name.as_ptr(), MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was opened just now, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }.into())
}

/// Has the kernel kill this process when the thread that started it ends.
pub(crate) fn die_with_parent() {
    // SAFETY: this option takes a signal and touches no memory.
    unsafe { prctl(PR_SET_PDEATHSIG, SIGKILL) };
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
