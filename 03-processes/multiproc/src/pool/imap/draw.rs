//! The thread that draws the arguments of an `imap`, and what it shares with the caller.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, PoisonError};
use std::time::Instant;

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::pool::arguments::{self, Arguments};
use crate::pool::claims::Records;
use crate::pool::error::TaskError;
use crate::pool::feed::{BATCH_BYTES, SLOW, Submission};
use crate::pool::gather::{Gather, Monitor, Outcome, Stream};
use crate::shm::arena::Region;
use crate::sys::fork;

/// Batches for each worker that an `imap` has under way.
const WINDOW: usize = 64;

type Payload = Box<dyn Any + Send>;

/// An `imap` that has been started: what the caller and the thread share.
pub(super) struct Imap {
    state: Arc<Monitor<State>>,
    /// The thread waits here while the window is full.
    room: Condvar,
    submission: Submission,
    chunk: usize,
    window: usize,
}

pub(super) struct State {
    stream: Stream,
    /// How many arguments were drawn.
    drawn: usize,
    /// Arguments that were drawn and not submitted, the index of the first one, and since when.
    pending: Arguments,
    pending_first: usize,
    pending_since: Option<Instant>,
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
    /// A batch that is not full should be submitted.
    Slow(usize, Arguments),
    /// There is such a batch, to be submitted at this time.
    Pending(Instant),
}

impl State {
    /// Takes the arguments that were not submitted, and the index of the first one.
    fn take_pending(&mut self) -> (usize, Arguments) {
        self.pending_since = None;
        (self.pending_first, std::mem::take(&mut self.pending))
    }

    fn next(&mut self) -> Option<Next> {
        if let Some(outcome) = self.stream.take() {
            return Some(Next::Result(outcome));
        }
        if self.is_over && self.stream.taken() == self.drawn {
            return Some(Next::End(self.panic.take()));
        }
        let at = self.pending_since? + SLOW;
        if Instant::now() < at {
            return Some(Next::Pending(at));
        }
        let (first, arguments) = self.take_pending();
        Some(Next::Slow(first, arguments))
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

    fn is_ready(&self) -> bool {
        self.stream.is_ready()
    }
}

impl Imap {
    /// Where the results are collected.
    pub(super) fn sink(is_ordered: bool) -> Arc<Monitor<State>> {
        Arc::new(Monitor::new(State {
            stream: Stream::new(is_ordered),
            drawn: 0,
            pending: Arguments::default(),
            pending_first: 0,
            pending_since: None,
            is_over: false,
            panic: None,
            is_abandoned: false,
        }))
    }

    /// Starts the thread that draws the arguments of a submission to this sink.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub(super) fn start<A: Serialize>(
        state: Arc<Monitor<State>>,
        submission: Submission,
        chunk: usize,
        workers: usize,
        arguments: impl Iterator<Item = A> + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let window = chunk.saturating_mul(WINDOW).saturating_mul(workers);
        let imap = Arc::new(Self { state, room: Condvar::new(), submission, chunk, window });
        let theirs = Arc::clone(&imap);
        let draw = move || draw_all(&theirs, arguments);
        // With the caller's signal mask, for its iterator runs there: programs that the iterator
        // starts inherit the mask.
        let thread = std::thread::Builder::new().name("pool-arguments".to_owned());
        thread.stack_size(stack_size()).spawn(draw)?;
        Ok(imap)
    }

    /// How many results were taken.
    pub(super) fn taken(&self) -> usize {
        self.state.lock().stream.taken()
    }

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
                    let bytes = buffer[..end].to_vec();
                    self.submission.submit_or_fail(index, Arguments { bytes, kept, count: 1 });
                }
                Ok(end) => {
                    let full = state.add(index, &buffer[..end], kept, self.chunk);
                    if state.pending_since.is_some() && state.pending.count == 1 {
                        self.state.notify();
                    }
                    drop(state);
                    if let Some((first, arguments)) = full {
                        self.submission.submit_or_fail(first, arguments);
                    }
                }
                Err(error) => {
                    let (first, before) = state.take_pending();
                    drop(state);
                    self.submission.submit_or_fail(first, before);
                    self.submission.fail(index, TaskError::Encode(error));
                }
            }
        }
        self.submit_pending();
    }

    /// The thread: submits what was drawn.
    fn submit_pending(&self) {
        let (first, rest) = self.state.lock().take_pending();
        self.submission.submit_or_fail(first, rest);
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
    pub(super) fn next(&self) -> Result<Option<Outcome>, Payload> {
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
                Some(Next::Slow(first, arguments)) => {
                    self.submission.submit_or_fail(first, arguments);
                }
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
            // Nobody is left to panic for it. The payload's drop may panic too.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(panic))).map_err(std::mem::forget);
        } else {
            state.panic = panic;
            self.state.notify();
        }
    }

    /// The caller: wants no more results.
    pub(super) fn abandon(&self) {
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
    ) -> Option<(usize, Arguments)> {
        if self.pending.count == 0 {
            self.pending_first = index;
            self.pending_since = Some(Instant::now());
        }
        self.pending.push(argument, kept);
        let is_full = self.pending.count >= chunk || self.pending.bytes.len() >= BATCH_BYTES;
        let is_slow = || self.pending_since.is_some_and(|since| since.elapsed() >= SLOW);
        (is_full || is_slow()).then(|| self.take_pending())
    }
}

/// What the thread runs.
fn draw_all<A: Serialize>(imap: &Imap, mut arguments: impl Iterator<Item = A>) {
    let drawn = catch_unwind(AssertUnwindSafe(|| imap.draw(&mut arguments)));
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
    imap.submit_pending();
    imap.end(panic);
}

/// The thread's stack: as large as the main thread's, where arguments could be encoded as well.
fn stack_size() -> usize {
    const LEAST: u64 = 8 << 20;
    const MOST: u64 = 1 << 30;
    getrlimit(Resource::Stack).current.unwrap_or(LEAST).clamp(LEAST, MOST) as usize
}
