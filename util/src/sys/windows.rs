//! Windows: the functions of the system.
#![allow(unsafe_code)]

use std::{
    fs::{self, File, OpenOptions},
    io,
    mem::MaybeUninit,
    os::windows::{
        fs::OpenOptionsExt,
        io::{AsRawHandle, FromRawHandle, OwnedHandle},
    },
    path::Path,
    process, ptr, slice,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use windows_sys::Win32::{
    Foundation::{
        ERROR_BROKEN_PIPE, ERROR_COMMITMENT_LIMIT, ERROR_DISK_FULL, ERROR_MAX_THRDS_REACHED,
        ERROR_NO_DATA, ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, ERROR_TOO_MANY_OPEN_FILES,
        FILETIME, HANDLE, INVALID_HANDLE_VALUE, LocalFree, WAIT_OBJECT_0,
    },
    Storage::FileSystem::{FILE_FLAG_DELETE_ON_CLOSE, SYNCHRONIZE},
    System::{
        Console::{
            CONSOLE_SCREEN_BUFFER_INFO, GetConsoleScreenBufferInfo, GetStdHandle, STD_ERROR_HANDLE,
        },
        Diagnostics::ToolHelp::{
            CreateToolhelp32Snapshot, PROCESSENTRY32, Process32First, Process32Next,
            TH32CS_SNAPPROCESS, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
        },
        Performance::{QueryPerformanceCounter, QueryPerformanceFrequency},
        ProcessStatus::{
            GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS, PROCESS_MEMORY_COUNTERS_EX,
        },
        Threading::{
            GetCurrentProcess, GetCurrentThread, GetCurrentThreadId, GetProcessTimes,
            GetThreadDescription, GetThreadTimes, INFINITE, OpenProcess, OpenThread,
            PROCESS_QUERY_LIMITED_INFORMATION, THREAD_QUERY_LIMITED_INFORMATION,
            THREAD_SYNCHRONIZE, TerminateProcess, WaitForSingleObject,
        },
    },
};

use super::{REPORTED, Usage, Who};
use crate::eprintln;

/// Nanoseconds since the machine started: the same clock in every process, and the one of
/// `Instant`.
pub(crate) fn monotonic_nanoseconds() -> u64 {
    static FREQUENCY: OnceLock<i64> = OnceLock::new();
    let frequency = FREQUENCY.get_or_init(|| {
        let mut frequency = 0;
        // SAFETY: the number is valid. It cannot fail.
        unsafe { QueryPerformanceFrequency(&mut frequency) };
        frequency
    });
    let mut count = 0;
    // SAFETY: as above.
    unsafe { QueryPerformanceCounter(&mut count) };
    (i128::from(count) * 1_000_000_000 / i128::from(*frequency)) as u64
}

/// What the kernel counted so far: the CPU time.
pub(crate) fn usage(who: Who) -> Option<Usage> {
    let [_, _, kernel, user] = match who {
        // SAFETY: it is the handle of this process.
        Who::Process => {
            times(|[a, b, c, d]| unsafe { GetProcessTimes(GetCurrentProcess(), a, b, c, d) })?
        }
        // SAFETY: it is the handle of this thread.
        Who::Thread => {
            times(|[a, b, c, d]| unsafe { GetThreadTimes(GetCurrentThread(), a, b, c, d) })?
        }
        Who::Children => return None,
    };
    let cpu = Duration::from_nanos(100 * (kernel + user));
    Some(Usage { cpu, switches: None })
}

/// When something was created and ended, and how long it ran in the kernel and as a user, as `ask`
/// says, in units of 100 ns.
fn times(ask: impl FnOnce([&mut FILETIME; 4]) -> i32) -> Option<[u64; 4]> {
    let mut times = [FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 }; 4];
    (ask(times.each_mut()) != 0).then(|| {
        times.map(|time| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime))
    })
}

/// A handle that is closed when it is dropped, or the error of the function that gave none.
fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was opened just now, and nobody else has it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// The private bytes of process `id`.
pub(crate) fn memory(id: u32) -> io::Result<u64> {
    // SAFETY: it touches no memory.
    let process = owned(unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, id) })?;
    let size = size_of::<PROCESS_MEMORY_COUNTERS_EX>() as u32;
    let mut counters = PROCESS_MEMORY_COUNTERS_EX { cb: size, ..Default::default() };
    let place = (&raw mut counters).cast::<PROCESS_MEMORY_COUNTERS>();
    // SAFETY: the handle is open; the place has `size` bytes.
    if unsafe { GetProcessMemoryInfo(process.as_raw_handle(), place, size) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // The same figure by its two names: before Windows 8 the second was zero, in Wine the first is.
    Ok(counters.PrivateUsage.max(counters.PagefileUsage) as u64)
}

/// The names of the threads of this process that are alive, the oldest first.
pub(crate) fn alive() -> io::Result<Vec<String>> {
    // SAFETY: it touches no memory.
    let all = owned(unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) })?;
    let size = size_of::<THREADENTRY32>() as u32;
    let mut entry = THREADENTRY32 { dwSize: size, ..Default::default() };
    let mut found = Vec::new();
    // SAFETY: the handle is open; the entry is valid, and says its size.
    let mut more = unsafe { Thread32First(all.as_raw_handle(), &mut entry) };
    while more != 0 {
        if entry.th32OwnerProcessID == process::id() {
            found.extend(thread_of(entry.th32ThreadID));
        }
        // SAFETY: as above.
        more = unsafe { Thread32Next(all.as_raw_handle(), &mut entry) };
    }
    found.sort();
    let mut names: Vec<String> = found.into_iter().map(|(_, _, name)| name).collect();
    if let Some(first) = names.first_mut() {
        *first = "main".into();
    }
    Ok(names)
}

/// When a thread began, its number and its name; `None`, if it has ended.
fn thread_of(id: u32) -> Option<(u64, u32, String)> {
    let access = THREAD_QUERY_LIMITED_INFORMATION | THREAD_SYNCHRONIZE;
    // SAFETY: it touches no memory.
    let thread = owned(unsafe { OpenThread(access, 0, id) }).ok()?;
    let thread = thread.as_raw_handle();
    // SAFETY: the handle is open.
    if unsafe { WaitForSingleObject(thread, 0) } == WAIT_OBJECT_0 {
        return None; // it has ended, and is in the list as long as a handle is open
    }
    // SAFETY: as above.
    let [begun, ..] = times(|[a, b, c, d]| unsafe { GetThreadTimes(thread, a, b, c, d) })?;
    let mut text = ptr::null_mut();
    // SAFETY: the handle is open. A call that succeeds leaves a text that ends with a zero and is
    // ours to free.
    let name = unsafe {
        if GetThreadDescription(thread, &mut text) < 0 {
            return Some((begun, id, String::new()));
        }
        let length = (0..).take_while(|place| *text.add(*place) != 0).count();
        let name = String::from_utf16_lossy(slice::from_raw_parts(text, length));
        LocalFree(text.cast());
        name
    };
    Some((begun, id, name))
}

/// The system's number for the calling thread.
pub(crate) fn thread_id() -> io::Result<u64> {
    // SAFETY: it touches no memory.
    Ok(unsafe { GetCurrentThreadId() }.into())
}

/// The number of the process that started this one.
pub(crate) fn parent() -> io::Result<u32> {
    // SAFETY: it touches no memory.
    let all = owned(unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) })?;
    let mut entry = MaybeUninit::<PROCESSENTRY32>::zeroed();
    // SAFETY: the handle is open; the entry, whose numbers may be zero, says its size.
    unsafe {
        (*entry.as_mut_ptr()).dwSize = size_of::<PROCESSENTRY32>() as u32;
        let mut entry = entry.assume_init();
        let mut more = Process32First(all.as_raw_handle(), &mut entry);
        while more != 0 {
            if entry.th32ProcessID == process::id() {
                return Ok(entry.th32ParentProcessID);
            }
            more = Process32Next(all.as_raw_handle(), &mut entry);
        }
    }
    Err(io::Error::other("the system does not list this process"))
}

/// The width in columns of the terminal that is standard error, if it is one that says so.
pub(crate) fn terminal_columns() -> Option<usize> {
    let mut info = MaybeUninit::<CONSOLE_SCREEN_BUFFER_INFO>::zeroed();
    // SAFETY: `info` is valid, and its numbers may be zero; what is no console is an error.
    let info = unsafe {
        let terminal = GetStdHandle(STD_ERROR_HANDLE);
        if GetConsoleScreenBufferInfo(terminal, info.as_mut_ptr()) == 0 {
            return None;
        }
        info.assume_init()
    };
    let columns = i32::from(info.srWindow.Right) - i32::from(info.srWindow.Left) + 1;
    usize::try_from(columns).ok().filter(|columns| *columns > 0)
}

/// Ends this process when process `parent`, which started it, ends.
pub(crate) fn follow(parent: u32) {
    // SAFETY: it touches no memory.
    let Ok(parent) = owned(unsafe { OpenProcess(SYNCHRONIZE, 0, parent) }) else {
        process::exit(1) // it has ended
    };
    thread::spawn(move || {
        // SAFETY: the handle is open.
        unsafe { WaitForSingleObject(parent.as_raw_handle(), INFINITE) };
        end()
    });
}

/// Ends this process at once, with status 1.
fn end() -> ! {
    // SAFETY: it is the handle of this process, of which nothing is left afterwards.
    unsafe { TerminateProcess(GetCurrentProcess(), 1) };
    unreachable!("a process can end itself")
}

/// Ends this process after a failed write to standard output. Returns only if that is under way
/// already, in another thread.
pub(crate) fn stop_writing(code: i32, line: &str) {
    static UNDER_WAY: AtomicBool = AtomicBool::new(false);
    if UNDER_WAY.swap(true, Relaxed) {
        return;
    }
    let is_reader_gone = [ERROR_BROKEN_PIPE, ERROR_NO_DATA].contains(&(code as u32));
    if !is_reader_gone && code != REPORTED {
        eprintln!("{}", line.trim_end());
    }
    end()
}

/// Creates a directory. The one for temporary files is this user's own.
pub(crate) fn private_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// Opens a new file for reading and writing, which is gone when it is closed.
pub(crate) fn unnamed_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create_new(true).read(true).write(true).custom_flags(FILE_FLAG_DELETE_ON_CLOSE);
    options.open(path)
}

/// What the system says if there may be no more threads.
pub(crate) const NO_MORE_THREADS: i32 = ERROR_MAX_THRDS_REACHED as i32;

/// The errors of a system that has no more of something.
pub(crate) const EXHAUSTED: &[i32] = &[
    ERROR_TOO_MANY_OPEN_FILES as i32,
    ERROR_NOT_ENOUGH_MEMORY as i32,
    ERROR_OUTOFMEMORY as i32,
    ERROR_DISK_FULL as i32,
    NO_MORE_THREADS,
    ERROR_COMMITMENT_LIMIT as i32,
];
