//! What keeps the workers busy: the parcels that wait, those under way, and what has become of the
//! others.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::syncfs;
use serde::{Deserialize, Serialize};

use super::dir_path::DirPath;
use super::links::Linked;
use super::parcel::{BUDGET, Ground, NAMES, Outcome, Parcel, Settings};
use super::place::{End, Place};
use super::slots::Slots;
use super::walk::{Root, Walker};
use super::worker::{Copier, FOLDER};
use super::{CopyError, Failure, MAX_WORKERS, Model, Options, Progress, Summary, links, staging};
use multiproc::{Pool, TaskError, fork, signals};

/// How often the progress is told.
const TICK: Duration = Duration::from_millis(10);
/// Between two times that what is there is written to disk; and before sizes are looked up.
const LONG: Duration = Duration::from_millis(500);
/// Where a copy will take so much longer, or so few names are left, sizes are looked up: a call for
/// each file.
const LONGER: Duration = Duration::from_secs(5);
const FEW: u64 = 1000;
/// Worker processes are started for work that will take so many times as long as one waits before.
const LEFT: f64 = 4.0;
/// A single thread clones files for so long. File systems let one at a time change their tables of
/// shared blocks, so that a second thread makes a short copy slower.
const CLONE_ALONE: Duration = Duration::from_millis(10);
/// Names that may wait for a worker.
const WAITING: u64 = 1 << 20;
/// Messages for each worker process: one that it is at, and one that is there when it is done.
const AHEAD: usize = 2;
/// Parcels a message holds at most. Each message wakes three threads, for which the copying makes
/// room.
const BUNDLE: usize = 8;
/// The size of a parcel nobody has looked at.
const UNKNOWN: u64 = u64::MAX;

/// A parcel from its listing to its end.
struct Pending {
    parcel: Parcel,
    names: u64,
    /// The sum of its files' sizes, or [`UNKNOWN`]. This and the next are changed under the lock
    /// only.
    bytes: AtomicU64,
    is_done: AtomicBool,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Pending>>,
    names_waiting: u64,
    /// Parcels that threads of this process are at, and messages that worker processes have.
    here: usize,
    there: usize,
    is_pool_begun: bool,
    /// Whether files share the blocks of their originals.
    is_cloning: bool,
    /// By slot.
    under_way: Vec<Option<Arc<Pending>>>,
    is_listed: bool,
    next_id: u64,
    /// Parcels not done whose size is unknown.
    unknown: usize,
    progress: Progress,
    /// Bytes of what is done, and of parcels not done whose size is known.
    expected: u64,
    summary: Summary,
    linked: Linked,
    /// Directories in which a worker may have left something when it died.
    disturbed: BTreeSet<(End, Vec<u8>)>,
}

impl State {
    fn is_over(&self) -> bool {
        self.is_listed
            && self.waiting.is_empty()
            && self.linked.is_empty()
            && self.under_way.iter().all(Option::is_none)
    }

    /// Lets a parcel wait for a worker; how many names it has.
    fn add(&mut self, parcel: Parcel) -> u64 {
        let names = parcel.count() as u64;
        self.unknown += 1;
        self.names_waiting += names;
        let (bytes, is_done) = (AtomicU64::new(UNKNOWN), AtomicBool::new(false));
        self.waiting.push_back(Arc::new(Pending { parcel, names, bytes, is_done }));
        names
    }
}

/// One run of the copier.
pub(super) struct Engine<'a> {
    pub(super) options: &'a Options,
    pub(super) settings: Settings,
    /// Before the slots: they are given back when no worker can write to them any more.
    /// `None` in it: worker processes cannot be started.
    pool: OnceLock<Option<Pool>>,
    slots: Slots,
    begun: Instant,
    state: Mutex<State>,
    /// There is a parcel, or nothing more will come; and for the walker, there is room.
    changed: Condvar,
    /// Everything is over.
    over: Condvar,
}

/// What a feeder is to do next.
enum Turn {
    /// Start the worker processes.
    Start,
    /// Copy this parcel itself.
    Here(Arc<Pending>),
    /// Have a worker process copy these. They have the feeder's slots, in this order.
    There(Vec<Arc<Pending>>),
}

/// Parcels for a worker process, and the slot of the first; the others have the next ones.
#[derive(Serialize, Deserialize)]
struct Task {
    slot: usize,
    parcels: Vec<Parcel>,
}

thread_local! {
    /// What a worker process works with.
    static WORKER: RefCell<Option<(Slots, Copier)>> = const { RefCell::new(None) };
}

/// The initializer of a worker process.
fn set_up((slots, settings): (Slots, Settings)) {
    // Ctrl-C reaches the whole group in the foreground. It is the parent's to bring the work to an
    // end.
    let _ = rustix::process::setpgid(None, None);
    slots.is_ready();
    WORKER.set(Some((slots, Copier::new(settings))));
}

fn work(task: Task) -> Vec<Outcome> {
    WORKER.with_borrow_mut(|worker| {
        let (slots, copier) = worker.as_mut().expect("the initializer ran");
        let (mut bytes, mut outcomes) = (0, Vec::new());
        for (slot, parcel) in (task.slot..).zip(&task.parcels) {
            let outcome = if bytes < BUDGET || slots.slot(slot).is_begun() {
                copier.run(slots, slot, parcel)
            } else {
                Outcome::nothing_done()
            };
            bytes += copier.moved();
            outcomes.push(outcome);
        }
        copier.clean_up();
        outcomes
    })
}

/// The process's file mode creation mask, which cannot be asked for without being set.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Starts a thread of the engine. If it cannot be started, or panics, all come to an end.
fn start<'scope, 'env, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, 'env>,
    engine: &'scope Engine<'_>,
    body: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<thread::ScopedJoinHandle<'scope, T>> {
    spawn(scope, engine, body).inspect_err(|_| engine.stop(&mut engine.lock()))
}

/// Starts a thread of the engine that it can do without. If it panics, all come to an end.
fn spawn<'scope, 'env, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, 'env>,
    engine: &'scope Engine<'_>,
    body: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<thread::ScopedJoinHandle<'scope, T>> {
    struct StopAll<'a, 'b>(&'a Engine<'b>);
    impl Drop for StopAll<'_, '_> {
        fn drop(&mut self) {
            if thread::panicking() {
                self.0.stop(&mut self.0.lock());
            }
        }
    }
    thread::Builder::new().spawn_scoped(scope, move || {
        let _guard = StopAll(engine);
        body()
    })
}

/// Has the kernel write to disk what is in these file systems, for as long as `goes_on` holds: what
/// could not be written. `None`: it did not hold, and the kernel writes on by itself.
fn write_to_disk(
    disks: Vec<OwnedFd>,
    mut goes_on: impl FnMut() -> bool,
) -> Option<Vec<rustix::io::Errno>> {
    let (sender, written) = mpsc::channel();
    let disks = Arc::new(disks);
    let write = {
        let disks = Arc::clone(&disks);
        move || {
            let _ = sender.send(disks.iter().filter_map(|disk| syncfs(disk).err()).collect());
        }
    };
    // A call that cannot be interrupted: so it is not waited for by this thread.
    let _blocked = signals::block_all();
    if thread::Builder::new().name("copy-sync".to_owned()).spawn(write).is_err() {
        return Some(disks.iter().filter_map(|disk| syncfs(disk).err()).collect());
    }
    loop {
        match written.recv_timeout(TICK) {
            Ok(errors) => return Some(errors),
            Err(mpsc::RecvTimeoutError::Timeout) if goes_on() => {}
            Err(_) => return None,
        }
    }
}

impl<'a> Engine<'a> {
    pub(super) fn new(options: &'a Options) -> Result<Self, CopyError> {
        let slots = Self::feeders(options) * BUNDLE;
        let settings =
            Settings { on_exists: options.on_exists, preserve: options.preserve, umask: umask() };
        let state = State { under_way: vec![None; slots], ..State::default() };
        Ok(Self {
            options,
            settings,
            slots: Slots::new(slots)?,
            begun: Instant::now(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            over: Condvar::new(),
            pool: OnceLock::new(),
        })
    }

    fn feeders(options: &Options) -> usize {
        options.workers.clamp(1, MAX_WORKERS)
            * if options.model == Model::Process { AHEAD } else { 1 }
    }

    pub(super) fn run(
        mut self,
        roots: &[Root],
        mut progress: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Summary, CopyError> {
        let synced = AtomicU64::new(0);
        let mut found = thread::scope(|scope| {
            let engine = &self;
            let blocked = signals::block_all();
            // Until there are worker processes, no more threads are needed than copy themselves.
            let workers = self.options.workers.clamp(1, MAX_WORKERS);
            let at_once = self.options.processes_after.is_zero();
            let first = if at_once { Self::feeders(self.options) } else { workers };
            let mut further = first..Self::feeders(self.options);
            // The walker comes last: until it starts, nothing is touched.
            for feeder in 0..first {
                if let Err(error) = start(scope, engine, move || engine.feed(feeder * BUNDLE)) {
                    return Err(CopyError::Thread(error));
                }
            }
            if self.options.sync {
                let sync = || engine.sync_on_the_way(roots, &synced);
                start(scope, engine, sync).map_err(CopyError::Thread)?;
            }
            let walk = start(scope, engine, move || {
                let found = Walker::new(engine, roots).walk();
                engine.listed();
                engine.look_up_sizes();
                found
            });
            let walk = walk.map_err(CopyError::Thread)?;
            drop(blocked); // `progress` is the caller's code
            let mut state = self.lock();
            while !state.is_over() && !self.is_stopped() {
                let (waited, _) =
                    self.over.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner);
                let now = self.progress(&waited, &synced);
                let has_processes = waited.is_pool_begun;
                drop(waited);
                if has_processes {
                    let _blocked = signals::block_all();
                    for feeder in further.by_ref() {
                        // Without it there is one message less for a worker process to have ready.
                        let _ = spawn(scope, engine, move || engine.feed(feeder * BUNDLE));
                    }
                }
                let is_stopped = progress(&now).is_break();
                // It may have forked. The threads of the copy are not there in the fork.
                if fork::is_fork() {
                    std::process::exit(0);
                }
                if is_stopped {
                    let mut state = self.lock();
                    state.summary.is_stopped = true;
                    self.stop(&mut state);
                }
                state = self.lock();
            }
            drop(state);
            Ok(walk.join().unwrap_or_default())
        })?;

        let mut state = std::mem::take(&mut *self.lock());
        if !state.disturbed.is_empty() {
            // The workers' locks are gone when they are.
            drop(self.pool.take());
            let mut target = Place::default();
            for (root, folder) in &state.disturbed {
                let folder = target.open(root, &DirPath::from(&folder[..]));
                let _ = folder.and_then(|folder| staging::sweep(folder, &mut |_| {}));
            }
        }
        // What an earlier run was killed over is left to the next one, if this one was stopped
        // before it came to it.
        for (_, records) in found.records.extract_if(|root, _| found.unfinished.contains(root)) {
            records.leave();
        }
        let mut last = Instant::now();
        let mut goes_on = |state: &mut State| {
            if last.elapsed() >= TICK {
                last = Instant::now();
                if !self.is_stopped() && progress(&self.progress(state, &synced)).is_break() {
                    state.summary.is_stopped = true;
                    self.slots.stop();
                }
            }
            !self.is_stopped()
        };
        let mut places = (Place::default(), Place::default());
        for late in found.folders.iter().rev() {
            // What keeps others out has to be set even if the copy is stopped.
            if !goes_on(&mut state) && self.options.preserve {
                break;
            }
            if late.target_folder.depth() == 0 {
                // While the root is still open to its owner.
                found.records.remove(&late.tree.target);
            }
            if let Err(failure) = links::finish_folder(&mut places, &self.settings, late) {
                state.summary.failures.push(failure);
            }
        }
        drop(found.records);
        if self.options.sync && goes_on(&mut state) {
            for error in write_to_disk(found.disks, || goes_on(&mut state)).unwrap_or_default() {
                let error = io::Error::from(error);
                let reason = format!("it cannot be written to disk: {error}");
                let path = roots.first().map(Root::target_path).unwrap_or_default();
                state.summary.failures.push(Failure { path, reason });
            }
            synced.store(state.progress.bytes, Relaxed);
        }
        let is_over = !state.summary.is_stopped && !state.summary.is_full;
        let mut now = self.progress(&state, &synced);
        now.is_over = is_over;
        let _ = progress(&now);
        Ok(state.summary)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.slots.is_stopped()
    }

    /// Brings everything to an end. Under the lock, so that nobody is between a look and a wait.
    fn stop(&self, _state: &mut State) {
        self.slots.stop();
        self.changed.notify_all();
    }

    fn progress(&self, state: &State, synced: &AtomicU64) -> Progress {
        let (files, bytes) = self.slots.under_way();
        let bytes = state.progress.bytes + bytes;
        Progress {
            files: (state.progress.files + files).min(state.progress.files_found),
            failed: state.summary.failures.len() as u64,
            bytes,
            is_listed: state.is_listed,
            bytes_found: (state.is_listed && state.unknown == 0).then(|| state.expected.max(bytes)),
            on_disk: self.options.sync.then(|| synced.load(Relaxed)),
            ..state.progress
        }
    }

    /// The walker has found files. Waits while too many wait already.
    pub(super) fn add(&self, parcel: Parcel) {
        let mut state = self.lock();
        while state.names_waiting > WAITING && !self.is_stopped() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.next_id += 1;
        let parcel = Parcel { id: state.next_id, ..parcel };
        state.progress.files_found += state.add(parcel);
        drop(state);
        self.changed.notify_one();
    }

    /// The walker has found so much that is not for a worker.
    pub(super) fn count(&self, count: impl FnOnce(&mut Summary, &mut Progress)) {
        let mut state = self.lock();
        let State { summary, progress, .. } = &mut *state;
        count(summary, progress);
    }

    pub(super) fn failed(&self, at: PathBuf, reason: String) {
        self.count(|summary, _| summary.failures.push(Failure { path: at, reason }));
    }

    /// There is no room for anything more.
    pub(super) fn is_full(&self) {
        let mut state = self.lock();
        state.summary.is_full = true;
        self.stop(&mut state);
    }

    fn listed(&self) {
        let mut state = self.lock();
        state.is_listed = true;
        self.wake(&mut state);
        self.changed.notify_all(); // a parcel that was alone so far stays alone
    }

    /// After a change that may be the end.
    fn wake(&self, state: &mut State) {
        let nothing_else = state.is_listed
            && state.waiting.is_empty()
            && state.under_way.iter().all(Option::is_none);
        let has_linked = nothing_else && !state.linked.is_empty();
        if has_linked {
            // All names of all files are known.
            for parcel in std::mem::take(&mut state.linked).into_parcels() {
                state.next_id += 1;
                let id = state.next_id;
                state.add(Parcel { id, ..parcel });
            }
        }
        if state.is_over() {
            self.changed.notify_all();
            self.over.notify_all();
        } else if has_linked || state.is_pool_begun {
            // A worker process may be ready by now.
            self.changed.notify_all();
        }
    }

    /// Takes parcels and has them copied, until there are none. The slots from `slot` on are this
    /// feeder's.
    fn feed(&self, slot: usize) {
        let mut own = None;
        while let Some(turn) = self.take(slot) {
            match turn {
                Turn::Start => self.start_pool(),
                Turn::Here(pending) => {
                    let copier = own.get_or_insert_with(|| Copier::new(self.settings.clone()));
                    let outcome = copier.run(&self.slots, slot, &pending.parcel);
                    let mut state = self.lock();
                    state.here -= 1;
                    if outcome.bytes > 0 && copier.moved() == 0 {
                        state.is_cloning = true;
                        self.changed.notify_one(); // one that has let this thread clone alone
                    }
                    self.settle(&mut state, slot, &pending, outcome);
                    self.wake(&mut state);
                }
                Turn::There(bundle) => {
                    let outcomes = self.send(slot, &bundle);
                    let mut state = self.lock();
                    state.there -= 1;
                    for ((slot, pending), outcome) in (slot..).zip(&bundle).zip(outcomes) {
                        self.settle(&mut state, slot, pending, outcome);
                    }
                    self.wake(&mut state);
                }
            }
        }
    }

    /// What the feeder with these slots is to do. Until worker processes are there, so many threads
    /// of this process copy instead of them; unless processes are wanted at once. A single parcel
    /// is not worth any.
    fn take(&self, slot: usize) -> Option<Turn> {
        let (processes, workers) =
            (self.options.model == Model::Process, self.options.workers.clamp(1, MAX_WORKERS));
        let at_once = processes && self.options.processes_after.is_zero();
        let mut state = self.lock();
        loop {
            if self.is_stopped() || state.is_over() {
                return None;
            }
            let ready = match self.pool.get() {
                Some(Some(_)) if at_once => workers,
                Some(Some(_)) => self.slots.ready().min(workers),
                _ => 0,
            };
            let waiting = state.waiting.len();
            let is_long = state.waiting.front().is_some_and(|next| next.parcel.is_long());
            let is_alone =
                state.is_listed && waiting == 1 && state.under_way.iter().all(Option::is_none);
            let here = match self.pool.get() {
                _ if is_long => workers,
                None if at_once && !is_alone => 0,
                _ if state.is_cloning && self.begun.elapsed() < CLONE_ALONE => 1,
                _ => workers - ready,
            };
            if processes && !state.is_pool_begun && self.is_worth_processes(&state) {
                state.is_pool_begun = true;
                return Some(Turn::Start);
            } else if state.there < ready * AHEAD && waiting > 0 && !is_long {
                // Fewer towards the end, so that all workers come to it at about the same time.
                let count = (waiting / (2 * AHEAD * workers)).clamp(1, BUNDLE);
                let bundle = (slot..slot + count).map_while(|slot| {
                    let next = state.waiting.front().filter(|next| !next.parcel.is_long());
                    next.is_some().then(|| self.begin(&mut state, slot)).flatten()
                });
                let bundle = bundle.collect();
                state.there += 1;
                return Some(Turn::There(bundle));
            } else if state.here < here
                && let Some(pending) = self.begin(&mut state, slot)
            {
                state.here += 1;
                return Some(Turn::Here(pending));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether to start worker processes: if the work has taken a while, and will take much longer
    /// to judge by the files done so far.
    fn is_worth_processes(&self, state: &State) -> bool {
        let (elapsed, after) = (self.begun.elapsed(), self.options.processes_after);
        let done = state.progress.files + self.slots.under_way().0;
        let left = state.progress.files_found.saturating_sub(done);
        let parcels = state.waiting.len() + state.under_way.iter().flatten().count();
        parcels > 1
            && elapsed >= after
            && elapsed.as_secs_f64() * left as f64 >= LEFT * after.as_secs_f64() * done as f64
    }

    /// The next parcel, under way from now on.
    fn begin(&self, state: &mut State, slot: usize) -> Option<Arc<Pending>> {
        let pending = state.waiting.pop_front()?;
        let before = state.names_waiting;
        state.names_waiting -= pending.names;
        if before > WAITING && state.names_waiting <= WAITING {
            self.changed.notify_all();
        }
        state.under_way[slot] = Some(Arc::clone(&pending));
        self.slots.slot(slot).reset();
        Some(pending)
    }

    fn start_pool(&self) {
        let start = || {
            let slots = self.slots.clone();
            let builder = Pool::builder().workers(self.options.workers.clamp(1, MAX_WORKERS));
            let builder = builder.initializer(set_up, (slots, self.settings.clone()));
            builder.build().map_err(io::Error::other)
        };
        // Without worker processes the threads of this one copy everything.
        let _ = self.pool.set(start().ok());
        let _state = self.lock();
        self.changed.notify_all();
    }

    /// Has a worker process copy these parcels; again, if it dies.
    fn send(&self, slot: usize, bundle: &[Arc<Pending>]) -> Vec<Outcome> {
        let parcels = bundle.iter().map(|pending| pending.parcel.clone()).collect();
        match self.apply(slot, parcels) {
            Ok(outcomes) => outcomes,
            // It killed three workers, or none can be had. One of them may be to blame for it; the
            // others are not lost.
            Err(_) if bundle.len() > 1 => {
                let alone = (slot..).zip(bundle.chunks(1));
                alone.flat_map(|(slot, pending)| self.send(slot, pending)).collect()
            }
            Err(error) => {
                let all = (slot..).zip(bundle);
                all.map(|(slot, pending)| self.one_by_one(slot, &pending.parcel, &error)).collect()
            }
        }
    }

    fn apply(&self, slot: usize, parcels: Vec<Parcel>) -> Result<Vec<Outcome>, TaskError> {
        let pool = self.pool.get().and_then(Option::as_ref).expect("it was started");
        pool.options().retry_lost().apply(work, Task { slot, parcels })
    }

    /// Has each name of a parcel that its workers died of copied by itself: so only the one to
    /// blame is lost.
    fn one_by_one(&self, slot: usize, parcel: &Parcel, error: &TaskError) -> Outcome {
        let progress = self.slots.slot(slot);
        let names = 0..parcel.count();
        let done: Vec<bool> = names.clone().map(|at| progress.is_done(at)).collect();
        let lost = |at: usize, error: &TaskError| {
            let failure = (at, format!("no worker could copy it: {error}"));
            Outcome { failures: vec![failure], ..Outcome::default() }
        };
        let mut all = Outcome::default();
        if !parcel.further.is_empty() {
            // One file, whose names cannot be told apart.
            names.for_each(|at| all.add(0, lost(at, error)));
            return all;
        }
        let renaming: Vec<bool> = names.map(|at| progress.was_renaming(at)).collect();
        let folder_renaming = progress.was_renaming(FOLDER);
        let alone = |part: Parcel, is_done: bool, renaming: Option<usize>| {
            progress.reset();
            if is_done {
                progress.mark_done(0);
            }
            if let Some(position) = renaming {
                progress.begin(); // by the dead
                progress.mark_renaming(position);
            }
            let outcome = self.apply(slot, vec![part]);
            outcome.map(|mut outcomes| outcomes.pop().unwrap_or_default())
        };

        if parcel.ground == Ground::Unmade && !done.contains(&true) {
            let folder = Parcel { names: Vec::new(), ..parcel.clone() };
            let made = alone(folder, false, folder_renaming.then_some(FOLDER));
            all.add(0, made.unwrap_or_default());
        }
        let is_to_blame = done.len() == 1 && !done[0];
        for (at, part) in parcel.split(0, 1).into_iter().enumerate() {
            let renaming = (renaming[at] || folder_renaming).then_some(0);
            let outcome = if is_to_blame {
                lost(0, error)
            } else {
                alone(part, done[at], renaming).unwrap_or_else(|error| lost(0, &error))
            };
            all.add(at, outcome);
            if all.rest.is_some() {
                break;
            }
        }
        // Its workers have died; this is looked at when it is settled.
        progress.begin();
        progress.begin();
        all
    }

    /// A parcel has come back.
    fn settle(&self, state: &mut State, slot: usize, pending: &Arc<Pending>, outcome: Outcome) {
        let parcel = &pending.parcel;
        state.under_way[slot] = None;
        if self.slots.slot(slot).is_begun_again() || self.is_stopped() {
            for parcel in std::iter::once(parcel).chain(&parcel.further) {
                state.disturbed.insert((parcel.tree.target.clone(), parcel.base.to_bytes()));
            }
        }
        self.slots.slot(slot).reset();
        if outcome.rest == Some(0) && !self.is_stopped() {
            // It was not begun: others can take it as it is.
            state.names_waiting += pending.names;
            state.waiting.push_front(Arc::clone(pending));
            return self.changed.notify_all();
        }
        pending.is_done.store(true, Relaxed);
        let rest = outcome.rest.unwrap_or(pending.names as usize);
        match pending.bytes.load(Relaxed) {
            UNKNOWN => state.unknown -= 1,
            bytes => state.expected -= bytes,
        }
        state.expected += outcome.bytes;
        state.progress.bytes += outcome.bytes;
        state.progress.files += (rest - outcome.linked.len()) as u64;

        let summary = &mut state.summary;
        summary.files += outcome.files;
        summary.bytes += outcome.bytes;
        summary.folders += outcome.folders;
        summary.links += outcome.links;
        summary.others += outcome.others;
        summary.skipped += outcome.skipped;
        for (at, reason) in outcome.failures {
            let path = path(&parcel.source_path(at));
            summary.failures.push(Failure { path, reason });
        }
        if outcome.full {
            summary.is_full = true;
            self.stop(state);
        }
        for (at, inode) in outcome.linked {
            if let Some(one) = parcel.split(at, 1).into_iter().next() {
                state.linked.add(inode, one);
            }
        }
        if rest < pending.names as usize && !self.is_stopped() {
            // As many names as will come to about a budget; at first it may have been a large one
            // by chance.
            let size = BUDGET * rest as u64 / outcome.bytes.max(1);
            let size = usize::try_from(size).unwrap_or(NAMES).clamp(1, NAMES);
            for part in parcel.split(rest, size) {
                state.next_id += 1;
                let id = state.next_id;
                state.add(Parcel { id, ..part });
                self.changed.notify_all();
            }
        }
    }

    /// Looks up the sizes of what is not done yet: only where there is enough of it.
    fn look_up_sizes(&self) {
        let (mut source, mut looked_at) = (Place::default(), 0);
        loop {
            let mut state = self.lock();
            while state.unknown == 0 || !self.is_worth_sizes(&state) {
                if state.is_over() || self.is_stopped() {
                    return;
                }
                state = self
                    .over
                    .wait_timeout(state, TICK / 2)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            if state.is_over() || self.is_stopped() {
                return;
            }
            // Those that were added since the last time are at the end.
            let is_new = |pending: &&Arc<Pending>| pending.parcel.id > looked_at;
            let parcels = state.under_way.iter().flatten().filter(is_new);
            let parcels = parcels.chain(state.waiting.iter().rev().take_while(is_new));
            let unknown: Vec<Arc<Pending>> = parcels.cloned().collect();
            looked_at = state.next_id;
            drop(state);
            for pending in unknown {
                if self.is_stopped() {
                    return;
                }
                let bytes = super::walk::bytes_of(&mut source, &pending.parcel);
                let mut state = self.lock();
                if !pending.is_done.load(Relaxed) {
                    pending.bytes.store(bytes, Relaxed);
                    state.unknown -= 1;
                    state.expected += bytes;
                }
            }
        }
    }

    /// Whether it is worth while to look up sizes, to judge by the files done so far.
    fn is_worth_sizes(&self, state: &State) -> bool {
        let (elapsed, progress) = (self.begun.elapsed(), &state.progress);
        let done = progress.files + self.slots.under_way().0;
        let left = progress.files_found.saturating_sub(done);
        let takes_longer = elapsed.as_secs_f64() * left as f64 > LONGER.as_secs_f64() * done as f64;
        elapsed > LONG && (left < FEW || takes_longer)
    }

    /// Writes to disk what is there, again and again, so that little is left to wait for at the
    /// end.
    fn sync_on_the_way(&self, roots: &[Root], synced: &AtomicU64) {
        let mut disks: Vec<OwnedFd> = Vec::new();
        loop {
            let state = self.lock();
            if state.is_over() || self.is_stopped() {
                return;
            }
            let (state, _) =
                self.over.wait_timeout(state, LONG).unwrap_or_else(PoisonError::into_inner);
            let bytes = state.progress.bytes;
            drop(state);
            if disks.is_empty() {
                disks.extend(roots.iter().filter_map(Root::disk));
            }
            let again = disks.iter().filter_map(|disk| disk.try_clone().ok()).collect();
            if write_to_disk(again, || !self.is_stopped()).is_some_and(|errors| errors.is_empty()) {
                synced.store(bytes, Relaxed);
            }
        }
    }
}
