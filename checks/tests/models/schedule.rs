//! The failing schedule of a wrong version: recorded step by step while the model runs, the
//! simplest of many chosen, drawn, and held against the notes.
//!
//! A model names its steps: `step("add", "load: 0")` directly behind the operation. Both checkers
//! run the model's threads in turns on one thread of the system, with no switch between an
//! operation and the record of it, so the record is the order in which things happened.

use shuttle::{
    Config, FailurePersistence, Runner,
    scheduler::RandomScheduler,
    sync::{Condvar, Mutex, MutexGuard},
};
use std::{
    cell::{Cell, RefCell},
    fmt::Display,
    fs,
    panic::{self, AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Once,
};
use util::timeline::Steps;

thread_local! {
    static STEPS: RefCell<Steps> = RefCell::default();
    /// Whether panics of this thread are expected and so not reported.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Records what `thread` has just done, or is about to wait for.
pub fn step(thread: &str, text: impl Display) {
    STEPS.with_borrow_mut(|steps| steps.add(thread, text));
}

/// Locks, and records it. As long as it has not locked, the record says that it waits.
pub fn lock<'a, T>(thread: &str, name: &str, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
    let waits = format!("waits for {name}");
    step(thread, &waits);
    let guard = mutex.lock().unwrap();
    STEPS.with_borrow_mut(|steps| steps.retain(|of, text| of != thread || text != waits));
    step(thread, format_args!("locks {name}"));
    guard
}

/// Unlocks, and records it.
pub fn unlock<T>(thread: &str, name: &str, guard: MutexGuard<T>) {
    step(thread, format_args!("unlocks {name}")); // before: another one may lock at once
    drop(guard);
}

/// Waits for a notification, and records it. Exact, if all that is recorded meanwhile is done under
/// the same lock: shuttle may switch threads after the record and before it unlocks.
pub fn sleep<'a, T>(
    thread: &str,
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
) -> MutexGuard<'a, T> {
    step(thread, "unlocks and sleeps");
    let guard = condvar.wait(guard).unwrap();
    step(thread, "wakes up and locks");
    guard
}

/// How a run failed.
#[derive(Debug, PartialEq)]
pub struct Failure {
    /// What the panic or the checker said.
    pub said: String,
    /// What led to it.
    pub steps: Steps,
}

/// Runs `check`, which must fail, and returns how; `None`, if it passed.
pub fn failure(check: impl FnOnce()) -> Option<Failure> {
    hear_no_expected_panics();
    IS_QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(check));
    IS_QUIET.set(false);
    let error = outcome.err()?;
    let owned = error.downcast_ref::<String>().cloned();
    let said =
        owned.or_else(|| error.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
    let mut steps = STEPS.take();
    if !said.contains("deadlock") {
        steps.retain(|_, text| !text.starts_with("waits for")); // it would have got it
    }
    Some(Failure { said, steps })
}

/// A model that forgets the steps of the execution before.
pub fn recorded(model: impl Fn() + Send + Sync + 'static) -> impl Fn() + Send + Sync + 'static {
    move || {
        STEPS.take();
        model();
    }
}

/// How many failures the simplest one is chosen from.
const SEEDS: u64 = 50;

/// Looks for schedules in which `model` fails, by chance from fixed seeds (so the same ones each
/// time), and returns the simplest failure that says `expected`: the fewest switches between
/// threads, then the fewest steps.
///
/// # Panics
///
/// If a seed finds no failure, or none says so; or if the failure differs when its seed runs again.
pub fn simplest_failure(
    expected: &str,
    model: impl Fn() + Send + Sync + Copy + 'static,
) -> Failure {
    let attempt = |seed| {
        let mut config = Config::new();
        config.failure_persistence = FailurePersistence::None;
        let scheduler = RandomScheduler::new_from_seed(seed, 10_000);
        let run = || _ = Runner::new(scheduler, config).run(recorded(model));
        failure(run).expect("a wrong version passed")
    };
    let failures = (0..SEEDS).map(|seed| (seed, attempt(seed)));
    let failures = failures.filter(|(_, failure)| failure.said.contains(expected));
    let complexity = |failure: &Failure| (failure.steps.switches(), failure.steps.len());
    let simplest = failures.min_by_key(|(_, failure)| complexity(failure));
    let (seed, simplest) = simplest.expect("a failure for the expected reason");
    assert_eq!(simplest, attempt(seed));
    simplest
}

/// Both checkers report the panics of a model on standard error, hundreds here.
fn hear_no_expected_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The first run installs shuttle's hook, which has to stand below this one.
        Runner::new(RandomScheduler::new_from_seed(0, 1), Config::new()).run(|| ());
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                next(info);
            }
        }));
    });
}

/// Prints the picture of `failure`, with `end` below it, and checks that the notes of both
/// languages show it behind the mark `<!-- schedule: NAME -->`. `UPDATE=1` in the environment
/// writes it there.
///
/// # Panics
///
/// If a page shows another one, or none.
pub fn shown(name: &str, failure: &Failure, end: &str) {
    let picture = format!("```text\n{}{end}\n```\n", failure.steps);
    println!("{name}:\n{picture}");
    let mark = format!("<!-- schedule: {name} -->\n");
    let _one_at_a_time = PAGES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for language in ["en", "zh-CN"] {
        let (path, page) = page_with(&mark, &checks::root().join("notes").join(language));
        let (before, rest) = page.split_once(&mark).expect("the page has the mark");
        let length = rest.find("\n```\n").expect("the block ends") + "\n```\n".len();
        let (is, after) = rest.split_at(length);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, [before, &mark, &picture, after].concat()).unwrap();
        } else {
            let how = "UPDATE=1 cargo test -p checks --test models";
            assert_eq!(is, picture, "{}: {how}", path.display());
        }
    }
}

/// The page below `folder` that has `mark`.
fn page_with(mark: &str, folder: &Path) -> (PathBuf, String) {
    let mut paths = checks::entries(folder).unwrap();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(checks::entries(&path).unwrap());
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let page = fs::read_to_string(&path).unwrap();
            if page.contains(mark) {
                return (path, page);
            }
        }
    }
    panic!("no page in {} has {mark}", folder.display())
}

/// Tests run at once, and several may write one page.
static PAGES: std::sync::Mutex<()> = std::sync::Mutex::new(());
