//! Locks, condition variables and barriers between processes, each with a guarantee for the case
//! that a process is killed.
//!
//! They are used as those of the standard library are, and passed to other processes as a
//! [`Queue`](crate::Queue) is: as an argument, in an item, in a task.
//!
//! ```
//! use multiproc::sync::Mutex;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     multiproc::init();
//!     let balance = Mutex::new(0_u64)?;
//!     let pay_in = |balance: Mutex<u64>| {
//!         for _ in 0..1000 {
//!             *balance.lock().unwrap() += 1;
//!         }
//!     };
//!     let first = multiproc::spawn(pay_in, balance.clone())?;
//!     let second = multiproc::spawn(pay_in, balance.clone())?;
//!     first.join()?;
//!     second.join()?;
//!     assert_eq!(*balance.lock().unwrap(), 2000);
//!     Ok(())
//! }
//! ```
//!
//! # When a process dies
//!
//! | | while it holds | while it waits |
//! | --- | --- | --- |
//! | [`Mutex`], [`ReentrantMutex`], writer of a [`RwLock`] | the next holder gets the lock with a [`PoisonError`](std::sync::PoisonError), as after a panic | no effect |
//! | reader of a [`RwLock`] | its lock is released | no effect |
//! | [`Semaphore`] | its permits are released | no effect |
//! | [`Condvar`], [`Event`] | – | a notification that it has received has also reached all other waiters |
//! | [`Barrier`] | – | the barrier is broken: an error for all others |
//! | [`Once`] | the next caller runs its function | no effect |
//!
//! The kernel wakes the next waiter for a mutex or for the write lock at once. A dead reader, a
//! dead holder of a permit and a dead party of a barrier are noticed by the waiters, which poll:
//! after 20 ms, or after a quarter of the time that they have waited, at least every 500 ms. The
//! mutex has one delay, the same as a queue's lock; see [when something
//! dies](crate#when-something-dies).
//!
//! A process that has been [forked](crate::fork) after the first use of the library cannot use
//! these types: its calls panic, and what it drops stays held by the original process.

mod barrier;
mod condvar;
mod event;
mod holders;
mod mutex;
mod object;
mod once;
mod plain;
mod reentrant;
mod rwlock;
mod semaphore;
#[cfg(test)]
mod tests;

pub use barrier::{Barrier, BarrierError};
pub use condvar::Condvar;
pub use event::Event;
pub use mutex::{Mutex, MutexGuard};
pub use once::Once;
pub use plain::Plain;
pub use reentrant::{ReentrantMutex, ReentrantMutexGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Permit, Semaphore};
