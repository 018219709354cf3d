//! The pool's own thread: it reads results, reaps workers, and keeps the pool at its size.
//!
//! [`thread`] is its loop: it sleeps on one event count, which workers notify when they have
//! written and the reaper when one has ended. While tasks are under way it also wakes up at
//! *ticks*: to read results that are still in a worker's log, and to see whether a task waits
//! although a worker is idle. [`reader`] reads one worker's results, and [`reap`] handles a
//! worker's death.
//!
//! It runs none of the caller's code: results pass through it as bytes.

mod reader;
mod reap;
mod thread;

pub(super) use thread::start;
