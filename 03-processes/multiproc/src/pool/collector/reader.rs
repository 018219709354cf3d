//! Reading one worker's results, and delivering them.

use std::sync::Arc;
use std::time::Instant;

use crate::ipc::codec;
use crate::pool::claims::{Claims, Records};
use crate::pool::error::TaskError;
use crate::pool::gather::Sink;
use crate::pool::messages::{LogHeader, tag};
use crate::pool::scheduler::{Scheduler, Spawned, State, WorkerHandle};
use crate::shm::ring;
use crate::sys::panics::Panic;
use crate::sys::sync::lock;

/// How many results are read from one worker before it is another one's turn.
const MOST: usize = 4096;

/// Tasks that have no result yet.
pub(super) struct Unfinished {
    pub(super) sink: Arc<dyn Sink>,
    /// The first one's index.
    pub(super) first: usize,
    pub(super) count: usize,
    /// The error of a task that was cancelled or has timed out.
    pub(super) error: Option<TaskError>,
}

/// The end of a worker's ring of results, and how far its batch is.
pub(super) struct ResultReader {
    /// The worker.
    pub(super) id: u64,
    results: ring::Receiver,
    claims: Arc<Claims>,
    progress: Progress,
    /// The batch it was in at the last tick with idle workers, and how many of the results were
    /// there.
    pub(super) seen: Option<(u64, usize)>,
    /// Why it did not get ready, if it has sent that.
    pub(super) failure: Option<String>,
}

/// How far a worker's batch is, as far as the collector has read.
#[derive(Default)]
struct Progress {
    /// The batch's sequence number; the rest means nothing without `sink`.
    seq: u64,
    /// The index of the first task.
    first: usize,
    count: usize,
    done: usize,
    sink: Option<Arc<dyn Sink>>,
}

/// What a worker has published of its batch.
enum Published<'a> {
    /// The next task's result, and its tag.
    One(u8, &'a [u8]),
    /// The results from a position on; some may be known.
    Logged(LogHeader, Records<'a>),
}

impl ResultReader {
    pub(super) fn new(spawned: Spawned) -> Self {
        let Spawned { id, results, claims } = spawned;
        Self { id, results, claims, progress: Progress::default(), seen: None, failure: None }
    }

    /// Reads what the worker has sent. Returns how much it was.
    pub(super) fn read(&mut self, scheduler: &Scheduler) -> usize {
        let Self { id, results, progress, failure, .. } = self;
        let mut found = 0;
        while found < MOST {
            let Ok(Some(message)) = results.try_recv() else {
                break;
            };
            found += 1;
            let Some((&tag, rest)) = message.split_first() else {
                continue;
            };
            match tag {
                tag::READY => {
                    if let Some(worker) = lock(&scheduler.state).worker(*id) {
                        worker.ready_at = Some(Instant::now());
                    }
                }
                tag::NOT_READY => {
                    *failure = Some(match codec::decode::<Panic>(rest) {
                        Ok(panic) => format!("the initializer {panic}"),
                        Err(error) => error.to_string(),
                    });
                }
                tag::LOG => {
                    if let Some((header, records)) = LogHeader::split_from(rest) {
                        let published = Published::Logged(header, Records::new(records));
                        found += progress.deliver(*id, scheduler, published);
                    }
                }
                _ => found += progress.deliver(*id, scheduler, Published::One(tag, rest)),
            }
        }
        found
    }

    /// Reads what the worker has published and not sent. Returns how many new results there were.
    pub(super) fn read_log(&mut self, scheduler: &Scheduler) -> usize {
        let Some(logged) = self.claims.read_log() else {
            return 0;
        };
        let header = LogHeader { batch: logged.batch, first: logged.first };
        let published = Published::Logged(header, Records::new(&logged.bytes));
        self.progress.deliver(self.id, scheduler, published)
    }

    /// The worker is dead: reads everything that it has published.
    pub(super) fn read_rest(&mut self, scheduler: &Scheduler) {
        // From here on the ring returns `Closed` after its last whole message.
        self.results.close();
        while self.read(scheduler) > 0 {}
        self.read_log(scheduler);
    }

    /// How many results of the worker's batch have been delivered.
    pub(super) fn done(&self) -> usize {
        self.progress.done
    }

    /// The same of batch `seq`.
    pub(super) fn done_of(&self, seq: u64) -> usize {
        let is_known = self.progress.sink.is_some() && self.progress.seq == seq;
        if is_known { self.progress.done } else { 0 }
    }

    /// The worker's batch was limited to its first `keep` tasks.
    pub(super) fn limit(&mut self, keep: usize) {
        if self.progress.sink.is_some() {
            self.progress.count = keep;
        }
    }

    /// Takes the tasks that the worker was assigned and has no results for: none is run any more.
    pub(super) fn take_unfinished(&mut self, state: &mut State) -> Vec<Unfinished> {
        let Some(worker) = state.worker(self.id) else {
            return Vec::new();
        };
        let mut done = if self.progress.sink.take().is_some() { self.progress.done } else { 0 };
        let mut killed = worker.killed.take();
        let mut unfinished = Vec::new();
        for (seq, batch) in worker.take_assigned() {
            let (first, mut count) = (batch.first + done, batch.len() - done);
            done = 0;
            let sink = Arc::clone(&batch.sink);
            // It is the last one of its batch.
            if let Some(killed) = killed.take_if(|killed| killed.seq == seq) {
                count -= 1;
                let (sink, first, error) = (batch.sink, first + count, Some(killed.error));
                unfinished.push(Unfinished { sink, first, count: 1, error });
            }
            unfinished.push(Unfinished { sink, first, count, error: None });
        }
        unfinished
    }
}

impl Progress {
    /// Delivers results of the worker's batch. Returns how many were new.
    fn deliver(&mut self, id: u64, scheduler: &Scheduler, published: Published<'_>) -> usize {
        let expected = match &published {
            Published::One(..) => None,
            Published::Logged(header, _) => Some(header.batch),
        };
        if self.sink.is_none() && !self.next_batch(id, scheduler, expected) {
            return 0;
        }
        if expected.is_some_and(|seq| seq != self.seq) {
            return 0;
        }
        let Some(sink) = self.sink.take() else {
            return 0;
        };
        let index = self.first + self.done;
        let new = match published {
            Published::One(tag, rest) => {
                sink.deliver(index, tag, rest);
                1
            }
            Published::Logged(header, mut records) => match self.done.checked_sub(header.first) {
                Some(known) => {
                    records.skip_results(known);
                    sink.deliver_records(index, self.count - self.done, records)
                }
                // Logs come in order, so there is no gap.
                None => 0,
            },
        };
        self.done += new;
        if self.done < self.count {
            self.sink = Some(sink);
        } else {
            if self.count > 1 {
                lock(&scheduler.state).worker(id).map(WorkerHandle::finish_first);
            }
            self.done = 0;
        }
        new
    }

    /// Finds out which batch the worker is in; false if it is not the expected one. A batch of one
    /// ends with its first result, and is removed from the worker's list here.
    fn next_batch(&mut self, id: u64, scheduler: &Scheduler, expected: Option<u64>) -> bool {
        let mut state = lock(&scheduler.state);
        state.mark_proven(id);
        let Some(worker) = state.worker(id) else {
            return false;
        };
        // There is none, or another one: the pool was terminated, or this is the log of a batch
        // whose results have been read.
        let Some((seq, batch)) = worker.assigned.front() else {
            return false;
        };
        if expected.is_some_and(|expected| expected != *seq) {
            return false;
        }
        *self = Self {
            seq: *seq,
            first: batch.first,
            count: batch.len(),
            done: 0,
            sink: Some(Arc::clone(&batch.sink)),
        };
        if self.count == 1 {
            worker.finish_first();
        }
        true
    }
}
