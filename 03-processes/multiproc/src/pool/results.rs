//! The results of an `imap`, and the thread that draws its arguments.
//!
//! The arguments are drawn on a thread of their own, because an iterator may take any time for the
//! next argument, or wait for a result of an earlier one: no result waits for that. The thread
//! draws ahead of the results that were fetched, but not further than a *window*.

use std::any::Any;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, PoisonError};
use std::time::Instant;

use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::claims::Records;
use super::feed::{CHUNK_BYTES, Chunk, SLOW, Submission};
use super::task::{Gather, Monitor, Outcome, Stream, TaskError, decode};
use super::{Options, Pool, arguments};
use crate::shm::arena::Region;
use crate::sys::fork;

/// Chunks for each worker that an `imap` has under way.
const WINDOW: usize = 64;

type Payload = Box<dyn Any + Send>;

/// What the caller and the thread share.
struct Shared {
    state: Arc<Monitor<State>>,
    /// The thread waits here while the window is full.
    room: Condvar,
    submission: Submission,
    chunk: usize,
    window: usize,
}

struct State {
    stream: Stream,
    /// How many arguments were drawn.
    drawn: usize,
    /// Arguments that were drawn and not submitted, and since when.
    pending: Chunk,
    since: Option<Instant>,
    /// Whether the arguments have ended, and the panic that ended them.
    is_over: bool,
    panic: Option<Payload>,
    /// Whether the caller has dropped the iterator.
    is_abandoned: bool,
}

/// What the caller finds.
enum Next {
    Result(Outcome),
    End(Option<Payload>),
    /// A chunk that is not full should be submitted.
    Slow(Chunk),
    /// There is such a chunk, to be submitted at this time.
    Pending(Instant),
}

impl State {
    fn take_pending(&mut self) -> Chunk {
        self.since = None;
        std::mem::take(&mut self.pending)
    }

    fn next(&mut self) -> Option<Next> {
        if let Some(outcome) = self.stream.take() {
            return Some(Next::Result(outcome));
        }
        if self.is_over && self.stream.taken() == self.drawn {
            return Some(Next::End(self.panic.take()));
        }
        let at = self.since? + SLOW;
        Some(if Instant::now() < at { Next::Pending(at) } else { Next::Slow(self.take_pending()) })
    }
}

impl Gather for State {
    fn fail(&mut self, index: usize, error: TaskError) {
        if !self.is_abandoned {
            self.stream.fail(index, error);
        }
    }

    fn gather(&mut self, index: usize, tag: u8, bytes: &[u8], kept: Vec<Region>) {
        if !self.is_abandoned {
            self.stream.gather(index, tag, bytes, kept);
        }
    }

    fn gather_records(&mut self, index: usize, count: usize, records: Records<'_>) {
        if !self.is_abandoned {
            self.stream.gather_records(index, count, records);
        }
    }

    fn is_worth_a_look(&self) -> bool {
        self.stream.is_worth_a_look()
    }
}

impl Shared {
    /// The thread: draws arguments until there are no more, or nobody wants the results.
    fn draw<A: Serialize>(&self, arguments: &mut impl Iterator<Item = A>) {
        let mut buffer = Vec::new();
        while self.wait_for_room() {
            let Some(argument) = arguments.next() else { break };
            let mut kept = Vec::new();
            let encoded = arguments::encode(&mut buffer, 0, &argument, &mut kept);
            // This process's copy of what travels is closed before the task runs.
            drop(argument);
            if fork::is_fork() {
                return;
            }
            let mut state = self.state.lock();
            if state.is_abandoned {
                return;
            }
            let index = state.drawn;
            state.drawn += 1;
            match encoded {
                Ok(end) if self.chunk == 1 => {
                    drop(state);
                    let arguments = buffer[..end].to_vec();
                    let chunk = Chunk { arguments, kept, first: index, count: 1 };
                    self.submission.submit_or_fail(chunk);
                }
                Ok(end) => {
                    let full = state.add(index, &buffer[..end], kept, self.chunk);
                    if state.since.is_some() && state.pending.count == 1 {
                        self.state.notify();
                    }
                    drop(state);
                    full.into_iter().for_each(|chunk| self.submission.submit_or_fail(chunk));
                }
                Err(error) => {
                    let before = state.take_pending();
                    drop(state);
                    self.submission.submit_or_fail(before);
                    self.submission.fail(index, TaskError::Encode(error));
                }
            }
        }
        let rest = self.state.lock().take_pending();
        self.submission.submit_or_fail(rest);
    }

    /// The thread: waits while the window is full, until half of it is free. False if the caller
    /// has dropped the results.
    fn wait_for_room(&self) -> bool {
        let mut state = self.state.lock();
        if state.drawn - state.stream.taken() >= self.window {
            while !state.is_abandoned && state.drawn - state.stream.taken() > self.window / 2 {
                state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        !state.is_abandoned
    }

    /// The caller: waits for the next result, or the end.
    fn next(&self) -> Result<Option<Outcome>, Payload> {
        let mut deadline = None;
        loop {
            let found = self.state.wait(deadline, |state| {
                let next = state.next()?;
                let is_known = deadline.is_some() && matches!(next, Next::Pending(_));
                if let Next::Result(_) = next
                    && state.drawn - state.stream.taken() == self.window / 2
                {
                    self.room.notify_all();
                }
                (!is_known).then_some(next)
            });
            deadline = None;
            match found {
                Some(Next::Result(outcome)) => return Ok(Some(outcome)),
                Some(Next::End(None)) => return Ok(None),
                Some(Next::End(Some(payload))) => return Err(payload),
                Some(Next::Slow(chunk)) => self.submission.submit_or_fail(chunk),
                Some(Next::Pending(at)) => deadline = Some(at),
                None => {}
            }
        }
    }

    /// The thread: no more arguments.
    fn end(&self, panic: Option<Payload>) {
        let mut state = self.state.lock();
        state.is_over = true;
        if state.is_abandoned {
            drop(state);
            // Nobody is left to be told. The payload's drop may panic too.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(panic))).map_err(std::mem::forget);
        } else {
            state.panic = panic;
            self.state.notify();
        }
    }

    /// The caller: wants no more results.
    fn abandon(&self) {
        let mut state = self.state.lock();
        state.is_abandoned = true;
        let (panic, results) = (state.panic.take(), state.stream.clear());
        let pending = state.take_pending();
        drop(state);
        self.room.notify_all();
        drop((results, pending, panic));
    }
}

impl State {
    /// Adds a drawn argument to the pending ones. Returns them if they are to be submitted.
    fn add(
        &mut self,
        index: usize,
        argument: &[u8],
        kept: Vec<Region>,
        chunk: usize,
    ) -> Option<Chunk> {
        if self.pending.count == 0 {
            self.pending.first = index;
            self.since = Some(Instant::now());
        }
        self.pending.arguments.extend_from_slice(argument);
        self.pending.kept.extend(kept);
        self.pending.count += 1;
        let is_full = self.pending.count >= chunk || self.pending.arguments.len() >= CHUNK_BYTES;
        let is_slow = || self.since.is_some_and(|since| since.elapsed() >= SLOW);
        (is_full || is_slow()).then(|| self.take_pending())
    }
}

/// The life of the thread.
fn draw_all<A: Serialize>(shared: &Shared, mut arguments: impl Iterator<Item = A>) {
    let drawn = catch_unwind(AssertUnwindSafe(|| shared.draw(&mut arguments)));
    // The iterator may have forked. In the fork there is only this thread.
    fork::leave_if_fork(if drawn.is_ok() { 0 } else { 101 });
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(arguments)));
    let panic = match (drawn, dropped) {
        (Err(first), dropped) => {
            let _ = dropped.map_err(std::mem::forget);
            Some(first)
        }
        (Ok(()), dropped) => dropped.err(),
    };
    // What was drawn before the panic is run.
    let rest = shared.state.lock().take_pending();
    shared.submission.submit_or_fail(rest);
    shared.end(panic);
}

/// Arguments are encoded on the thread as they would be on the main thread: with as much stack.
fn stack_size() -> usize {
    const LEAST: u64 = 8 << 20;
    const MOST: u64 = 1 << 30;
    getrlimit(Resource::Stack).current.unwrap_or(LEAST).clamp(LEAST, MOST) as usize
}

/// The results of an [`imap`](Pool::imap): an iterator over `Result<T, TaskError>`.
///
/// Each result is decoded in the thread that calls `next`. If the iterator over the arguments
/// panics, `next` returns the results of the arguments drawn before, and then panics with the same
/// payload.
///
/// Dropping it early does not wait for anything, not even for an iterator over the arguments that
/// is just being asked for one. That iterator is dropped when it returns. The tasks submitted so
/// far are run, and their results thrown away.
pub struct Results<'a, T> {
    state: Start,
    pool: PhantomData<&'a Pool>,
    result: PhantomData<fn() -> T>,
}

/// How far it is.
enum Start {
    /// No argument was drawn.
    Ready(Box<dyn FnOnce() -> io::Result<Arc<Shared>> + Send>),
    Started(Arc<Shared>),
    Failed(TaskError),
    Over,
}

impl<'a, T: Serialize + DeserializeOwned> Results<'a, T> {
    pub(super) fn new<F, A, I>(
        options: Options<'a>,
        function: F,
        arguments: I,
        is_ordered: bool,
    ) -> Self
    where
        I: Iterator<Item = A> + Send + 'static,
        F: Fn(A) -> T + Copy + 'static,
        A: Serialize + DeserializeOwned,
    {
        let state = Arc::new(Monitor::new(State {
            stream: Stream::new(is_ordered),
            drawn: 0,
            pending: Chunk::default(),
            since: None,
            is_over: false,
            panic: None,
            is_abandoned: false,
        }));
        let chunk = options.chunk_or(1);
        let window = chunk.saturating_mul(WINDOW).saturating_mul(options.pool.workers());
        let state = match Submission::new::<F, A, T>(options, function, Arc::clone(&state) as _) {
            Err(error) => Start::Failed(error),
            Ok(submission) => Start::Ready(Box::new(move || {
                let shared =
                    Arc::new(Shared { state, room: Condvar::new(), submission, chunk, window });
                let theirs = Arc::clone(&shared);
                let draw = move || draw_all(&theirs, arguments);
                // With the caller's signal mask, for its iterator runs there: programs that the
                // iterator starts inherit the mask.
                let thread = std::thread::Builder::new().name("pool-arguments".to_owned());
                thread.stack_size(stack_size()).spawn(draw)?;
                Ok(shared)
            })),
        };
        Self { state, pool: PhantomData, result: PhantomData }
    }
}

impl<T: DeserializeOwned> Iterator for Results<'_, T> {
    type Item = Result<T, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        if fork::is_fork() {
            let is_over = matches!(std::mem::replace(&mut self.state, Start::Over), Start::Over);
            return (!is_over).then_some(Err(TaskError::Forked));
        }
        let shared = match std::mem::replace(&mut self.state, Start::Over) {
            Start::Over => return None,
            Start::Failed(error) => return Some(Err(error)),
            Start::Ready(start) => match start() {
                Ok(shared) => shared,
                Err(error) => return Some(Err(TaskError::NoThread(error.to_string()))),
            },
            Start::Started(shared) => shared,
        };
        let next = shared.next();
        self.state = Start::Started(shared);
        match next {
            Ok(outcome) => outcome.map(decode),
            Err(payload) => resume_unwind(payload),
        }
    }
}

impl<T> Drop for Results<'_, T> {
    fn drop(&mut self) {
        if let Start::Started(shared) = &self.state
            && !fork::is_fork()
        {
            shared.abandon();
        }
    }
}

impl<T> fmt::Debug for Results<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = match &self.state {
            Start::Started(shared) => shared.state.lock().stream.taken(),
            _ => 0,
        };
        f.debug_struct("Results").field("taken", &taken).finish_non_exhaustive()
    }
}
