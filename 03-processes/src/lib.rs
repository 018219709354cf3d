//! Multiprocessing for Rust: processes that run a function, queues and pipes between them, a pool, and a manager across machines.
//!
//! - A [process](Builder) runs one function of this program, and [`join`](Child::join) has its result.
//! - A [`Queue`] carries items between any number of processes, bounded or not; a [pipe] connects two.
//! - A [`Pool`] keeps processes for many short tasks.
//! - A [`Manager`] serves queues to programs on other machines.
//! - A [copier](copy) of files and folders stands on the pool.
//!
//! ```
//! use processes::{Pool, Queue};
//!
//! fn sum(numbers: Vec<u64>) -> u64 {
//!     numbers.iter().sum()
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     processes::init(); // first: in a child this runs the function, and does not return
//!
//!     let child = processes::spawn(sum, vec![1, 2, 3])?;
//!     assert_eq!(child.join()?, 6);
//!
//!     let queue = Queue::bounded(3)?;
//!     let putter = processes::spawn(|queue: Queue<String>| queue.put(&"hello".into()).unwrap(), queue.clone())?;
//!     assert_eq!(queue.get()?, "hello");
//!     putter.join()?;
//!
//!     let pool = Pool::new()?;
//!     assert_eq!(pool.map(sum, vec![vec![1, 2], vec![3, 4]])?, [3, 7]);
//!     Ok(())
//! }
//! ```
//!
//! A process is started afresh (this program again, not a copy of this process), so threads and their locks do no harm, and it runs a plain
//! `fn` or a closure that captures nothing. Arguments and results are values that `serde` can encode.
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
//! | `close()`, `terminate()`, `join()` | the same on [`Pool`] |
//! | `Manager().Queue()` as a task's argument | any [`Queue`] |
//! | `BaseManager(address, authkey)`, `serve_forever`, `connect` | [`Manager::builder`], [`manager::Client`] |
//!
//! # When something dies
//!
//! - A child's panic is an error with its message and place; its death by a signal or an exit is an error that says so.
//! - A process's children end with it, however it ended (`SIGKILL` too), and theirs with them. When the *thread* that started one ends, nothing happens.
//! - What ended is reaped at once, whether or not anybody joins it: there are no zombies.
//! - A message in a pipe arrives whole or not at all, also when its sender is killed in the middle.
//! - What was put into a queue stays there when its putter dies. A process killed in the middle of a put or a get leaves the queue as it was or as it was to
//!   be, and the others go on.
//! - A value that cannot be encoded is an error at the putter's, and the queue is as before. An item that cannot be *decoded* is taken, and its bytes are in the
//!   getter's error: left in the queue it would keep all getters from the items behind it.
//! - A pool loses the task that a dying worker was in, and no other; nothing ever waits for the dead.
//! - A manager's item is on lease until it is acknowledged: a worker that dies gives it back.
//!
//! What is not promised: a process that leaves the tree on purpose (a daemon that forks twice) is out of reach; one that is *stopped* (`SIGSTOP`) before it has reached
//! [`init`](init()), in its first milliseconds, learns of its parent's death only when it is continued; and a process that is killed runs no destructors,
//! so what it was to delete stays.
#![deny(unsafe_code)]

mod arena;
mod checked;
mod codec;
mod constructor;
pub mod copy;
mod descriptor;
mod executable;
mod fork;
mod futex;
mod init;
mod limits;
pub mod manager;
mod mapping;
mod panics;
pub mod pipe;
pub mod pool;
mod process;
pub mod queue;
mod reaper;
mod remote;
pub mod ring;
mod robust;
mod sync;
mod threads;
mod transit;
mod wire;

#[doc(hidden)]
pub use constructor::init_before_main;
pub use descriptor::Descriptor;
pub use init::init;
pub use manager::Manager;
pub use pool::{AsyncResult, Pool, TaskError};
pub use process::{
    ActiveChild, Builder, Child, Current, JoinError, SpawnError, active_children, current, spawn,
};
pub use queue::Queue;
