//! The collector's loop, and its ticks.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::reader::ResultReader;
use super::reap::{fail_all, reap};
use crate::pool::scheduler::{Phase, Scheduler, Spawned, State, WorkerHandle};
use crate::sys::panics;
use crate::sys::signals;
use crate::sys::sync::lock;

/// After so many results in one poll, the next ones come soon: the collector sleeps briefly instead
/// of being woken for each.
const BURST: usize = 16;
const BURST_PAUSE: Duration = Duration::from_micros(30);

/// The time between ticks while a worker is in a batch of several tasks: the shortest, where
/// results were found in a log, and the longest.
const LOG_TICKS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(16)];

/// The time between ticks otherwise, while there are tasks.
const TICK: Duration = Duration::from_millis(50);

/// Starts the thread. It ends when the pool is closed or terminated and its last worker has been
/// reaped.
///
/// # Errors
///
/// The thread cannot be started.
pub(in crate::pool) fn start(
    scheduler: &Arc<Scheduler>,
    spawned: Vec<Spawned>,
) -> io::Result<JoinHandle<()>> {
    let scheduler = Arc::clone(scheduler);
    signals::start("pool", None, move || Collector::new(&scheduler, spawned).run())
}

struct Collector<'a> {
    scheduler: &'a Scheduler,
    readers: Vec<ResultReader>,
    tick_at: Option<Instant>,
    log_tick: Duration,
    /// When to look at the time limits next.
    look_at: Option<Instant>,
}

/// What a poll has found.
struct Poll {
    /// How many messages, exits and results in logs there were.
    found: usize,
    /// Whether everything is over.
    is_over: bool,
    /// When the next attempt to start a worker is due.
    retry_at: Option<Instant>,
}

impl<'a> Collector<'a> {
    fn new(scheduler: &'a Scheduler, spawned: Vec<Spawned>) -> Self {
        let readers = spawned.into_iter().map(ResultReader::new).collect();
        Self { scheduler, readers, tick_at: None, log_tick: LOG_TICKS[0], look_at: None }
    }

    fn run(mut self) {
        if let Err(panic) = panics::catch(|| self.collect()) {
            // A bug of this library. Nobody must wait for results that nobody collects.
            self.scheduler.give_up(panic.to_string());
            let _ = panics::catch(|| self.collect());
        }
    }

    fn collect(&mut self) {
        let events = &self.scheduler.events;
        loop {
            let poll = self.poll();
            if poll.found >= BURST {
                thread::sleep(BURST_PAUSE);
            }
            if poll.found > 0 {
                continue;
            }
            let key = events.prepare();
            let poll = self.poll();
            if poll.is_over {
                return;
            }
            if poll.found == 0 {
                let times = [self.tick_at, self.look_at, poll.retry_at];
                events.wait(key, times.into_iter().flatten().min());
            }
        }
    }

    /// Reads the results that are there, reaps workers, spawns and assigns. Does not wait.
    fn poll(&mut self) -> Poll {
        let now = Instant::now();
        let is_tick = self.tick_at.is_some_and(|at| now >= at);
        // The exits first: what those workers wrote before is read below, or in `reap`.
        let ended = self.scheduler.take_ended();
        let (mut found, mut found_in_logs) = (ended.len(), 0);
        for reader in &mut self.readers {
            found += reader.read(self.scheduler);
            if is_tick {
                found_in_logs += reader.read_log(self.scheduler);
            }
        }
        found += found_in_logs;
        for (id, end) in ended {
            if let Some(at) = self.readers.iter().position(|reader| reader.id == id) {
                reap(self.scheduler, self.readers.swap_remove(at), end);
            }
        }

        let mut state = lock(&self.scheduler.state);
        if state.phase == Phase::Terminated {
            fail_all(self.readers.iter_mut(), state);
            state = lock(&self.scheduler.state);
        }
        let add = |spawned| self.readers.push(ResultReader::new(spawned));
        let retry_at = match self.scheduler.keep_at_size(&mut state, now, add) {
            Ok(retry_at) => retry_at,
            Err(reason) => {
                drop(state);
                self.scheduler.give_up(reason);
                return Poll { found: found + 1, is_over: false, retry_at: None };
            }
        };
        state.assign_queued();
        if is_tick {
            state.reclaim_from_stopped(now);
            self.split_longest(&mut state);
            state.assign_queued();
        }
        if state.look_at.is_some_and(|at| now >= at) {
            self.enforce_time_limits(&mut state);
            state.assign_queued();
        }
        self.look_at = state.look_at;
        if state.phase == Phase::Closed && !state.has_tasks() {
            let working = state.workers.iter_mut().filter(|worker| !worker.is_retired);
            working.for_each(WorkerHandle::retire);
        }
        self.scheduler.announce_room(&state);
        if is_tick {
            let slower = (self.log_tick * 2).min(LOG_TICKS[1]);
            self.log_tick = if found_in_logs > 0 { LOG_TICKS[0] } else { slower };
        }
        self.plan_tick(&mut state, now, is_tick);
        let is_over =
            state.phase != Phase::Open && state.workers.is_empty() && state.queue.is_empty();
        Poll { found, is_over, retry_at }
    }

    /// Sets the time of the next tick. The last one is left where it is: submitting a task then
    /// need not wake this thread for a new one.
    fn plan_tick(&mut self, state: &mut State, now: Instant, is_tick: bool) {
        state.reads_logs = state.has_logs();
        if is_tick {
            self.tick_at = None;
        }
        let interval = if state.reads_logs {
            Some(self.log_tick)
        } else {
            (state.has_tasks() || (state.is_watched && !is_tick)).then_some(TICK)
        };
        if let Some(interval) = interval {
            let at = now + interval;
            self.tick_at = Some(self.tick_at.map_or(at, |planned| planned.min(at)));
        }
        state.is_watched = self.tick_at.is_some();
    }

    /// Kills the workers whose tasks have exceeded their time limits.
    fn enforce_time_limits(&mut self, state: &mut State) {
        for (id, keep) in state.enforce_time_limits() {
            if let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) {
                reader.limit(keep);
            }
        }
    }

    /// With nothing in the queue, and workers that are idle: they get tasks of the claimed batch in
    /// which most are left. (Batches that no worker has claimed are rebalanced earlier.)
    fn split_longest(&mut self, state: &mut State) {
        if !state.queue.is_empty() || state.idle() == 0 {
            return;
        }
        let mut longest = None;
        for reader in &mut self.readers {
            let claimed = state.worker(reader.id).and_then(|worker| worker.claimed());
            let Some((seq, count)) = claimed else {
                reader.seen = None;
                continue;
            };
            let done = reader.done_of(seq);
            if let Some((_, before)) = reader.seen.replace((seq, done)).filter(|seen| seen.0 == seq)
            {
                // It keeps the task it is in, and those it may begin while this is decided.
                let keep = done + 1 + (done - before) / 8;
                let left = count.saturating_sub(keep);
                longest = longest.max(Some((left, keep, reader.id)));
            }
        }
        let Some((1.., keep, id)) = longest else {
            return;
        };
        if state.split_claimed(id, keep)
            && let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id)
        {
            reader.limit(keep);
        }
    }
}
