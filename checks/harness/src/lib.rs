//! A test harness for tests that start processes.
//!
//! The standard harness has a `main` of its own, and `multiproc::init()` must come first in `main`.
//! So a test file with `harness = false` has its own `main`, which [`tests!`] writes, and calls
//! [`run`] of this crate. The command line and the output are those of the standard harness. In
//! addition, every test has a deadline, and fails if it leaves a process behind.
//!
//! [`run_at_once`] is for tests that are made at run time, such as one for each case.
//!
//! This crate depends on nothing, because `multiproc`, the manager and the copier use it for their
//! tests.

mod arguments;
mod deadline;
mod durations;
mod process;
mod report;
mod scratch;
mod wait;

use std::{
    any::Any,
    error::Error,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, ExitCode, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use arguments::Arguments;
use report::Report;

pub use deadline::{Deadline, deadline};
pub use durations::functions_with_a_duration;
pub use process::{Stat, is_gone, open_descriptors};
pub use scratch::Scratch;
pub use wait::wait_until;

/// Names, in the environment, the helper that the test program is to run instead of its tests.
pub const HELPER: &str = "MULTIPROC_TEST_HELPER";

/// No test may take longer, however loaded the machine is.
const LIMIT: Duration = Duration::from_secs(120);

/// The same for tests of which several run at once, and which have time limits inside.
const LIMIT_AT_ONCE: Duration = Duration::from_secs(1200);

/// The status with which the standard harness ends if a test has failed.
const FAILED: u8 = 101;

/// The most time that processes have to end after their test.
const GRACE: Duration = Duration::from_secs(2);

/// A function with its name.
pub type Named = (&'static str, fn());

/// Why a test has failed.
pub type Failed = Box<dyn Error + Send + Sync>;

/// Writes the `main` of a test file, from the names of its tests, and of its helpers: functions
/// that the tests run as programs of their own (see [`helper`]).
#[macro_export]
macro_rules! tests {
    ([$($test:ident),* $(,)?] helpers [$($helper:ident),* $(,)?]) => {
        fn main() -> std::process::ExitCode {
            multiproc::init();
            $crate::run(
                &[$((stringify!($test), $test as fn())),*],
                &[$((stringify!($helper), $helper as fn())),*],
            )
        }
    };
}

/// A test that is made at run time.
pub struct Trial {
    name: String,
    test: Box<dyn FnOnce() -> Result<(), Failed> + Send>,
}

impl Trial {
    /// A test that fails if `test` panics or returns an error.
    pub fn new(
        name: impl Into<String>,
        test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) -> Trial {
        Trial { name: name.into(), test: Box::new(test) }
    }
}

/// Runs the tests that the command line chooses, one after the other, each within two minutes. A
/// test that leaves a process behind has failed. In a program started by [`helper`], runs that
/// helper instead.
///
/// # Panics
///
/// If there is no helper of this name.
pub fn run(tests: &[Named], helpers: &[Named]) -> ExitCode {
    if let Ok(name) = std::env::var(HELPER) {
        helpers.iter().find(|(known, _)| *known == name).expect("a helper of this name").1();
        return ExitCode::SUCCESS;
    }
    let trials = tests.iter().map(|&(name, test)| {
        Trial::new(name, move || {
            test();
            Ok(())
        })
    });
    with_arguments(trials.collect(), |chosen, _, report| {
        for trial in chosen {
            report.begin(&trial.name);
            let (outcome, time) = within(LIMIT, trial.name.clone(), trial.test);
            let left = process::left_over(GRACE);
            let outcome = outcome.and_then(|()| match &left[..] {
                [] => Ok(()),
                left => Err(format!("processes are left: {}", left.join(", "))),
            });
            report.end(trial.name, outcome, time);
        }
    })
}

/// Runs the tests that the command line chooses, `threads` at once unless it says `--test-threads`.
/// What processes they leave is not looked at.
///
/// # Panics
///
/// If there is no trial at all, which is a mistake of the test file.
pub fn run_at_once(threads: usize, trials: Vec<Trial>) -> ExitCode {
    assert!(!trials.is_empty(), "there is no test");
    with_arguments(trials, |chosen, arguments, report| {
        let (chosen, report) = (Mutex::new(chosen.into_iter()), Mutex::new(report));
        let work = || {
            loop {
                let Some(trial) = chosen.lock().expect("no thread panics here").next() else {
                    return;
                };
                let (outcome, time) = within(LIMIT_AT_ONCE, trial.name.clone(), trial.test);
                let mut report = report.lock().expect("no thread panics here");
                report.begin(&trial.name);
                report.end(trial.name, outcome, time);
            }
        };
        thread::scope(|scope| {
            (0..arguments.threads.unwrap_or(threads)).for_each(|_| drop(scope.spawn(work)));
        });
    })
}

/// Does what the command line says: an error, a list, or a run by `execute`.
fn with_arguments(
    trials: Vec<Trial>,
    execute: impl FnOnce(Vec<Trial>, &Arguments, &mut Report),
) -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}"); // the status says it as well
            return ExitCode::from(FAILED);
        }
    };
    let all = trials.len();
    let chosen: Vec<Trial> =
        trials.into_iter().filter(|trial| arguments.chooses(&trial.name)).collect();
    if arguments.list {
        chosen.iter().for_each(|trial| println!("{}: test", trial.name));
        return ExitCode::SUCCESS;
    }
    let mut report = Report::start(chosen.len(), all - chosen.len());
    execute(chosen, &arguments, &mut report);
    if report.finish() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// Runs `test`, and returns what became of it and how long it took.
fn within(
    limit: Duration,
    name: String,
    test: impl FnOnce() -> Result<(), Failed>,
) -> (Result<(), String>, Duration) {
    let _deadline = Deadline::new(name, limit);
    let start = Instant::now();
    let outcome = match catch_unwind(AssertUnwindSafe(test)) {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(panic) => Err(message(&*panic)),
    };
    (outcome, start.elapsed())
}

/// The message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    format!("panicked: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?"))
}

/// This test program, to be run as one of its helpers, with an empty input.
pub fn helper(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env(HELPER, name).stdin(Stdio::null());
    command
}

/// The shortest of several measurements: the load of the machine is not to be measured.
///
/// # Panics
///
/// If `times` is zero.
pub fn shortest(times: usize, mut measure: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| measure()).min().expect("at least one measurement")
}
