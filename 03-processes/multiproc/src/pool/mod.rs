//! A pool of worker processes.
//!
//! A [`Pool`] starts its workers once and assigns them task after task: calls of functions of this
//! program, each with an argument and a result that `serde` can encode. Where a process costs about
//! a millisecond, a task of a [`map`](Pool::map) costs about a microsecond.
//!
//! ```
//! fn square(n: u64) -> u64 {
//!     n * n
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     multiproc::init();
//!     let pool = multiproc::Pool::new()?;
//!     assert_eq!(pool.map(square, 0..5)?, [0, 1, 4, 9, 16]);
//!     let later = pool.apply_async(square, 12)?;
//!     assert_eq!(later.get()?, 144);
//!     pool.join();
//!     Ok(())
//! }
//! ```
//!
//! # When something dies
//!
//! - A task that panics is [`TaskError::Panicked`], and its worker goes on. In a program built with
//!   `panic = "abort"` the worker dies; the error is the same, and another worker takes its place.
//! - When a worker dies, the task it was in is [`TaskError::WorkerLost`]. That task may have been
//!   run in part, so it is run again only if its caller has allowed that ([`Options::retry_lost`]).
//!   Tasks that the worker had not begun are assigned to other workers, before those that were
//!   submitted later. Results that it had published count. A new worker takes its place.
//! - A task has *begun* as soon as the worker has published the result of the task before it (or
//!   has claimed its batch, if it is the first one), and it has *ended* when its own result is
//!   published. So a worker that is killed just before it calls the function, or just after the
//!   function has returned, loses that task as well: one task, never more.
//! - A task that is [cancelled](AsyncResult::cancel), or exceeds its [time
//!   limit](Options::time_limit), has its worker killed if it has begun. That is done only when the
//!   worker has nothing else to do any more, so it ends this task and no other. The task is
//!   [`TaskError::Cancelled`] or [`TaskError::TimedOut`] and is not run again; if its result was
//!   published before the worker's death, it has that result.
//! - The kernel reports the death, and the pool's thread handles it then: no time-out is involved.
//! - When this process ends, in whatever way, its workers do.
//!
//! A worker and the pool share no lock, so no death of a worker can block the pool or another
//! worker. Starting a worker, and handles of queues or rings in arguments and results, use the lock
//! of the tree's shared memory, for which the bound of two seconds in the [crate's
//! documentation](crate#when-something-dies) holds.
//!
//! # The path of a task
//!
//! From [`Pool::map`] to its result. A *batch* is some tasks of one call that are assigned together
//! (a [chunk](Options::chunk)); a task of [`Pool::apply`] is a batch of one.
//!
//! 1. *Feed* (`feed.rs`; `imap/` for an `imap`). `Submission::feed` draws arguments in the caller's
//!    thread, encodes them (`arguments::encode`), and passes each full batch to
//!    `Scheduler::submit`. That waits while the queue has 1,024 batches or 16 MiB.
//! 2. *Assign* (`scheduler/`). `State::assign_queued` assigns the batch to the ready worker that
//!    has the fewest: `WorkerHandle::assign` offers it (`Claims::offer`) and writes it into that
//!    worker's ring. A worker is assigned up to 128 batches or 256 KiB ahead.
//! 3. *Claim* (`claims/`). In the worker, `worker::run` receives the batch and claims it
//!    (`Claims::claim`). Until then the pool can reclaim it (`Claims::reclaim`).
//! 4. *Run* (`worker/`). For each task, `RunTasks::run` decodes the argument, calls the function
//!    and encodes what it returned.
//! 5. *Publish*. `Output::publish` puts the result into the log (`LogWriter::push`), and sends the
//!    log when it is full and at the end of the batch. The result of a batch of one is sent by a
//!    message of its own.
//! 6. *Collect* (`collector/`). The pool's thread reads the ring (`ResultReader::read`), or the log
//!    at a tick (`read_log`), and delivers the bytes to the call's sink (`Sink::deliver`).
//! 7. *Fetch* (`gather/`). `Ordered::fetch_all` decodes the results in the caller's thread, in the
//!    arguments' order.
//!
//! | a worker dies | the task |
//! | --- | --- |
//! | before it has claimed the batch (2, 3) | goes back to the front of the queue, with its batch |
//! | in the task before it (4, 5) | goes back to the front of the queue |
//! | in the task (4, 5) | is lost, or is run again (up to twice) |
//! | in the task, which was cancelled or timed out (4, 5) | has that as its error |
//! | after it has published the result (5 to 7) | has its result |
//!
//! `scheduler/cancel.rs` ends a task early: it removes the task if that can be reclaimed, and
//! otherwise takes from its worker what comes behind it, and kills the worker.
//!
//! `collector/reap.rs` handles a worker's death: it reads the rest of the ring and of the log,
//! fails or requeues the task, requeues the others, and lets `Scheduler::keep_at_size` spawn a
//! worker. If the pool's own thread panics, which is a bug of this library, all tasks are
//! [`TaskError::Broken`].
//!
//! | what | when |
//! | --- | --- |
//! | a worker's death is handled | when the kernel reports it |
//! | the worker of a task that is cancelled is killed | before `cancel` returns |
//! | the worker of a task that exceeds its time limit is killed | then, or 1 ms later |
//! | a batch that its worker has not claimed moves to an idle one | when that one becomes idle |
//! | tasks of a claimed batch move to an idle worker | at the second tick (16 ms apart at most) |
//! | batches of a stopped worker move to an idle one | within two ticks of 50 ms |
//! | a result in the log is delivered | at the batch's end, or when 64 KiB are full, or at a tick |
//!
//! On a busy machine, the time until the pool's thread is scheduled is added to these.
//!
//! # When a worker cannot be started
//!
//! A start has *failed* if the worker ends before it is ready, whatever its age: its initializer
//! panics, exits, is killed or cannot decode its argument, or the process cannot set itself up. It
//! has also failed if the worker ends within a second after it was ready and has not begun the task
//! that it was assigned. (A worker that ends later, in a task, or with nothing to do is replaced,
//! and does not count.)
//!
//! After a failure the pool waits 20 ms before it starts workers again, and twice as long after
//! each further round in which one fails, up to five seconds. After six consecutive failed rounds
//! it starts no more, and as soon as no worker is left, it is broken: all waiting tasks and all
//! later ones are [`TaskError::Broken`] with the reason, which includes the text of an
//! initializer's panic. As long as one worker is ready, the pool goes on with it and retries. A
//! worker that begins a task, or has been ready for a second, ends the series of failures. Workers
//! that end with nothing to do, within a second after they were ready, are replaced with the same
//! delays, up to one second.
//!
//! If the system refuses to start a process because descriptors, processes or memory are exhausted,
//! the pool retries for a minute, at least once per second, before it is broken. Meanwhile the
//! tasks wait.
//!
//! # Which worker runs a task
//!
//! A task is assigned to a worker that is ready, never to one that is still in its initializer.
//! Workers are assigned tasks ahead of time, but these are only reserved: an idle worker gets the
//! tasks that another has not begun. That includes the tasks of a chunk behind the one being run,
//! and the tasks of a worker that is to be replaced ([`Builder::max_tasks_per_worker`]) or is
//! stopped (`SIGSTOP`). It takes up to a tenth of a second. (A chunk being run is divided on Linux
//! 4.16 or later, unless `membarrier` is forbidden.)
//!
//! # Where your code runs
//!
//! Results are decoded in the thread that fetches them: in [`AsyncResult::get`], [`map`](Pool::map)
//! and [`Results::next`]. So a `Deserialize` may take its time, call the pool, or recurse as deeply
//! as that thread's stack allows. A result that nobody fetches is not decoded. Arguments are
//! encoded in the thread that submits them; those of an `imap` are drawn and encoded on a thread of
//! their own, which has a stack as large as the main thread's limit (at least 8 MiB, at most 1
//! GiB). In a worker, everything runs on the main thread.
//!
//! # Ctrl-C and other signals
//!
//! The terminal sends `SIGINT` to all processes of the foreground process group: to this program
//! and to its workers. A program that does not handle it ends, and so do its workers. In a program
//! that handles it, to finish its work or to save something, the workers die anyway, and their
//! tasks are [`TaskError::WorkerLost`] with signal 2. Such a program builds its pool with
//! [`Builder::ignore_interrupts`], and then decides by itself: it calls [`close`](Pool::close) and
//! [`join`](Pool::join) to finish what was submitted, or [`terminate`](Pool::terminate). Other
//! signals that are sent to the whole group (`kill -TERM -- -PGID`, or `SIGHUP` when a terminal is
//! closed) reach the workers as well; a program that must survive them handles them in the
//! initializer.
//!
//! # What is not promised
//!
//! - A task's own children are not the pool's. Processes that it started by this library end with
//!   their worker. Those that it started by [`std::process::Command`] go on when the worker is
//!   killed, as by [`terminate`](Pool::terminate): a task that starts them should wait for them, or
//!   have them killed with their parent (`PR_SET_PDEATHSIG`).
//! - An argument takes less than 4 GiB once it is encoded; a larger one is [`TaskError::Encode`].
//!   Results have no limit but memory.
//! - A task is not interrupted, unless it is cancelled or has a time limit. One that hangs without
//!   these occupies its worker until the pool is terminated; so does an initializer that hangs.
//! - A task that overflows its stack kills its worker.

mod arguments;
mod async_result;
mod batch;
mod buffer;
mod builder;
mod claims;
mod collector;
mod error;
mod feed;
mod gather;
mod handle;
mod imap;
mod messages;
mod options;
mod scheduler;
mod worker;

pub use async_result::AsyncResult;
pub use builder::Builder;
pub use error::{PoolError, TaskError};
pub use handle::Pool;
pub use imap::Results;
pub use options::Options;
pub use scheduler::Cancel;
