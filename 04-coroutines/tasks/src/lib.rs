//! Async as it is practiced: the cases of this crate are examples on tokio, in `examples/`.
//!
//! Chapter 4 first builds coroutines from iterators and generators. These cases continue where
//! `4_4_from_scratch`, an executor written by hand, ends. Most of them run on tokio's paused clock,
//! which moves on to the next timer as soon as every task waits: the times that they print are
//! exact, and nobody waits for them.
