//! The iterator that an `imap` returns.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::draw::Imap;
use crate::pool::batch::Policy;
use crate::pool::error::TaskError;
use crate::pool::feed::Submission;
use crate::pool::gather::decode;
use crate::pool::scheduler::Scheduler;
use crate::sys::fork;

/// The results of an [`imap`](crate::Pool::imap): an iterator over `Result<T, TaskError>`.
///
/// Each result is decoded in the thread that calls `next`. If the iterator over the arguments
/// panics, `next` returns the results of the arguments drawn before, and then panics with the same
/// payload.
///
/// Dropping it early does not wait for anything, not even for the iterator over the arguments,
/// which may be in its `next`; that iterator is dropped when it returns. The tasks submitted so far
/// are run, and their results thrown away.
pub struct Results<'a, T> {
    state: State,
    pool: PhantomData<&'a Scheduler>,
    result: PhantomData<fn() -> T>,
}

/// How far the iteration has got.
enum State {
    /// No argument was drawn.
    NotStarted(Box<dyn FnOnce() -> io::Result<Arc<Imap>> + Send>),
    Started(Arc<Imap>),
    /// The tasks cannot be submitted.
    Failed(TaskError),
    Over,
}

impl<'a, T: Serialize + DeserializeOwned> Results<'a, T> {
    /// The results of the tasks of `submission`, in batches of `chunk`.
    pub(in crate::pool) fn new<F, A, I>(
        scheduler: &'a Arc<Scheduler>,
        function: F,
        arguments: I,
        is_ordered: bool,
        chunk: usize,
        policy: Policy,
    ) -> Self
    where
        I: Iterator<Item = A> + Send + 'static,
        F: Fn(A) -> T + Copy + 'static,
        A: Serialize + DeserializeOwned,
    {
        let sink = Imap::sink(is_ordered);
        let submission =
            Submission::new::<F, A, T>(scheduler, function, Arc::clone(&sink) as _, policy);
        let workers = scheduler.workers();
        let state = match submission {
            Err(error) => State::Failed(error),
            Ok(submission) => State::NotStarted(Box::new(move || {
                Imap::start(sink, submission, chunk, workers, arguments)
            })),
        };
        Self { state, pool: PhantomData, result: PhantomData }
    }
}

impl<T: DeserializeOwned> Iterator for Results<'_, T> {
    type Item = Result<T, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        if fork::is_fork() {
            let is_over = matches!(std::mem::replace(&mut self.state, State::Over), State::Over);
            return (!is_over).then_some(Err(TaskError::Forked));
        }
        let imap = match std::mem::replace(&mut self.state, State::Over) {
            State::Over => return None,
            State::Failed(error) => return Some(Err(error)),
            State::NotStarted(start) => match start() {
                Ok(imap) => imap,
                Err(error) => return Some(Err(TaskError::NoThread(error.to_string()))),
            },
            State::Started(imap) => imap,
        };
        let next = imap.next();
        self.state = State::Started(imap);
        match next {
            Ok(outcome) => outcome.map(decode),
            Err(payload) => resume_unwind(payload),
        }
    }
}

impl<T> Drop for Results<'_, T> {
    fn drop(&mut self) {
        if let State::Started(imap) = &self.state
            && !fork::is_fork()
        {
            imap.abandon();
        }
    }
}

impl<T> fmt::Debug for Results<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = match &self.state {
            State::Started(imap) => imap.taken(),
            _ => 0,
        };
        f.debug_struct("Results").field("taken", &taken).finish_non_exhaustive()
    }
}
