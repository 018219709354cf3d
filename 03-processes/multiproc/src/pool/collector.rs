//! The pool's own thread: it reads the results, handles exits of workers, and keeps their number
//! up.
//!
//! It sleeps on one event count. While tasks are under way it also wakes up at *ticks*: to read results
//! that are still in a worker's log, and to see whether a task waits although a worker has nothing
//! to do.
//!
//! It runs no code of the caller's: results pass through it as bytes.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::ipc::codec;
use crate::process::JoinError;
use crate::process::reaper::End;
use crate::shm::ring;
use crate::sys::panics::{self, Panic};
use crate::sys::sync::lock;

use super::claims::{Claims, Records};
use super::dispatch::Dispatch;
use super::task::{Sink, TaskError};
use super::worker::tag;
use super::workers::{Phase, State, Worker};

/// A task that may run again is given up after it has killed so many workers.
const DEATHS_A_TASK: u32 = 3;

/// After so many results in one look, the next ones come soon: the collector sleeps briefly instead
/// of being woken for each.
const BURST: usize = 16;
const NAP: Duration = Duration::from_micros(30);

/// The time between ticks while a worker is in a batch of several tasks: the shortest, where
/// results were found in a log, and the longest.
const LOGS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(16)];

/// The time between ticks otherwise, while there are tasks.
const WATCH: Duration = Duration::from_millis(50);

/// Where a worker's results come from.
pub(super) struct Source {
    id: u64,
    results: ring::Receiver,
    claims: Arc<Claims>,
    progress: Progress,
    /// The batch it was in at the last tick with idle workers, and how many of the results were
    /// there.
    seen: Option<(u64, usize)>,
    /// Why it did not get ready, if it has sent that.
    failure: Option<String>,
}

/// How far a worker's current batch is, as far as the collector has seen.
#[derive(Default)]
struct Progress {
    /// The batch's number; the rest means nothing without `sink`.
    number: u64,
    first: usize,
    count: usize,
    done: usize,
    sink: Option<Arc<dyn Sink>>,
}

/// What a worker's message says of the tasks of its batch.
enum Finished<'a> {
    /// The next one's result, and its tag.
    One(u8, &'a [u8]),
    /// The results from position `first` on; some may be known.
    Logged { number: u64, first: usize, records: Records<'a> },
}

impl Source {
    pub(super) fn new(id: u64, results: ring::Receiver, claims: Arc<Claims>) -> Self {
        Self { id, results, claims, progress: Progress::default(), seen: None, failure: None }
    }
}

/// What a look at everything has found.
struct Look {
    /// How many messages and exits there were.
    found: usize,
    /// Whether everything is over.
    is_over: bool,
    /// When the next attempt to start a worker is due.
    retry_at: Option<Instant>,
}

pub(super) struct Collector<'a> {
    dispatch: &'a Dispatch,
    sources: Vec<Source>,
    tick_at: Option<Instant>,
    pace: Duration,
}

impl<'a> Collector<'a> {
    pub(super) fn new(dispatch: &'a Dispatch, sources: Vec<Source>) -> Self {
        Self { dispatch, sources, tick_at: None, pace: LOGS[0] }
    }

    /// Until the pool is closed and its last worker has ended.
    pub(super) fn run(mut self) {
        if let Err(panic) = panics::catch(|| self.collect()) {
            // A fault of this library. Nobody must wait for results that nobody collects.
            self.dispatch.give_up(panic.to_string());
            let _ = panics::catch(|| self.collect());
        }
    }

    fn collect(&mut self) {
        let events = &self.dispatch.events;
        loop {
            let look = self.look();
            if look.found >= BURST {
                thread::sleep(NAP);
            }
            if look.found > 0 {
                continue;
            }
            let key = events.prepare();
            let look = self.look();
            if look.is_over {
                return;
            }
            if look.found == 0 {
                events.wait(key, [self.tick_at, look.retry_at].into_iter().flatten().min());
            }
        }
    }

    /// Collects what is there, handles exits of workers, and hands out more.
    fn look(&mut self) -> Look {
        let now = Instant::now();
        let is_tick = self.tick_at.is_some_and(|at| now >= at);
        // The exits first: what those workers wrote before is read below, or in `worker_ended`.
        let ended = std::mem::take(&mut *lock(&self.dispatch.ended));
        let (mut found, mut found_in_logs) = (ended.len(), 0);
        for source in &mut self.sources {
            found += self.dispatch.read(source);
            if is_tick {
                found_in_logs += self.dispatch.read_log(source);
            }
        }
        found += found_in_logs;
        for (id, end) in ended {
            if let Some(at) = self.sources.iter().position(|source| source.id == id) {
                let source = self.sources.swap_remove(at);
                self.dispatch.worker_ended(source, end);
            }
        }

        let mut state = lock(&self.dispatch.state);
        if state.phase == Phase::Terminated {
            let error = state.refusal().unwrap_or(TaskError::Terminated);
            let failed: Vec<_> =
                self.sources.iter_mut().flat_map(|source| source.fail_all(&mut state)).collect();
            drop(state);
            failed.into_iter().for_each(|(sink, first, count)| sink.fail(first, count, &error));
            state = lock(&self.dispatch.state);
        }
        let limit = self.dispatch.plan().tasks_a_worker;
        let retry_at = match self.dispatch.keep_up(&mut state, &mut self.sources, now) {
            Ok(retry_at) => retry_at,
            Err(reason) => {
                drop(state);
                self.dispatch.give_up(reason);
                return Look { found: found + 1, is_over: false, retry_at: None };
            }
        };
        state.hand_out(limit);
        if is_tick {
            state.relieve_stopped(now);
            self.divide_batch(&mut state);
            state.hand_out(limit);
        }
        if state.phase == Phase::Closed && !state.has_tasks() {
            state.workers.iter_mut().filter(|worker| !worker.is_retired).for_each(Worker::retire);
        }
        self.dispatch.announce_room(&state);
        if is_tick {
            let slower = (self.pace * 2).min(LOGS[1]);
            self.pace = if found_in_logs > 0 { LOGS[0] } else { slower };
        }
        self.plan_tick(&mut state, now, is_tick);
        let is_over =
            state.phase != Phase::Open && state.workers.is_empty() && state.queue.is_empty();
        Look { found, is_over, retry_at }
    }

    /// Sets the time of the next tick. The last one is left where it is: submitting a task then
    /// need not wake this thread for a new one.
    fn plan_tick(&mut self, state: &mut State, now: Instant, is_tick: bool) {
        state.reads_logs = state.has_logs();
        if is_tick {
            self.tick_at = None;
        }
        let interval = if state.reads_logs {
            Some(self.pace)
        } else {
            (state.has_tasks() || (state.is_watched && !is_tick)).then_some(WATCH)
        };
        if let Some(interval) = interval {
            let at = now + interval;
            self.tick_at = Some(self.tick_at.map_or(at, |planned| planned.min(at)));
        }
        state.is_watched = self.tick_at.is_some();
    }

    /// With nothing in the queue, and workers that have nothing to do: they get tasks of the batch
    /// in which most are left. (Batches that a worker has not begun are handed over earlier.)
    fn divide_batch(&mut self, state: &mut State) {
        if !state.queue.is_empty() || state.idle() == 0 {
            return;
        }
        let mut most = None;
        for source in &mut self.sources {
            let current = state.worker(source.id).and_then(|worker| worker.current());
            let Some((number, count)) = current else {
                source.seen = None;
                continue;
            };
            let is_known = source.progress.sink.is_some() && source.progress.number == number;
            let done = if is_known { source.progress.done } else { 0 };
            if let Some((_, before)) =
                source.seen.replace((number, done)).filter(|seen| seen.0 == number)
            {
                // It keeps the task it is in, and those it may begin while this is decided.
                let keep = done + 1 + (done - before) / 8;
                let left = count.saturating_sub(keep);
                most = most.max(Some((left, keep, source.id)));
            }
        }
        let Some((1.., keep, id)) = most else {
            return;
        };
        if state.divide(id, keep)
            && let Some(source) = self.sources.iter_mut().find(|source| source.id == id)
            && source.progress.sink.is_some()
        {
            source.progress.count = keep;
        }
    }
}

impl Source {
    /// The tasks it was given and has no results for: none is run any more.
    fn fail_all(&mut self, state: &mut State) -> Vec<(Arc<dyn Sink>, usize, usize)> {
        let Some(worker) = state.worker(self.id) else {
            return Vec::new();
        };
        let given = worker.take_all();
        let done = if self.progress.sink.take().is_some() { self.progress.done } else { 0 };
        let mut failed: Vec<_> =
            given.into_iter().map(|(_, tasks)| (tasks.sink, tasks.first, tasks.count)).collect();
        if let Some((_, first, count)) = failed.first_mut() {
            (*first, *count) = (*first + done, *count - done);
        }
        failed
    }
}

impl Dispatch {
    /// Starts workers where some are missing. Returns when the next attempt is due.
    ///
    /// # Errors
    ///
    /// None can be started any more; the reason.
    fn keep_up(
        &self,
        state: &mut State,
        sources: &mut Vec<Source>,
        now: Instant,
    ) -> Result<Option<Instant>, String> {
        // One that gets no more tasks has a place until it has ended: there are never more
        // processes than were asked for.
        while state.workers.len() < state.wanted(self.plan()) {
            let is_any_ready = state.workers.iter().any(|worker| worker.ready_at.is_some());
            if state.health.is_hopeless(now) && !is_any_ready {
                // Those that are starting may still get ready.
                return if state.workers.is_empty() {
                    Err(state.health.reason())
                } else {
                    Ok(None)
                };
            }
            if !state.health.may_start(now) {
                return Ok(state.health.retry_at());
            }
            match self.start_worker(state) {
                Ok(source) => {
                    state.health.started();
                    sources.push(source);
                }
                Err(error) => state.health.not_started(&error, now),
            }
        }
        Ok(None)
    }

    /// Reads what a worker has sent; how much it was.
    fn read(&self, source: &mut Source) -> usize {
        let mut found = 0;
        while found < 4096 {
            let Ok(Some(message)) = source.results.try_recv() else {
                break;
            };
            found += 1;
            let Some((&tag, rest)) = message.split_first() else {
                continue;
            };
            match tag {
                tag::READY => {
                    if let Some(worker) = lock(&self.state).worker(source.id) {
                        worker.ready_at = Some(Instant::now());
                    }
                }
                tag::NOT_READY => {
                    source.failure = Some(match codec::decode::<Panic>(rest) {
                        Ok(panic) => format!("the initializer {panic}"),
                        Err(error) => error.to_string(),
                    });
                }
                tag::LOG => {
                    let Some((number, rest)) = rest.split_first_chunk() else {
                        continue;
                    };
                    let Some((first, records)) = rest.split_first_chunk() else {
                        continue;
                    };
                    let (number, first) =
                        (u64::from_le_bytes(*number), u64::from_le_bytes(*first) as usize);
                    let logged = Finished::Logged { number, first, records: Records::new(records) };
                    found += self.deliver(source.id, &mut source.progress, logged);
                }
                _ => {
                    found += self.deliver(source.id, &mut source.progress, Finished::One(tag, rest))
                }
            }
        }
        found
    }

    /// Reads what a worker has finished and not sent; how much it was.
    fn read_log(&self, source: &mut Source) -> usize {
        let Some(logged) = source.claims.read_log() else {
            return 0;
        };
        let records = Records::new(&logged.bytes);
        let logged = Finished::Logged { number: logged.batch, first: logged.first, records };
        self.deliver(source.id, &mut source.progress, logged)
    }

    /// Delivers results of a worker's current batch; how many were new.
    fn deliver(&self, id: u64, progress: &mut Progress, finished: Finished<'_>) -> usize {
        let expected = match &finished {
            Finished::One(..) => None,
            Finished::Logged { number, .. } => Some(*number),
        };
        if progress.sink.is_none() && !self.next_batch(id, progress, expected) {
            return 0;
        }
        if expected.is_some_and(|number| number != progress.number) {
            return 0;
        }
        let Some(sink) = progress.sink.take() else {
            return 0;
        };
        let index = progress.first + progress.done;
        let new = match finished {
            Finished::One(tag, rest) => {
                sink.deliver(index, tag, rest);
                1
            }
            Finished::Logged { first, mut records, .. } => match progress.done.checked_sub(first) {
                Some(known) => {
                    records.skip_results(known);
                    sink.deliver_records(index, progress.count - progress.done, records)
                }
                // Logs come in order, so there is no gap.
                None => 0,
            },
        };
        progress.done += new;
        if progress.done < progress.count {
            progress.sink = Some(sink);
        } else {
            if progress.count > 1 {
                lock(&self.state).worker(id).map(Worker::finish);
            }
            progress.done = 0;
        }
        new
    }

    /// Finds out which batch a worker is at; false if it is not the expected one. A batch of one
    /// ends with its first result, and is taken off the worker's list here.
    fn next_batch(&self, id: u64, progress: &mut Progress, expected: Option<u64>) -> bool {
        let mut state = lock(&self.state);
        state.prove(id);
        let Some(worker) = state.worker(id) else {
            return false;
        };
        // Nothing given any more, or another one: the pool was terminated, or this is the log of a
        // batch whose results have been read.
        let Some((number, tasks)) = worker.given.front() else {
            return false;
        };
        if expected.is_some_and(|expected| expected != *number) {
            return false;
        }
        *progress = Progress {
            number: *number,
            first: tasks.first,
            count: tasks.count,
            done: 0,
            sink: Some(Arc::clone(&tasks.sink)),
        };
        if progress.count == 1 {
            worker.finish();
        }
        true
    }

    /// A worker has ended: what it finished counts, the task it was in is lost or run again, the
    /// rest goes to others.
    fn worker_ended(&self, mut source: Source, end: End) {
        // From here on the ring says `Closed` after its last whole message.
        source.results.close();
        while self.read(&mut source) > 0 {}
        self.read_log(&mut source);
        let done = source.progress.done;

        let mut lost = None;
        let mut state = lock(&self.state);
        let Some(at) = state.workers.iter().position(|worker| worker.id == source.id) else {
            return;
        };
        if state.phase == Phase::Terminated {
            let error = state.refusal().unwrap_or(TaskError::Terminated);
            let failed = source.fail_all(&mut state);
            state.workers.remove(at);
            drop(state);
            return failed
                .into_iter()
                .for_each(|(sink, first, count)| sink.fail(first, count, &error));
        }
        let outcome = state.workers[at].child.join_timeout(Duration::ZERO);
        let mut given = state.workers[at].take_all().into_iter();
        let mut again = Vec::new();
        if let Some((number, mut tasks)) = given.next() {
            if done == 0 && state.workers[at].claims.reclaim(number) {
                again.push(tasks);
            } else {
                state.prove(source.id);
                let deaths = if done == 0 { tasks.deaths + 1 } else { 1 };
                let error = task_error(&outcome, end);
                let may_run_again =
                    tasks.may_run_again && matches!(error, TaskError::WorkerLost { .. });
                if may_run_again && deaths < DEATHS_A_TASK {
                    if let Some(mut rest) = tasks.after(done) {
                        rest.deaths = deaths;
                        again.push(rest);
                    }
                } else {
                    lost = Some((Arc::clone(&tasks.sink), tasks.first + done, error));
                    tasks.deaths = 0;
                    again.extend(tasks.after(done + 1));
                }
            }
        }
        again.extend(given.map(|(_, tasks)| tasks));
        let left = !again.is_empty();
        again.into_iter().rev().for_each(|tasks| state.enqueue_first(tasks));
        let worker = state.workers.remove(at);
        state.worker_ended(&worker, left, Instant::now(), || {
            source.failure.take().unwrap_or_else(|| failure(&worker, &outcome))
        });
        drop(state);

        if let Some((sink, index, error)) = lost {
            sink.fail(index, 1, &error);
        }
    }
}

/// What became of the task that a worker was in when it ended.
fn task_error(outcome: &Result<(), JoinError>, end: End) -> TaskError {
    match (outcome, end) {
        // Where panics abort, the worker has sent this before.
        (Err(JoinError::Panicked { message, location }), _) => {
            TaskError::Panicked { message: message.clone(), location: location.clone() }
        }
        (_, End::Status(status)) => TaskError::WorkerLost { signal: status.signal() },
        (_, End::Unknown) => TaskError::WorkerLost { signal: None },
    }
}

/// Why a worker that was of no use has ended.
fn failure(worker: &Worker, outcome: &Result<(), JoinError>) -> String {
    let when = if worker.ready_at.is_some() {
        "a worker ended as soon as it was ready"
    } else {
        "a worker ended before it was ready"
    };
    match outcome {
        Ok(()) => when.to_owned(),
        Err(error) => format!("{when}: {error}"),
    }
}
