//! Multiprocessing for Rust: processes that run a function, queues and pipes between them, and a
//! pool.
//!
//! - A [process](Builder) runs one function of this program, and [`join`](Child::join) returns the
//!   function's result.
//! - A [`Queue`] carries items between any number of processes, bounded or not; a [pipe] connects
//!   two.
//! - A [`Pool`] keeps processes for many short tasks.
//! - A [ring] is the fastest way from one process to another. [Shared](shared) numbers can be read
//!   and changed by all processes.
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
//! A process starts this program again; it is not a copy of this process, so it inherits neither
//! threads nor locked mutexes. It runs a plain `fn` or a closure that captures nothing. Arguments
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
//! - If a child panics, `join` returns an error with the panic's message and location. If it is
//!   killed by a signal or exits, the error contains the signal or the exit status.
//! - When a process ends in any way (`SIGKILL` included), its children are killed, and theirs too.
//!   When only the *thread* that started a child ends, the child goes on.
//! - A child that has ended is reaped at once, whether or not it is joined: there are no zombies.
//! - A message in a pipe arrives whole or not at all, even if its sender is killed while it sends.
//! - An item stays in a queue when its producer is killed. If a process is killed in the middle of
//!   a put or a get, this operation has either taken effect or not, and the other processes go on.
//! - If a value cannot be encoded, `put` returns an error and the queue is unchanged. If an item
//!   cannot be *decoded*, `get` returns an error with its bytes. The item is removed, since
//!   otherwise the items behind it would never be delivered.
//! - When a worker of a pool dies, only the task that it was running is lost. The same holds when a
//!   task is cancelled or exceeds its time limit, for which its worker is killed.
//! - When the holder of a mutex dies, the next process gets the mutex with an error. The permits
//!   and read locks of a dead process are released. A barrier with a dead party is broken, and
//!   waiting for it returns an error. The death of a waiter has no effect on the others, except at
//!   a barrier. The module [`sync`] has the table.
//! - No operation waits for a process that has died. There is one delay: if a process is killed at
//!   the moment at which it is woken to take a lock in shared memory (each queue has two, the
//!   shared memory itself has one, and each lock of [`sync`] is one), and a third process takes
//!   that lock meanwhile, the other waiters may notice only when they next poll the lock. They do
//!   so after 50 ms, then with exponential back-off, at the latest after 2 s.
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
//! For readers of the source: the modules form layers. A file imports files of its own layer and of
//! the layers above it in this table, and there are no cyclic imports.
//!
//! | layer | what it is for |
//! | --- | --- |
//! | `sys` | state of one process: locks, deadlines, signals, panics, the observer |
//! | `shm` | shared memory: the arena and its regions, waiting, locks, rings, shared numbers |
//! | `ipc` | values as bytes, packets with descriptors, pipes |
//! | `process` | starting a process, its messages to its parent, its end |
//! | `sync` | locks, condition variables, barriers between processes |
//! | `queue` | queues: items in shared memory |
//! | `pool` | pools: processes, rings and claims |
//!
//! **The path of an item.** [`Queue::put`] encodes the value (`ipc::codec`) and takes the
//! producers' lock (`shm::robust`). It writes the bytes into a ring in shared memory and publishes
//! them by one atomic change of a word (`queue::bytes::put`), which also wakes a consumer that
//! sleeps on that word (`shm::futex`). [`Queue::get`] takes the consumers' lock, copies the bytes
//! and publishes that they are taken in the same way (`queue::bytes::get`). It decodes the bytes
//! after it has released the lock. The protocol is described in `queue::bytes`.
//!
//! **The path of a task.** [`Pool::map`] encodes the arguments in chunks (`pool::feed`) and queues
//! them in this process (`pool::scheduler`). Each worker has two rings of its own (`shm::ring`):
//! the caller's thread gives it tasks through one (`pool::scheduler`), and the worker takes them,
//! claims each in shared memory (`pool::claims`), runs it and answers through the other
//! (`pool::worker`). The pool's thread reads the answers (`pool::collector`), and handles the
//! deaths of workers; the caller decodes the results (`pool::gather`). What is promised is at the
//! head of [`pool`].
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
