//! What `std` has no word for, once per operating system, with the same functions in each: a clock
//! that all processes share, what the kernel counted, threads by name, a child that ends with its
//! parent, an output that cannot be written. Whoever calls them needs no `cfg`; what a system does
//! not report is `None`.
//!
//! Linux declares the few functions of the C library that it needs itself, which spares every case
//! a dependency; macOS takes them from `libc`, Windows from `windows-sys`.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
mod os_str;
#[cfg(windows)]
mod windows;

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::*;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;
#[cfg(target_os = "macos")]
pub(crate) use macos::*;
pub(crate) use os_str::strip_prefix;
#[cfg(windows)]
pub(crate) use windows::*;

use std::{fs::File, path::PathBuf, time::Duration};

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

/// What the kernel counted so far.
pub(crate) struct Usage {
    pub cpu: Duration,
    pub switches: Option<crate::counted::Switches>,
}

/// A file to which processes append, and the path at which each of them can open it.
#[derive(Debug)]
pub(crate) struct Record {
    pub file: File,
    pub path: PathBuf,
}

/// No error's number: of a failure whose line is on standard error already.
pub(crate) const REPORTED: i32 = -1;

/// What the line on standard error begins with.
pub(crate) const FAILED: &str = "error: cannot write to standard output";

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
            let Some(before) = usage(who) else { continue };
            std::thread::sleep(Duration::from_millis(1));
            let after = usage(who).expect("it was reported before");
            assert!(after.cpu >= before.cpu);
            if let (Some(before), Some(after)) = (before.switches, after.switches) {
                assert!(after.voluntary > before.voluntary);
            }
        }
        assert!(usage(Who::Process).is_some());
        assert_eq!(
            usage(Who::Thread).is_some_and(|u| u.switches.is_some()),
            cfg!(target_os = "linux")
        );
    }
}
