//! Locks, conditions and barriers between processes, each with a promise for every death.
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
//!     let children = [multiproc::spawn(pay_in, balance.clone())?, multiproc::spawn(pay_in, balance.clone())?];
//!     children.iter().try_for_each(|child| child.join())?;
//!     assert_eq!(*balance.lock().unwrap(), 2000);
//!     Ok(())
//! }
//! ```
//!
//! # When a process dies
//!
//! | | while it holds | while it waits |
//! | --- | --- | --- |
//! | [`Mutex`], [`ReentrantMutex`], writer of a [`RwLock`] | the next one gets the lock and is told: [poison](std::sync::PoisonError), as after a panic | nothing happens to the others |
//! | reader of a [`RwLock`] | its lock is given back | nothing happens to the others |
//! | [`Semaphore`] | its permits are given back | nothing happens to the others |
//! | [`Condvar`], [`Event`] | – | a notification it has got has been given to all the others, too |
//! | [`Barrier`] | – | the barrier is broken: an error for all others |
//! | [`Once`] | the next caller runs its function | nothing happens to the others |
//!
//! The kernel wakes the next one that waits for a mutex or the writer's side at once. What was held
//! by a reader or as a permit, and a dead party of a barrier, is noticed by those who wait: they look
//! for it after 20 ms, or after a quarter of the time that they have waited, at least every 500 ms.
//! The one delay of the mutex is that of a queue's lock, see the [library](crate#when-something-dies).
//!
//! A process that has been [forked](crate::fork) after the first use of the library cannot use them:
//! its calls panic, and what it drops stays held by the original process.

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
