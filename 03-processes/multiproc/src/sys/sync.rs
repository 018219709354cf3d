//! What all modules that lock and wait agree on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A lock that a panic elsewhere does not take from us: what it guards is whole between any two
/// statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When a wait has to end; `None` is never.
pub(crate) type Deadline = Option<Instant>;

/// The deadline `timeout` from now: never, when it lies beyond what the clock can represent.
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
/// To be asked once while the thread is alive, or the answer is "no".
pub(crate) fn is_thread_ending() -> bool {
    ALIVE.try_with(|_| ()).is_err()
}

/// What is printed when the library is used there.
pub(crate) const ENDING: &str =
    "the thread is ending: `main` has returned, or the process is exiting";
