//! A lock between processes that survives the death of its holder.
//!
//! This is POSIX's process-shared *robust* mutex. The kernel knows which robust mutexes a thread
//! holds (a list whose head the C library registers); when the thread ends in whatever way, at
//! whatever instruction, the kernel marks each of them and wakes the next waiter, at once. The C
//! library also announces the mutex it is about to take or release, so a thread killed just before
//! its lock or just after its unlock passes the wake-up on as well. No process ids are compared
//! (ids are reused, and differ between pid namespaces).
//!
//! One death is not covered. A waiter is woken. Before it takes the lock, a third process takes it,
//! which never slept, and so does not set the mark that there are waiters. Then the woken waiter is
//! killed. The kernel finds the lock in order and wakes no one, and the third process wakes no one
//! when it unlocks: the other waiters would sleep forever. Therefore a waiter polls the lock, and
//! sets the mark again, after each [nap](NAPS). The naps become longer (exponential back-off), so
//! that thousands of waiters cost little.
//!
//! The data that the lock protects must be consistent at every instruction. The next holder repairs
//! nothing.
//!
//! # Invariants of the `unsafe` code
//!
//! - A mutex is used only when its state word says that it was initialized, which happens once; it
//!   is never moved and never destroyed (the memory is given back when nobody maps it).
//! - A [`Guard`] stays on the thread that locked (it is not `Send`) and unlocks there.
//!
//! Source: `pthread_mutexattr_setrobust(3)`; the kernel's
//! `Documentation/locking/robust-futexes.rst` and, on who is woken, `handle_futex_death` in
//! `kernel/futex/core.c`.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::shm::futex;
use crate::shm::mapping::Shared;
use crate::shm::spin;
use crate::sys::sync::Deadline;

/// The first and the longest sleep for the lock, each twice as long as the one before it. A
/// waiter notices the death that the kernel does not report after one nap at the latest.
const NAPS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];

/// In a mutex's state: it is initialized, and probably nobody holds it.
const FREE: u32 = u32::from_ne_bytes(*b"free");
/// In a mutex's state: it is initialized, and probably somebody holds it.
const HELD: u32 = u32::from_ne_bytes(*b"held");
/// In a mutex's state: its initialization has begun.
const BEGUN: u32 = u32::from_ne_bytes(*b"new ");

/// A robust lock that lies in shared memory. It guards an agreement between processes, not a value.
#[repr(C)]
pub(crate) struct RobustMutex {
    /// A mutex of the C library, if `state` says so.
    raw: UnsafeCell<MaybeUninit<libc::pthread_mutex_t>>,
    /// [`FREE`] or [`HELD`] from the initialization on. Which of the two is a hint for those that
    /// spin, and never relied on.
    state: AtomicU32,
}

// SAFETY: a lock is there to be used by many threads; `raw` is reached only through the C library's
// own functions.
unsafe impl Sync for RobustMutex {}
// SAFETY: `repr(C)`. Every bit pattern is a valid value: `raw` may hold anything, and `state` is
// atomic. `raw` is used as a mutex only when `state` says that it is initialized. Memory of a new
// region is zero, which is not such a state, and only `initialize` stores one, after the mutex.
// From then on `raw` is reached only through functions of the C library that are made for memory
// which other processes change; the addresses kept inside are read only by the thread that wrote
// them, its holder. What remains is that a place holds one type: each region has one layout, and
// all processes of a tree run this very program.
unsafe impl Shared for RobustMutex {}

impl RobustMutex {
    /// Makes the lock ready: once, by its creator.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` when that has been done or begun; and what the C library says.
    pub(crate) fn initialize(&self) -> io::Result<()> {
        let begun = self.state.compare_exchange(0, BEGUN, Ordering::Acquire, Ordering::Relaxed);
        begun.map_err(|_| io::ErrorKind::AlreadyExists)?;
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: `attributes` is initialized by the first call, used by the next ones, destroyed
        // by the last. `raw` is memory that nobody else uses: only one caller changes the state
        // from zero, and others use `raw` when it says that the mutex is initialized.
        unsafe {
            check(libc::pthread_mutexattr_init(attributes))?;
            let made =
                check(libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED))
                    .and_then(|()| {
                        check(libc::pthread_mutexattr_setrobust(
                            attributes,
                            libc::PTHREAD_MUTEX_ROBUST,
                        ))
                    })
                    .and_then(|()| check(libc::pthread_mutex_init(self.raw(), attributes)));
            libc::pthread_mutexattr_destroy(attributes);
            made?;
        }
        self.state.store(FREE, Ordering::Release);
        Ok(())
    }

    /// Takes the lock, after a short spin sleeping until its holder releases it or dies.
    pub(crate) fn lock(&self) -> Guard<'_> {
        self.lock_until(None).expect("without a deadline it is taken")
    }

    /// Takes the lock if nobody (alive) holds it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_>> {
        let raw = self.initialized();
        // SAFETY: `raw` is an initialized mutex.
        self.guard(unsafe { libc::pthread_mutex_trylock(raw) })
    }

    /// The C library's mutex. What lies there is not one before the initialization.
    #[inline]
    fn raw(&self) -> *mut libc::pthread_mutex_t {
        self.raw.get().cast()
    }

    /// The C library's mutex, which is initialized.
    ///
    /// # Panics
    ///
    /// When it is not.
    #[inline]
    fn initialized(&self) -> *mut libc::pthread_mutex_t {
        let state = self.state.load(Ordering::Acquire);
        assert!(state == FREE || state == HELD, "the mutex in shared memory is not initialized");
        self.raw()
    }

    /// Takes the lock as [`lock`](Self::lock) does, but gives up at `deadline` (never, if it is
    /// `None`).
    #[inline]
    pub(crate) fn lock_until(&self, deadline: Deadline) -> Option<Guard<'_>> {
        if self.state.load(Ordering::Relaxed) == FREE
            && let Some(guard) = self.try_lock()
        {
            return Some(guard);
        }
        self.lock_late(deadline)
    }

    #[cold]
    fn lock_late(&self, deadline: Deadline) -> Option<Guard<'_>> {
        spin::spin_until(spin::spins() / 8, spin::SOON, || {
            self.state.load(Ordering::Relaxed) == FREE
        });
        let raw = self.initialized();
        let [mut nap, longest] = NAPS;
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let guard = self.guard(lock_before(raw, left.unwrap_or(nap).min(nap)));
            if guard.is_some() || futex::is_past(deadline) {
                return guard;
            }
            nap = longest.min(nap * 2);
        }
    }

    /// What a locking call's result means.
    #[inline]
    fn guard(&self, result: libc::c_int) -> Option<Guard<'_>> {
        if result != 0 && !self.was_taken_over(result) {
            return None;
        }
        self.state.store(HELD, Ordering::Relaxed);
        Some(Guard { mutex: self, owner_died: result != 0, not_send: PhantomData })
    }

    /// Whether a locking call has taken the lock from an owner that died, which leaves nothing to
    /// repair (see the module's head).
    #[cold]
    fn was_taken_over(&self, result: libc::c_int) -> bool {
        match result {
            libc::EOWNERDEAD => {
                // SAFETY: this thread holds the mutex in just the state this call is for.
                let repaired = unsafe { libc::pthread_mutex_consistent(self.raw()) };
                assert_eq!(repaired, 0, "a robust mutex whose owner died can be taken over");
                true
            }
            libc::EBUSY | libc::ETIMEDOUT => false,
            error => {
                panic!("a process-shared mutex failed: {}", io::Error::from_raw_os_error(error))
            }
        }
    }
}

/// The lock held; dropping it unlocks.
pub(crate) struct Guard<'a> {
    mutex: &'a RobustMutex,
    /// Whether the one who held the lock before died while it did.
    pub(crate) owner_died: bool,
    not_send: PhantomData<*const ()>,
}

impl<'a> Guard<'a> {
    /// The guard of a lock whose guard has been forgotten.
    ///
    /// # Safety
    ///
    /// This thread holds the lock, and no other guard will release it.
    pub(crate) unsafe fn held_by_this_thread(mutex: &'a RobustMutex) -> Guard<'a> {
        Guard { mutex, owner_died: false, not_send: PhantomData }
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.state.store(FREE, Ordering::Relaxed);
        // SAFETY: this thread holds the mutex: a guard is made only by taking it, and stays on its
        // thread.
        let result = unsafe { libc::pthread_mutex_unlock(self.mutex.raw()) };
        debug_assert_eq!(result, 0);
    }
}

/// Tries to take the initialized mutex `raw` for at most `timeout`.
#[cfg(target_env = "gnu")]
fn lock_before(raw: *mut libc::pthread_mutex_t, timeout: Duration) -> libc::c_int {
    unsafe extern "C" {
        // As `pthread_mutex_timedlock`, by a clock of choice. Since glibc 2.30.
        fn pthread_mutex_clocklock(
            mutex: *mut libc::pthread_mutex_t,
            clock: libc::clockid_t,
            until: *const libc::timespec,
        ) -> libc::c_int;
    }
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for a time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let until = time(
        Duration::new(now.tv_sec.unsigned_abs(), 0)
            + Duration::from_nanos(now.tv_nsec.unsigned_abs()),
        timeout,
    );
    // SAFETY: `raw` is an initialized mutex, `until` a valid time that outlives the call.
    unsafe { pthread_mutex_clocklock(raw, libc::CLOCK_MONOTONIC, &raw const until) }
}

/// Tries to take the initialized mutex `raw` for at most `timeout`, or gives up a little earlier.
#[cfg(not(target_env = "gnu"))]
fn lock_before(raw: *mut libc::pthread_mutex_t, timeout: Duration) -> libc::c_int {
    use std::time::SystemTime;
    // The portable call counts by the wall clock: if that is set back meanwhile, this wait is so
    // much longer.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let until = time(now, timeout);
    // SAFETY: `raw` is an initialized mutex, `until` a valid time that outlives the call.
    unsafe { libc::pthread_mutex_timedlock(raw, &raw const until) }
}

fn time(now: Duration, timeout: Duration) -> libc::timespec {
    let until = now.saturating_add(timeout);
    libc::timespec {
        tv_sec: libc::time_t::try_from(until.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: until.subsec_nanos().into(),
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::arena::Region;
    use std::thread;

    #[test]
    fn a_thread_that_ends_with_the_lock_held_gives_it_up() {
        let region = Region::create(4096).unwrap();
        let memory = region.map(0, 4096).unwrap();
        let lock = memory.get::<RobustMutex>(0);
        lock.initialize().unwrap();
        thread::scope(|scope| {
            for _ in 0..100 {
                // Its process lives on: it is the thread's death that counts, seen at once and not
                // after a time-out.
                scope.spawn(|| std::mem::forget(lock.lock())).join().unwrap();
                let start = Instant::now();
                let guard =
                    lock.lock_until(Some(start + Duration::from_secs(20))).expect("free again");
                assert!(start.elapsed() < Duration::from_secs(5));
                assert!(
                    scope.spawn(|| lock.try_lock().is_none()).join().unwrap(),
                    "and held again"
                );
                drop(guard);
            }
        });
    }

    #[test]
    fn memory_that_is_not_an_initialized_mutex_is_refused() {
        let region = Region::create(4096).unwrap();
        let memory = region.map(0, 4096).unwrap();
        let lock = memory.get::<RobustMutex>(0);
        let refuses = || {
            let lock = std::panic::AssertUnwindSafe(lock);
            std::panic::catch_unwind(|| drop(lock.try_lock())).is_err()
                && std::panic::catch_unwind(|| drop(lock.lock())).is_err()
        };
        assert!(refuses());
        lock.initialize().unwrap();
        assert_eq!(lock.initialize().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        drop(lock.lock());
        // As if something else lay there.
        lock.state.store(12, Ordering::Relaxed);
        assert!(refuses());
    }

    #[test]
    fn one_at_a_time_and_time_outs_are_kept() {
        let region = Region::create(4096).unwrap();
        let memory = region.map(0, 4096).unwrap();
        let lock = memory.get::<RobustMutex>(0);
        lock.initialize().unwrap();
        let counter = memory.get::<AtomicU32>(1024);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let _guard = lock.lock();
                        // Not one atomic step on purpose: only the lock keeps it whole.
                        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(counter.load(Ordering::Relaxed), 80_000);
        let _guard = lock.lock();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (start, wait) = (Instant::now(), Duration::from_millis(1200));
                assert!(lock.lock_until(Some(start + wait)).is_none());
                let took = start.elapsed();
                assert!(took >= wait && took < wait * 10, "{took:?}");
            });
        });
    }
}
