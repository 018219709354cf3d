//! Multiprocessing for Rust: processes that run a function, queues and pipes between them, and a
//! pool.
//!
//! - A [process](Builder) runs one function of this program, and [`join`](Child::join) has its
//!   result.
//! - A [`Queue`] carries items between any number of processes, bounded or not; a [pipe] connects
//!   two.
//! - A [`Pool`] keeps processes for many short tasks.
//! - A [ring] is the fastest way from one process to another; [shared] numbers are seen by all.
//!
//! Queues for programs on other machines are in the crate `multiproc-manager`.
//!
//! ```
//! use multiproc::{Pool, Queue};
//!
//! fn square(n: u64) -> u64 {
//!     n * n
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     multiproc::init(); // first: in a child process this runs the function, and does not return
//!
//!     let queue = Queue::unbounded()?;
//!     let child = multiproc::spawn(|queue: Queue<u64>| queue.put(&7).unwrap(), queue.clone())?;
//!     child.join()?;
//!     let squares = Pool::new()?.map(square, 0..4)?;
//!     println!("{} {squares:?}", queue.get()?); // 7 [0, 1, 4, 9]
//!     Ok(())
//! }
//! ```
//!
//! A process is started afresh (this program again, not a copy of this process), so threads and
//! their locks do no harm, and it runs a plain `fn` or a closure that captures nothing. Arguments
//! and results are values that `serde` can encode.
//!
//! # From Python
//!
//! | `multiprocessing` | here |
//! | --- | --- |
//! | `Process(target=f, args=(a,))`, `start()` | [`spawn(f, a)`](spawn()), [`Builder`] |
//! | `name`, `pid`, `is_alive()`, `exitcode` | [`Child::name`], [`Child::id`], [`Child::is_alive`], [`Child::exit_status`] |
//! | `join()`, `join(timeout)` | [`Child::join`], which also has the result, [`Child::join_timeout`] |
//! | `terminate()`, `kill()`, `sentinel` | [`Child::terminate`], [`Child::kill`], [`Child`] as a descriptor |
//! | `active_children()`, `current_process()`, `parent_process()` | [`active_children`], [`current`] |
//! | `if __name__ == "__main__":` | [`init`](init()) |
//! | `Pipe()`, `Pipe(duplex=False)` | [`pipe::duplex`], [`pipe::simplex`] |
//! | `connection.wait()`, `poll(timeout)` | [`pipe::wait`] |
//! | a socket or a file as an argument (`reduction`) | [`Descriptor`] |
//! | `Queue(n)`, `Queue()` | [`Queue::bounded`], [`Queue::unbounded`] |
//! | `put`, `put_nowait`, `put(…, timeout=…)` | [`Queue::put`], [`Queue::try_put`], [`Queue::put_timeout`] |
//! | `get`, `get_nowait`, `get(timeout=…)` | [`Queue::get`], [`Queue::try_get`], [`Queue::get_timeout`] |
//! | `qsize`, `empty`, `full` (approximate) | [`Queue::len`], [`Queue::is_empty`], [`Queue::is_full`] (exact) |
//! | `close` (for this process) | [`Queue::close`] (for all: getters drain it, then hear the end) |
//! | `Pool(n, initializer, initargs, maxtasksperchild)` | [`Pool::builder`] |
//! | `apply`, `apply_async`, `map`, `imap`, `imap_unordered` | the same on [`Pool`] |
//! | `chunksize` | [`pool::Options::chunk`] |
//! | `AsyncResult.get()`, `get(timeout)`, `ready()` | [`AsyncResult::get`], [`AsyncResult::get_timeout`], [`AsyncResult::is_ready`] |
//! | none for a running task (`pebble`: `future.cancel()`, `timeout=…`) | [`AsyncResult::cancel`], [`pool::Options::time_limit`] |
//! | `close()`, `terminate()`, `join()` | the same on [`Pool`] |
//! | `Value`, `Array` | [`shared::Value`], [`shared::Array`] |
//! | `shared_memory.SharedMemory`, `ShareableList` | [`shared::Shared`] (written once), [`sync::Mutex`] of a slice |
//! | `Lock`, `RLock`, `Semaphore` | [`sync::Mutex`], [`sync::ReentrantMutex`], [`sync::Semaphore`] |
//! | `Event`, `Condition`, `Barrier` | [`sync::Event`], [`sync::Condvar`], [`sync::Barrier`] |
//! | `Manager().Queue()` as a task's argument | any [`Queue`] |
//! | `BaseManager(address, authkey)`, `serve_forever`, `connect` | the crate `multiproc-manager` |
//!
//! # When something dies
//!
//! - A child's panic is an error with its message and place; its death by a signal or an exit is an
//!   error that says so.
//! - A process's children end with it, however it ended (`SIGKILL` too), and theirs with them. When
//!   the *thread* that started one ends, nothing happens.
//! - What ended is reaped at once, whether or not anybody joins it: there are no zombies.
//! - A message in a pipe arrives whole or not at all, also when its sender is killed in the middle.
//! - What was put into a queue stays there when its putter dies. A process killed in the middle of
//!   a put or a get leaves the queue as it was or as it was to be, and the others go on.
//! - A value that cannot be encoded is an error at the putter's, and the queue is as before. An
//!   item that cannot be *decoded* is taken, and its bytes are in the getter's error: left in the
//!   queue it would keep all getters from the items behind it.
//! - A pool loses the task that a dying worker was in, and no other; so it is when a task is
//!   cancelled or exceeds its time limit, for which its worker is killed.
//! - A mutex whose holder dies goes to the next process, which gets an error with it; permits and
//!   read locks are given back; a barrier is broken, as an error. One that waits may die without
//!   any effect on the others, except at a barrier. The module [`sync`] has the table.
//! - No operation waits for a process that has died. There is one delay: if a process is killed at
//!   the moment at which it is woken to take a lock in shared memory (each queue has two, the shared
//!   memory itself has one, and each lock of [`sync`] is one), and a third process takes that lock
//!   meanwhile, the others that wait for it may notice only when they next poll it: 50 ms later,
//!   or, if they have been waiting for long, up to two seconds later.
//!
//! Not promised:
//!
//! - A process that leaves the tree on purpose, for example a daemon that forks twice, is not ended
//!   with it.
//! - A process that is *stopped* (`SIGSTOP`) before it has reached [`init`](init()), in its first
//!   milliseconds, notices its parent's death only when it is continued.
//! - A process that is killed runs no destructors, so files that it was to delete stay.
//! - A task's own children are children of its *worker*: they end when the worker does, which is
//!   not at the end of the task. A task that needs a process only for itself joins it or kills it
//!   before it returns.
//! - With `panic = "abort"` no panic can be caught. A panic on the main thread of a child is
//!   reported by `join` all the same, since it is sent before the process aborts. A task that
//!   panics takes its worker with it; the task is [`TaskError::Panicked`], as it is elsewhere. A
//!   panic on any other thread of a process kills the process as well.
//!
//! # Values
//!
//! Arguments, results and items are encoded with `postcard`, which writes neither the names nor the
//! types of fields. So serde's attributes that rely on names or types in the encoding do not work:
//!
//! | attribute | what happens |
//! | --- | --- |
//! | `skip_serializing_if` | an error of the encoding as soon as a field is skipped |
//! | `flatten` | an error of the encoding |
//! | `untagged`, `tag = "…"` on an enum | an error of the decoding |
//!
//! `skip` works, and so do enums without these attributes, which Rust's own types such as `Option`
//! and `Result` are.
//!
//! # Signals and Ctrl-C
//!
//! - A terminal sends `SIGINT` for Ctrl-C to all processes of the foreground group, so to this
//!   program *and its children, with a pool's workers among them*. A program that does not handle
//!   it ends, and its children too. A program that handles it starts the children that shall
//!   survive it by [`Builder::own_process_group`], and a pool by
//!   [`pool::Builder::ignore_interrupts`](pool::Builder::ignore_interrupts); it then ends them
//!   itself.
//! - Children begin with no signal blocked and every signal handled in the default way, whatever
//!   this program does; see [`Builder::spawn`].
//! - The library's threads block all signals, so a program that blocks signals in its own threads
//!   receives them by `sigwait` or `signalfd`. Only the thread that draws the arguments of an
//!   `imap` has the mask of its caller, whose code runs there.
//!
//! # `fork`
//!
//! A program may `fork` before its first use of the library; each of the two processes then has a
//! tree of its own. In a process forked *later*, every operation is an error that says so, and
//! nothing of the original process is changed: what the copy drops or closes stays as it is for the
//! original. A program that becomes a daemon does so first. In a forked copy that returns from a
//! task or from a process's function, the process exits there, with status 0, or 101 after a panic.
//! Until the copy ends or executes another program, it keeps open what the original had open: the
//! other end of a pipe notices that an end is gone only then, and shared memory is freed only then.
//!
//! # Limits and tools
//!
//! - A queue or a ring takes one or two of the memory mappings that the kernel allows a process
//!   (`vm.max_map_count`, by default 65,530): a process can hold about 32,000 queues.
//! - Descriptors that have been sent and not yet received are *in flight*. A user without
//!   privileges may have about as many of them as its limit of open files (`ulimit -n`), over all
//!   of its processes; beyond that, sending fails with `ETOOMANYREFS`. With the limit 256, that is
//!   about 256 descriptors. A process that is being started has two of them in flight, and those in
//!   its argument. One message can carry at most 250.
//! - Each child has one thread in this process, which sleeps until the child ends, and counts
//!   towards the limit of processes (`ulimit -u`).
//! - Valgrind up to at least version 3.19 does not know `pidfd_open`, so no process can be started
//!   under it: `spawn` returns an error that says so. Queues, rings and pipes work under it.
//! - A program started through the dynamic loader (`ld.so ./program`) or through an emulator cannot
//!   start processes, nor can one that runs set-user-ID: [`SpawnError::CannotStartAgain`].
//!
//! # Layout
//!
//! For those who read the source: the modules lie in layers. A file imports files of its own layer
//! and of the layers above it in this table, and no cycle of files import each other.
//!
//! | layer | what it is for |
//! | --- | --- |
//! | `sys` | what one process has of its own: locks, deadlines, signals, panics, the observer |
//! | `shm` | shared memory: the arena and its regions, what waits and locks in it, rings, shared numbers |
//! | `ipc` | values as bytes, packets with descriptors, pipes |
//! | `process` | starting a process, what it says to its parent, its end |
//! | `queue` | queues: items in shared memory |
//! | `pool` | pools: processes, rings and claims |
//!
//! **The path of an item.** [`Queue::put`] encodes the value (`ipc::codec`), takes the putters' lock
//! (`shm::robust`), writes the bytes into a ring in shared memory and publishes them by one atomic
//! store (`queue::bytes::put`), which wakes a getter that sleeps on the other side's word
//! (`shm::futex`). [`Queue::get`] does the same on the getters' side (`queue::bytes::get`), and
//! decodes the bytes when it has given up the lock. The protocol is described in `queue::bytes`.
//!
//! **The path of a task.** [`Pool::map`] encodes the arguments in chunks (`pool::feed`) and queues
//! them in this process (`pool::dispatch`). Each worker has two rings of its own (`shm::ring`): the
//! caller's thread gives it tasks through one (`pool::workers`), and the worker takes them, claims
//! each in shared memory (`pool::claims`), runs it and answers through the other (`pool::worker`).
//! The pool's thread reads the answers (`pool::collector`), and handles the deaths of workers; the
//! caller decodes the results (`pool::gathered`). What is promised is at the head of [`pool`].
#![deny(unsafe_code)]

mod ipc;
pub mod pool;
mod process;
pub mod queue;
mod shm;
pub mod sync;
mod sys;

pub use ipc::descriptor::Descriptor;
pub use ipc::{encoding, pipe};
pub use pool::{AsyncResult, Pool, TaskError};
pub use process::bootstrap::init;
#[doc(hidden)]
pub use process::constructor::init_before_main;
pub use process::{
    ActiveChild, Builder, Child, Current, JoinError, SpawnError, active_children, current, spawn,
};
pub use queue::Queue;
pub use shm::{ring, shared};
pub use sys::{fork, observer, signals};

/// The code of the README is run as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
