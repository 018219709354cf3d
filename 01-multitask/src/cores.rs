//! The cores this program may run on, and keeping a piece of work on some of them.

use std::io;

#[cfg(not(target_os = "linux"))]
use elsewhere as system;
#[cfg(target_os = "linux")]
use linux as system;

/// The numbers of the cores that this thread may run on, the lowest first. There is always one.
/// On another system than Linux, as many numbers as it says that there are cores.
///
/// # Errors
///
/// If the system does not say, or Linux has more cores than `CpuSet` has room for (1024).
///
/// ```
/// assert!(!multitask::cores::allowed()?.is_empty());
/// # std::io::Result::Ok(())
/// ```
pub fn allowed() -> io::Result<Vec<usize>> {
    system::allowed()
}

/// Runs `work` on `cores` only: this thread, and every thread that is started meanwhile, since a
/// thread begins with the cores of the one that started it. Afterwards this thread may run where it
/// might before.
///
/// # Errors
///
/// If this program may run on none of them. On another system than Linux always: its kind is
/// [`Unsupported`](io::ErrorKind::Unsupported).
///
/// ```
/// use multitask::cores;
///
/// # if !cfg!(target_os = "linux") { return Ok(()) }
/// let first = cores::allowed()?[0];
/// assert_eq!(cores::on(&[first], || cores::allowed().unwrap())?, [first]);
/// # std::io::Result::Ok(())
/// ```
pub fn on<T>(cores: &[usize], work: impl FnOnce() -> T) -> io::Result<T> {
    system::on(cores, work)
}

#[cfg(target_os = "linux")]
mod linux {
    use nix::{
        sched::{CpuSet, sched_getaffinity, sched_setaffinity},
        unistd::Pid,
    };
    use std::io;

    const THIS_THREAD: Pid = Pid::from_raw(0);

    pub(super) fn allowed() -> io::Result<Vec<usize>> {
        let set = sched_getaffinity(THIS_THREAD)?;
        Ok((0..CpuSet::count()).filter(|core| set.is_set(*core) == Ok(true)).collect())
    }

    pub(super) fn on<T>(cores: &[usize], work: impl FnOnce() -> T) -> io::Result<T> {
        struct Restore(CpuSet);
        impl Drop for Restore {
            fn drop(&mut self) {
                // It was allowed before. If no longer (somebody changed it), the kernel decides.
                let _ = sched_setaffinity(THIS_THREAD, &self.0);
            }
        }
        let mut set = CpuSet::new();
        for core in cores {
            set.set(*core)?;
        }
        let before = Restore(sched_getaffinity(THIS_THREAD)?);
        sched_setaffinity(THIS_THREAD, &set)?;
        let result = work();
        drop(before);
        Ok(result)
    }
}

/// macOS has no way to keep a thread on a core, and Windows is not worth one of its own.
#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::{io, thread};

    pub(super) fn allowed() -> io::Result<Vec<usize>> {
        Ok((0..thread::available_parallelism()?.get()).collect())
    }

    pub(super) fn on<T>(_: &[usize], _: impl FnOnce() -> T) -> io::Result<T> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux keeps a thread on some cores"))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use nix::sched::CpuSet;
    use std::thread;

    #[test]
    fn threads_started_meanwhile_stay_there_and_it_is_over_afterwards() {
        let all = allowed().unwrap();
        let last = *all.last().unwrap();
        let inside = on(&[last], || thread::spawn(allowed).join().unwrap().unwrap()).unwrap();
        assert_eq!(inside, [last]);
        assert_eq!(allowed().unwrap(), all);
    }

    #[test]
    fn it_is_over_after_a_panic_too() {
        let all = allowed().unwrap();
        assert!(std::panic::catch_unwind(|| on(&all[..1], || panic!("on purpose"))).is_err());
        assert_eq!(allowed().unwrap(), all);
    }

    #[test]
    fn no_core_and_no_such_core_are_errors() {
        for none in [&[][..], &[CpuSet::count() - 1], &[CpuSet::count()]] {
            if !allowed().unwrap().iter().any(|core| none.contains(core)) {
                assert_eq!(on(none, || ()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            }
        }
    }
}
