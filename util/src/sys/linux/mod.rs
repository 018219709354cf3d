//! Linux: functions of the C library, and `/proc`.
//!
//! `std` links the C library anyway; declaring them here spares every case a dependency.
//! The layouts are those of 64-bit Linux, which `lib.rs` insists on.
#![allow(unsafe_code)]

mod interrupt;
mod kernel;
mod signal;

pub(crate) use interrupt::{start_again, stop, taken};
pub(crate) use kernel::kernel_memory;
pub(crate) use signal::{listen, stop_writing};

use std::{
    env,
    ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_ushort},
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::{
            fs::DirBuilderExt,
            process::{CommandExt, parent_id},
        },
    },
    path::Path,
    process::{self, Command},
    time::Duration,
};

use super::{Record, Usage, Who};
use crate::counted::Switches;

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

/// What the kernel counted so far.
pub(crate) fn usage(who: Who) -> Option<Usage> {
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
    Some(Usage {
        cpu: Duration::from_secs(seconds) + Duration::from_micros(microseconds),
        switches: Some(Switches {
            voluntary: usage.voluntary_switches as u64,
            involuntary: usage.involuntary_switches as u64,
        }),
    })
}

/// The memory in bytes that process `id` has of its own.
pub(crate) fn memory(id: u32) -> io::Result<u64> {
    let path = format!("/proc/{id}/smaps_rollup");
    let report = fs::read_to_string(&path)?;
    let kibibytes = |name: &str| {
        let mut lines = report.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
        let value: Option<u64> = value.and_then(|value| value.parse().ok());
        value.ok_or_else(|| io::Error::other(format!("{path} has no line `{name} … kB`")))
    };
    Ok((kibibytes("Pss_Anon:")? + kibibytes("Pss_Shmem:")?) * 1024)
}

/// The names of the threads of this process that are alive, the oldest first.
pub(crate) fn alive() -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    // The kernel lists the first thread first, and then the others as they began. Their numbers do
    // not: they begin anew when they are used up.
    for task in fs::read_dir("/proc/self/task")? {
        let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else {
            continue; // it ended since the directory was read
        };
        found.extend(living(&stat));
    }
    Ok(found)
}

/// The name in `ID (NAME) STATE …`, the seventh word behind it being the flags. `None` for a thread
/// that has begun to end: `join` can return a moment before the kernel strikes it off its list.
fn living(stat: &str) -> Option<String> {
    const EXITING: u64 = 0x4; // PF_EXITING in the kernel's include/linux/sched.h
    let (id, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let flags: u64 = rest.split(' ').nth(6)?.parse().ok()?;
    let id: u32 = id.parse().ok()?;
    let name = if id == process::id() { "main" } else { name };
    (flags & EXITING == 0).then(|| name.to_owned())
}

/// The kernel's number for the calling thread.
pub(crate) fn thread_id() -> io::Result<u64> {
    let link = fs::read_link("/proc/thread-self")?; // PROCESS/task/THREAD
    let number = link.file_name().map(Path::new).and_then(Path::to_str);
    number.and_then(|n| n.parse().ok()).ok_or_else(|| io::Error::other(format!("{link:?}")))
}

/// The number of the process that started this one.
pub(crate) fn parent() -> io::Result<u32> {
    Ok(parent_id())
}

/// The width in columns of the terminal that is standard error, if it is one that says so.
pub(crate) fn terminal_columns() -> Option<usize> {
    let mut size = WindowSize::default();
    // SAFETY: TIOCGWINSZ writes one `struct winsize`, which `size` is; a descriptor that is not
    // open is an error.
    let status = unsafe { ioctl(io::stderr().as_raw_fd(), TIOCGWINSZ, &mut size) };
    (status == 0 && size.columns > 0).then_some(size.columns.into())
}

/// What the record of a timeline is called in `/proc`.
const RECORD_NAME: &CStr = c"timeline";

/// A file in memory: it is gone with the last process that has it open, however that one ended.
/// Others reach it through this process's descriptor.
pub(crate) fn new_record() -> io::Result<Record> {
    // SAFETY: the name ends with a zero.
    let descriptor = unsafe { memfd_create(RECORD_NAME.as_ptr(), MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was opened just now, and nobody else has it.
    let memory = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    let own = format!("/proc/self/fd/{}", memory.as_raw_fd());
    let file = OpenOptions::new().append(true).read(true).open(own)?; // the same one, to append to
    let path = format!("/proc/{}/fd/{}", process::id(), file.as_raw_fd()).into();
    Ok(Record { file, path })
}

/// Nothing is left to remove: see [`new_record`].
pub(crate) fn remove_record() {}

/// This program, to be started once more.
pub(crate) fn this_program() -> Command {
    // The file may have been replaced or removed since: this is the one that runs.
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = env::args_os().next() {
        command.arg0(name);
    }
    command
}

/// Has the kernel kill this process when the thread that started it ends, which is in process
/// `parent`.
pub(crate) fn follow(parent: u32) {
    if parent_id() == parent {
        // SAFETY: this option takes a signal and touches no memory.
        unsafe { prctl(PR_SET_PDEATHSIG, SIGKILL) };
        if parent_id() != parent {
            process::exit(1); // it has ended just now
        }
    }
}

/// Creates a directory that only this user can read.
pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Opens a new file for reading and writing that has no name from then on.
pub(crate) fn unnamed_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create_new(true).read(true).write(true).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

/// What the system says if there may be no more threads or processes. It does not say of what.
pub(crate) const NO_MORE_THREADS: i32 = 11; // EAGAIN

/// The errors of a system that has no more of something: `EAGAIN` (threads, processes), `ENOMEM`,
/// `ENFILE`, `EMFILE`, `ENOSPC`.
pub(crate) const EXHAUSTED: &[i32] = &[11, 12, 23, 24, 28];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_hold_anything() {
        let stat = |flags: &str| format!("12 (a) (b) S 1 2 3 4 5 {flags} 7 8\n");
        assert_eq!(living(&stat("4194304")), Some("a) (b".into()));
        assert_eq!(living(&stat("4194308")), None, "it is ending");
        assert_eq!(living("nonsense"), None);
    }
}
