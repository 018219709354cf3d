//! The pool's side: which task goes to which worker, and what becomes of it.
//!
//! Tasks wait in one queue here, in the parent, where no worker's death can touch them. Each worker has a ring for tasks and one for results, and is given
//! some tasks ahead so that it need not wait; offers it has not begun can be taken back ([`Board`]), for a worker with nothing to
//! do or when this one dies. One thread, the *collector*, reads all rings of results and sees all deaths; it sleeps on one bell, which the
//! workers ring when they have written and the reaper when one of them has ended. Whoever submits a task also hands it out, without
//! waiting for the collector.
//!
//! Locks: a sink's lock may be held while the state's is taken, never the other way round.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::ring::{self, Doorbell};

use super::Refused;
use super::board::{Board, PLACES, Records};
use super::task::{Sink, TaskError, Tasks};
use super::worker::{Begin, Head, Setup, keep_small, tag, work};
use crate::fork;
use crate::panics::{self, Panic};
use crate::process::{Builder, Child, SpawnError};
use crate::reaper::End;
use crate::remote::Remote;
use crate::sync::lock;
use crate::threads;

/// Bytes a ring holds; longer messages pass in pieces.
const TASKS_RING: usize = 512 * 1024;
const RESULTS_RING: usize = 256 * 1024;

/// How far ahead a worker is given tasks: so many batches, or so many bytes of arguments.
const AHEAD: usize = 128;
const AHEAD_BYTES: usize = 256 * 1024;

/// Where a `map` waits before it encodes more: so many batches in the queue, or so many bytes.
const QUEUE: usize = 1024;
const QUEUE_BYTES: usize = 16 << 20;

/// A task that may run again has killed so many workers: that is enough.
const DEATHS_A_TASK: u32 = 3;

/// A worker that ran nothing and died younger than this was of no use.
const YOUNG: Duration = Duration::from_secs(1);

/// After so many results in one look, the next ones come soon: the collector takes a nap instead of asking to be woken for each.
const BURST: usize = 16;
const NAP: Duration = Duration::from_micros(30);

/// How often to look into the logs of workers that have a batch of several tasks, while none of them sends anything: at first, and at last.
const SLOWLY: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(16)];

/// When to try again to start a worker that could not be started.
const RETRY: Duration = Duration::from_millis(20);

/// How the workers are to be.
pub(super) struct Plan {
    pub(super) workers: usize,
    pub(super) tasks_a_worker: Option<usize>,
    pub(super) initialiser: Option<Initialiser>,
}

/// What each worker runs first: the function, and a fresh encoding of its argument.
pub(super) struct Initialiser {
    pub(super) entry: Remote<Setup>,
    pub(super) argument: Box<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing more is submitted; what is there is finished.
    Closed,
    /// Nothing more is run.
    Terminated,
}

struct Worker {
    id: u64,
    child: Child<()>,
    tasks: ring::Sender,
    board: Arc<Board>,
    /// Given and not finished, in the order they were sent.
    given: VecDeque<(u64, Tasks)>,
    given_bytes: usize,
    /// The rest of a message that did not fit into the ring.
    unsent: Option<Vec<u8>>,
    number: u64,
    /// Tasks given in its whole life.
    lifetime: usize,
    /// Gets no more tasks, and ends after those it has.
    retired: bool,
    ready: bool,
    useful: bool,
    born: Instant,
}

struct State {
    queue: VecDeque<Tasks>,
    queue_bytes: usize,
    workers: Vec<Worker>,
    phase: Phase,
    broken: Option<String>,
    /// Callers of `map` that wait for room in the queue.
    waiting: usize,
    /// Whether the collector looks into the logs by itself; nobody tells it when something is there.
    collector_looks: bool,
    /// Workers that died young and useless, or could not be started, since the last result.
    useless: usize,
    last_trouble: Option<String>,
    retry_at: Option<Instant>,
    next_id: u64,
    message: Vec<u8>,
}

/// What the pool, its collector and its iterators share.
pub(super) struct Dispatch {
    plan: Plan,
    state: Mutex<State>,
    room: Condvar,
    bell: Doorbell,
    ended: Arc<Mutex<Vec<(u64, End)>>>,
}

/// Where a worker's results come from.
struct Source {
    id: u64,
    results: ring::Receiver,
    board: Arc<Board>,
    progress: Progress,
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

/// What a worker says of the tasks of its batch.
enum Finished<'a> {
    /// The next one's result, and its tag.
    One(u8, &'a [u8]),
    /// The results from position `first` on; some may be known.
    Logged { number: u64, first: usize, records: Records<'a> },
}

impl Worker {
    fn accepts(&self) -> bool {
        let span = self.given.front().map_or(0, |(number, _)| self.number - number);
        !self.retired
            && self.unsent.is_none()
            && (self.given.is_empty()
                || (self.given.len() < AHEAD
                    && self.given_bytes < AHEAD_BYTES
                    && (span as usize) < PLACES - 1))
    }

    /// Gives it the tasks; the worker accepts them.
    fn give(&mut self, tasks: Tasks, limit: Option<usize>, message: &mut Vec<u8>) {
        self.number += 1;
        let head = Head { number: self.number, count: tasks.count, entry: tasks.entry };
        message.clear();
        let mut built =
            postcard::to_extend(&head, std::mem::take(message)).expect("numbers always encode");
        built.extend_from_slice(&tasks.arguments);
        *message = built;
        self.board.offer(self.number);
        self.lifetime += tasks.count;
        self.given_bytes += tasks.arguments.len();
        self.given.push_back((self.number, tasks));
        // A closed ring is one whose worker has died; its tasks go to others when that is seen.
        if let Ok(false) = self.tasks.try_send(message) {
            self.unsent = Some(std::mem::take(message));
        }
        keep_small(message);
        if limit.is_some_and(|limit| self.lifetime >= limit) {
            self.retire();
        }
    }

    /// Sends more of what did not fit.
    fn flush(&mut self) {
        if let Some(message) = &self.unsent
            && !matches!(self.tasks.try_send(message), Ok(false))
        {
            self.unsent = None;
            if self.retired {
                self.tasks.close();
            }
        }
    }

    /// Lets it end after what it was given.
    fn retire(&mut self) {
        self.retired = true;
        if self.unsent.is_none() {
            self.tasks.close();
        }
    }

    /// Removes the first batch: it is finished.
    fn finish(&mut self) -> Option<(u64, Tasks)> {
        let finished = self.given.pop_front()?;
        self.given_bytes -= finished.1.arguments.len();
        self.useful = true;
        Some(finished)
    }

    /// Takes back up to half of what it has not begun, the latest first.
    fn take_back(&mut self) -> Vec<Tasks> {
        let mut taken = Vec::new();
        for _ in 0..self.given.len() / 2 {
            let Some((number, _)) = self.given.back() else {
                break;
            };
            if !self.board.take_back(*number) {
                break;
            }
            let Some((_, tasks)) = self.given.pop_back() else {
                break;
            };
            self.given_bytes -= tasks.arguments.len();
            self.lifetime -= tasks.count;
            taken.push(tasks);
        }
        taken
    }
}

impl State {
    /// Hands out what is in the queue, each to the worker that has the least.
    fn hand_out(&mut self, limit: Option<usize>) {
        self.workers.iter_mut().for_each(Worker::flush);
        while !self.queue.is_empty() {
            let accepting = self.workers.iter_mut().filter(|worker| worker.accepts());
            let Some(worker) = accepting.min_by_key(|worker| (worker.given.len(), !worker.ready))
            else {
                return;
            };
            if let Some(tasks) = self.queue.pop_front() {
                self.queue_bytes -= tasks.arguments.len();
                worker.give(tasks, limit, &mut self.message);
            }
        }
        self.level(limit);
    }

    /// With nothing in the queue: a worker with nothing to do gets what another has not begun.
    fn level(&mut self, limit: Option<usize>) {
        for idle in 0..self.workers.len() {
            let worker = &self.workers[idle];
            if !(worker.ready && worker.given.is_empty() && worker.accepts()) {
                continue;
            }
            let others = self.workers.iter_mut().filter(|worker| !worker.retired);
            let Some(busiest) = others.max_by_key(|worker| worker.given.len()) else {
                return;
            };
            if busiest.given.len() < 2 {
                return;
            }
            for tasks in busiest.take_back().into_iter().rev() {
                let worker = &mut self.workers[idle];
                if worker.accepts() {
                    worker.give(tasks, limit, &mut self.message);
                } else {
                    self.enqueue_first(tasks);
                }
            }
        }
    }

    fn enqueue_first(&mut self, tasks: Tasks) {
        self.queue_bytes += tasks.arguments.len();
        self.queue.push_front(tasks);
    }

    /// Everything not finished, out of the queue and from the workers.
    fn take_all(&mut self) -> Vec<Tasks> {
        self.queue_bytes = 0;
        let given = self.workers.iter_mut().flat_map(|worker| {
            worker.given_bytes = 0;
            worker.given.drain(..).map(|(_, tasks)| tasks)
        });
        let mut all: Vec<Tasks> = given.collect();
        all.extend(self.queue.drain(..));
        all
    }

    /// No task is run any more.
    fn stop(&mut self) -> Vec<Tasks> {
        self.phase = Phase::Terminated;
        for worker in &mut self.workers {
            worker.retired = true;
            // One that has become another user's cannot be killed; it ends when its ring is closed.
            let _ = worker.child.kill();
            worker.tasks.close();
        }
        self.take_all()
    }

    /// How many workers there should be.
    fn wanted(&self, plan: &Plan) -> usize {
        match self.phase {
            Phase::Open => plan.workers,
            Phase::Closed => plan.workers.min(self.queue.len()),
            Phase::Terminated => 0,
        }
    }
}

impl Dispatch {
    /// Starts the workers and the collector.
    pub(super) fn start(plan: Plan) -> Result<(Arc<Self>, thread::JoinHandle<()>), SpawnError> {
        let state = State {
            queue: VecDeque::new(),
            queue_bytes: 0,
            workers: Vec::new(),
            phase: Phase::Open,
            broken: None,
            waiting: 0,
            collector_looks: false,
            useless: 0,
            last_trouble: None,
            retry_at: None,
            next_id: 1,
            message: Vec::new(),
        };
        let dispatch = Arc::new(Self {
            plan,
            state: Mutex::new(state),
            room: Condvar::new(),
            bell: Doorbell::new()?,
            ended: Arc::default(),
        });
        let mut sources = Vec::new();
        let mut state = lock(&dispatch.state);
        for _ in 0..dispatch.plan.workers {
            match dispatch.hire(&mut state) {
                Ok(source) => sources.push(source),
                Err(error) => {
                    state.stop();
                    return Err(error);
                }
            }
        }
        drop(state);
        let shared = Arc::clone(&dispatch);
        let collector = threads::start("pool", None, move || shared.collect(sources));
        match collector {
            Ok(collector) => Ok((dispatch, collector)),
            Err(error) => {
                lock(&dispatch.state).stop();
                Err(error.into())
            }
        }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The ids of the living workers.
    pub(super) fn worker_ids(&self) -> Vec<u32> {
        if fork::is_fork() {
            return Vec::new();
        }
        let state = lock(&self.state);
        state
            .workers
            .iter()
            .filter(|worker| worker.child.is_alive())
            .map(|worker| worker.child.id())
            .collect()
    }

    /// Why nothing can be submitted, if so.
    fn refusal(state: &State) -> Option<TaskError> {
        match (&state.broken, state.phase) {
            (Some(reason), _) => Some(TaskError::Broken(reason.clone())),
            (None, Phase::Open) => None,
            (None, Phase::Closed) => Some(TaskError::Closed),
            (None, Phase::Terminated) => Some(TaskError::Terminated),
        }
    }

    /// Puts tasks into the queue and hands out what can be. With `patient`, waits first while the queue is long.
    pub(super) fn submit(&self, tasks: Tasks, patient: bool) -> Result<(), Refused> {
        if fork::is_fork() {
            return Err(Refused { tasks: Box::new(tasks), error: TaskError::Forked });
        }
        let mut state = lock(&self.state);
        while patient
            && (state.queue.len() >= QUEUE || state.queue_bytes >= QUEUE_BYTES)
            && state.phase == Phase::Open
        {
            state.waiting += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        if let Some(error) = Self::refusal(&state) {
            return Err(Refused { tasks: Box::new(tasks), error });
        }
        let is_gathered = tasks.count > 1;
        state.queue_bytes += tasks.arguments.len();
        state.queue.push_back(tasks);
        state.hand_out(self.plan.tasks_a_worker);
        if is_gathered && !state.collector_looks {
            state.collector_looks = true;
            drop(state);
            self.bell.ring();
        }
        Ok(())
    }

    /// Nothing more is submitted.
    pub(super) fn close(&self) {
        if fork::is_fork() {
            return;
        }
        let mut state = lock(&self.state);
        if state.phase == Phase::Open {
            state.phase = Phase::Closed;
        }
        drop(state);
        self.room.notify_all();
        self.bell.ring();
    }

    /// Nothing more is run.
    pub(super) fn terminate(&self) {
        if fork::is_fork() {
            return;
        }
        let unfinished = lock(&self.state).stop();
        self.room.notify_all();
        self.bell.ring();
        unfinished.into_iter().for_each(|tasks| tasks.fail(&TaskError::Terminated));
    }

    /// Starts one worker.
    fn hire(&self, state: &mut State) -> Result<Source, SpawnError> {
        let id = state.next_id;
        state.next_id += 1;
        let (tasks, their_tasks) = ring::create_with(TASKS_RING, None, Some(&self.bell))?;
        let (their_results, results) = ring::create_with(RESULTS_RING, Some(&self.bell), None)?;
        let board = Arc::new(Board::new()?);
        let initialiser = match &self.plan.initialiser {
            None => None,
            Some(Initialiser { entry, argument }) => {
                Some((*entry, argument().map_err(SpawnError::Encode)?))
            }
        };
        let begin = Begin {
            tasks: their_tasks,
            results: their_results,
            board: board.try_clone()?,
            initialiser,
        };
        let (ended, bell) = (Arc::clone(&self.ended), self.bell.clone());
        let on_end = move |end| {
            lock(&ended).push((id, end));
            bell.ring();
        };
        let child = Builder::new(work)
            .name(format!("PoolWorker-{id}"))
            .spawn_and_then(begin, Some(Box::new(on_end)))?;
        state.workers.push(Worker {
            id,
            child,
            tasks,
            board: Arc::clone(&board),
            given: VecDeque::new(),
            given_bytes: 0,
            unsent: None,
            number: 0,
            lifetime: 0,
            retired: false,
            ready: false,
            useful: false,
            born: Instant::now(),
        });
        Ok(Source { id, results, board, progress: Progress::default() })
    }

    /// The collector's thread: until the pool is closed and its last worker has ended.
    fn collect(&self, mut sources: Vec<Source>) {
        let outcome = panics::catch(|| {
            let mut pace = SLOWLY[0];
            let mut read_logs = false;
            loop {
                let found = self.look(&mut sources, read_logs);
                read_logs = false;
                if found >= BURST {
                    thread::sleep(NAP);
                }
                if found > 0 {
                    pace = SLOWLY[0];
                    continue;
                }
                let ticket = self.bell.ticket();
                if self.look(&mut sources, false) > 0 {
                    continue;
                }
                let mut state = lock(&self.state);
                if state.phase != Phase::Open && state.workers.is_empty() && state.queue.is_empty()
                {
                    return;
                }
                let is_gathering = |worker: &Worker| {
                    worker.given.front().is_some_and(|(_, tasks)| tasks.count > 1)
                };
                let read_at = state.workers.iter().any(is_gathering).then(|| Instant::now() + pace);
                state.collector_looks = read_at.is_some();
                let until = [read_at, state.retry_at].into_iter().flatten().min();
                drop(state);
                self.bell.wait(ticket, until);
                if read_at.is_some_and(|at| Instant::now() >= at) {
                    read_logs = true;
                    pace = (pace * 2).min(SLOWLY[1]);
                }
            }
        });
        if let Err(panic) = outcome {
            // Nobody must wait for results that nobody collects.
            self.give_up(panic.to_string());
        }
    }

    /// Collects what is there, sees to the dead, hands out more; how much there was.
    fn look(&self, sources: &mut Vec<Source>, read_logs: bool) -> usize {
        // The dead first: what they wrote before they died is read below or in `bury`.
        let ended = std::mem::take(&mut *lock(&self.ended));
        let mut found = ended.len();
        for source in sources.iter_mut() {
            found += self.read(source);
            if read_logs {
                found += self.read_log(source);
            }
        }
        for (id, end) in ended {
            if let Some(position) = sources.iter().position(|source| source.id == id) {
                self.bury(sources.swap_remove(position), end);
            }
        }
        let mut state = lock(&self.state);
        self.staff(&mut state, sources);
        if state.workers.is_empty() && state.useless >= self.patience() && state.broken.is_none() {
            let reason = state.last_trouble.clone().unwrap_or_default();
            drop(state);
            self.give_up(reason);
            return found + 1;
        }
        state.hand_out(self.plan.tasks_a_worker);
        if state.phase == Phase::Closed
            && state.queue.is_empty()
            && state.workers.iter().all(|worker| worker.given.is_empty())
        {
            state.workers.iter_mut().filter(|worker| !worker.retired).for_each(Worker::retire);
        }
        if state.waiting > 0 && state.queue.len() < QUEUE / 2 && state.queue_bytes < QUEUE_BYTES / 2
        {
            self.room.notify_all();
        }
        found
    }

    /// Keeps up the number of workers.
    fn staff(&self, state: &mut State, sources: &mut Vec<Source>) {
        if state.broken.is_some() || state.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        state.retry_at = None;
        // One that gets no more tasks has a place until it has ended: there are never more processes than were asked for.
        while state.workers.len() < state.wanted(&self.plan) {
            match self.hire(state) {
                Ok(source) => sources.push(source),
                Err(error) => {
                    state.useless += 1;
                    state.last_trouble = Some(error.to_string());
                    state.retry_at = Some(Instant::now() + RETRY);
                    break;
                }
            }
        }
    }

    /// Workers that may die young and useless in a row before the pool gives up.
    fn patience(&self) -> usize {
        2 * self.plan.workers + 3
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
                tag::READY => self.with_worker(source.id, |worker| worker.ready = true),
                tag::NOT_READY => {
                    let reason = match postcard::from_bytes::<Panic>(rest) {
                        Ok(panic) => format!("the initialiser {panic}"),
                        Err(error) => error.to_string(),
                    };
                    lock(&self.state).last_trouble = Some(reason);
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
                    found += self.settle(source.id, &mut source.progress, logged);
                }
                _ => {
                    found += self.settle(source.id, &mut source.progress, Finished::One(tag, rest))
                }
            }
        }
        found
    }

    /// Reads what a worker has finished and not sent; how much it was.
    fn read_log(&self, source: &mut Source) -> usize {
        let Some(logged) = source.board.read_log() else {
            return 0;
        };
        let records = Records::new(&logged.bytes);
        let logged = Finished::Logged { number: logged.batch, first: logged.first, records };
        self.settle(source.id, &mut source.progress, logged)
    }

    /// Delivers results of a worker's current batch; how many were new.
    fn settle(&self, id: u64, progress: &mut Progress, finished: Finished<'_>) -> usize {
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
        let mut open = sink.open();
        let new = match finished {
            Finished::One(tag, rest) => {
                open.deliver(index, tag, rest);
                1
            }
            Finished::Logged { first, mut records, .. } => match progress.done.checked_sub(first) {
                Some(known) => {
                    records.pass_over(known);
                    open.deliver_records(index, progress.count - progress.done, records)
                }
                // Logs come in order, so there is no gap.
                None => 0,
            },
        };
        drop(open);
        progress.done += new;
        if progress.done < progress.count {
            progress.sink = Some(sink);
        } else {
            if progress.count > 1 {
                self.with_worker(id, |worker| drop(worker.finish()));
            }
            progress.done = 0;
        }
        new
    }

    /// Finds out which batch a worker is at; false if it is not the expected one. A batch of one ends with its first result, and is taken off the worker's list here.
    fn next_batch(&self, id: u64, progress: &mut Progress, expected: Option<u64>) -> bool {
        let mut state = lock(&self.state);
        state.useless = 0;
        let Some(worker) = state.workers.iter_mut().find(|worker| worker.id == id) else {
            return false;
        };
        // Nothing given any more, or another one: the pool was terminated, or this is the log of a batch whose results have been read.
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
        worker.useful = true;
        if progress.count == 1 {
            worker.finish();
        }
        true
    }

    fn with_worker(&self, id: u64, change: impl FnOnce(&mut Worker)) {
        if let Some(worker) = lock(&self.state).workers.iter_mut().find(|worker| worker.id == id) {
            change(worker);
        }
    }

    /// A worker has ended: what it finished counts, the task it was in is lost or run again, the rest goes to others.
    fn bury(&self, mut source: Source, end: End) {
        // From here on the ring says `Closed` after its last whole message.
        source.results.close();
        while self.read(&mut source) > 0 {}
        self.read_log(&mut source);
        let done = source.progress.done;

        let mut lost = None;
        let mut state = lock(&self.state);
        let Some(position) = state.workers.iter().position(|worker| worker.id == source.id) else {
            return;
        };
        let mut worker = state.workers.remove(position);
        let mut given = std::mem::take(&mut worker.given).into_iter();
        let mut again = Vec::new();
        if let Some((number, mut tasks)) = given.next() {
            if done == 0 && worker.board.take_back(number) {
                again.push(tasks);
            } else {
                worker.useful = true;
                let deaths = if done == 0 { tasks.deaths + 1 } else { 1 };
                if tasks.may_run_again && deaths < DEATHS_A_TASK {
                    if let Some(mut rest) = tasks.after(done) {
                        rest.deaths = deaths;
                        again.push(rest);
                    }
                } else {
                    lost = Some((Arc::clone(&tasks.sink), tasks.first + done));
                    tasks.deaths = 0;
                    again.extend(tasks.after(done + 1));
                }
            }
        }
        again.extend(given.map(|(_, tasks)| tasks));
        again.into_iter().rev().for_each(|tasks| state.enqueue_first(tasks));

        if !worker.useful && !worker.retired && worker.born.elapsed() < YOUNG {
            state.useless += 1;
        }
        let reason =
            state.last_trouble.clone().unwrap_or_else(|| format!("workers die at once ({end:?})"));
        let give_up = state.useless >= self.patience() && state.phase != Phase::Terminated;
        drop(state);

        if let Some((sink, index)) = lost {
            let signal = match end {
                End::Status(status) => status.signal(),
                End::Unknown => None,
            };
            sink.open().fail(index, TaskError::WorkerLost { signal });
        }
        if give_up {
            self.give_up(reason);
        }
    }

    /// The pool cannot go on.
    fn give_up(&self, reason: String) {
        let mut state = lock(&self.state);
        let error = TaskError::Broken(reason.clone());
        state.broken = Some(reason);
        let unfinished = state.stop();
        drop(state);
        self.room.notify_all();
        unfinished.into_iter().for_each(|tasks| tasks.fail(&error));
    }
}
