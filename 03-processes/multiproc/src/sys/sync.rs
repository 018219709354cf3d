//! Deadlines, locking inside a process, and use at the end of a thread, the same for all modules.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Locks the mutex, and ignores that it is poisoned: the data that it guards is consistent between
/// any two statements, so a panic of another thread does no harm.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When a wait has to end; `None` is no limit.
pub(crate) type Deadline = Option<Instant>;

/// The deadline that is `timeout` from now; `None` when the clock cannot represent it.
pub(crate) fn deadline_after(timeout: Duration) -> Deadline {
    Instant::now().checked_add(timeout)
}

/// Has a destructor, so that the thread's end can be seen.
struct Alive;

impl Drop for Alive {
    fn drop(&mut self) {}
}

thread_local! {
    static ALIVE: Alive = const { Alive };
}

/// Whether this thread is past its end and runs exit handlers or destructors of its thread-local
/// values: those of the library may be gone.
///
/// It has to be called once while the thread is alive; otherwise the result is false.
pub(crate) fn is_thread_ending() -> bool {
    ALIVE.try_with(|_| ()).is_err()
}

/// What is printed when the library is used there.
pub(crate) const ENDING: &str =
    "the thread is ending: `main` has returned, or the process is exiting";
