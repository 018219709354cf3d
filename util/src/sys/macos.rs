//! macOS: the C library, and what it says of processes in `libproc.h`.
#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_int, c_void},
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    mem::{self, MaybeUninit},
    os::unix::{fs::DirBuilderExt, process::parent_id},
    path::Path,
    process, ptr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use super::{REPORTED, Usage, Who};

/// Nanoseconds since the machine started, without those in which it slept: the same clock in every
/// process, and the one of `Instant`.
pub(crate) fn monotonic_nanoseconds() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` is valid for a `struct timespec`, which a call that succeeds has written.
    let time = unsafe {
        let status = libc::clock_gettime(libc::CLOCK_UPTIME_RAW, time.as_mut_ptr());
        assert_eq!(status, 0, "macOS always has CLOCK_UPTIME_RAW");
        time.assume_init()
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What the kernel counted so far. It does not tell voluntary switches from others reliably, and
/// counts nothing for one thread here.
pub(crate) fn usage(who: Who) -> Option<Usage> {
    let who = match who {
        Who::Process => libc::RUSAGE_SELF,
        Who::Children => libc::RUSAGE_CHILDREN,
        Who::Thread => return None,
    };
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: `usage` is valid for a `struct rusage`, which a call that succeeds has written.
    let usage = unsafe {
        let status = libc::getrusage(who, usage.as_mut_ptr());
        assert_eq!(status, 0, "macOS answers both");
        usage.assume_init()
    };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    Some(Usage { cpu: time(usage.ru_utime) + time(usage.ru_stime), switches: None })
}

/// The physical footprint in bytes of process `id`.
pub(crate) fn memory(id: u32) -> io::Result<u64> {
    let mut info = MaybeUninit::<libc::rusage_info_v0>::zeroed();
    // SAFETY: `info` is valid for what this flavor writes; its numbers may be zero.
    let (status, info) = unsafe {
        let place = info.as_mut_ptr().cast::<libc::rusage_info_t>();
        let status = libc::proc_pid_rusage(id as c_int, libc::RUSAGE_INFO_V0, place);
        (status, info.assume_init())
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(info.ri_phys_footprint)
}

/// The flavor of `proc_pidinfo` that lists the handles of a process's threads, the oldest first.
const PROC_PIDLISTTHREADS: c_int = 6;

/// The names of the threads of this process that are alive, the oldest first.
pub(crate) fn alive() -> io::Result<Vec<String>> {
    let mut handles = vec![0_u64; 64];
    loop {
        // SAFETY: the place has that many bytes, any of which make a number.
        let written = unsafe {
            libc::proc_pidinfo(
                libc::getpid(),
                PROC_PIDLISTTHREADS,
                0,
                handles.as_mut_ptr().cast(),
                mem::size_of_val(&handles[..]) as c_int,
            )
        };
        if written <= 0 {
            return Err(io::Error::last_os_error());
        }
        let count = written as usize / size_of::<u64>();
        if count < handles.len() {
            handles.truncate(count);
            break;
        }
        handles.resize(2 * count, 0); // there may be more
    }
    let mut names: Vec<String> = handles.into_iter().filter_map(name).collect();
    if let Some(first) = names.first_mut() {
        *first = "main".into();
    }
    Ok(names)
}

/// The name of a thread of this process; `None`, if it has ended.
fn name(handle: u64) -> Option<String> {
    let mut info = MaybeUninit::<libc::proc_threadinfo>::zeroed();
    let size = size_of::<libc::proc_threadinfo>() as c_int;
    // SAFETY: `info` has `size` bytes, all of them numbers that may be zero.
    let (written, info) = unsafe {
        let place = info.as_mut_ptr().cast::<c_void>();
        let flavor = libc::PROC_PIDTHREADINFO;
        let written = libc::proc_pidinfo(libc::getpid(), flavor, handle, place, size);
        (written, info.assume_init())
    };
    let name = info.pth_name.map(|byte| byte as u8);
    let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
    (written == size).then(|| name.to_string_lossy().into_owned())
}

/// The kernel's number for the calling thread.
pub(crate) fn thread_id() -> io::Result<u64> {
    let mut id = 0;
    // SAFETY: 0 stands for the calling thread; `id` is a valid number.
    match unsafe { libc::pthread_threadid_np(0, &mut id) } {
        0 => Ok(id),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// The number of the process that started this one.
pub(crate) fn parent() -> io::Result<u32> {
    Ok(parent_id())
}

/// The width in columns of the terminal that is standard error, if it is one that says so.
pub(crate) fn terminal_columns() -> Option<usize> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: TIOCGWINSZ writes one `struct winsize`, whose numbers may be zero.
    let (status, size) = unsafe {
        let status = libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr());
        (status, size.assume_init())
    };
    (status == 0 && size.ws_col > 0).then_some(size.ws_col.into())
}

/// Ends this process when `parent`, which started it, ends.
pub(crate) fn follow(parent: u32) {
    if parent_id() != parent {
        return;
    }
    // SAFETY: both structures are valid for the calls; the queue is open, and stays so.
    unsafe {
        let queue = libc::kqueue();
        let wanted = libc::kevent {
            ident: parent as usize,
            filter: libc::EVFILT_PROC,
            flags: libc::EV_ADD,
            fflags: libc::NOTE_EXIT,
            data: 0,
            udata: ptr::null_mut(),
        };
        let status = libc::kevent(queue, &wanted, 1, ptr::null_mut(), 0, ptr::null());
        if status < 0 || parent_id() != parent {
            process::exit(1); // it has ended just now
        }
        thread::spawn(move || {
            let mut event = MaybeUninit::<libc::kevent>::uninit();
            while libc::kevent(queue, ptr::null(), 0, event.as_mut_ptr(), 1, ptr::null()) < 1 {}
            libc::_exit(1)
        });
    }
}

/// Ends this process after a failed write to standard output. Returns only if that is under way
/// already, in another thread.
pub(crate) fn stop_writing(code: i32, line: &str) {
    static UNDER_WAY: AtomicBool = AtomicBool::new(false);
    if UNDER_WAY.swap(true, Relaxed) {
        return;
    }
    // SAFETY: none of these touches memory but `write`, for which the bytes are valid. If standard
    // error cannot be written either, nobody is told.
    unsafe {
        if code == libc::EPIPE {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            libc::raise(libc::SIGPIPE);
            libc::_exit(128 + libc::SIGPIPE); // if the signal is blocked
        }
        if code != REPORTED {
            libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len());
        }
        libc::_exit(1)
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
pub(crate) const NO_MORE_THREADS: i32 = libc::EAGAIN;

/// The errors of a system that has no more of something.
pub(crate) const EXHAUSTED: &[i32] =
    &[libc::EAGAIN, libc::ENOMEM, libc::ENFILE, libc::EMFILE, libc::ENOSPC];
