//! The harness finds what it is there to find: failures, processes left behind, deadlines.

use harness::{Deadline, Failed, Trial, helper, run, run_at_once};
use std::{
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, ExitCode, Output, Stdio},
    sync::Barrier,
    thread,
    time::Duration,
};

const TESTS: [(&str, fn()); 5] = [
    ("results_are_reported_and_tests_are_chosen", results_are_reported_and_tests_are_chosen),
    ("a_process_left_behind_is_a_failure", a_process_left_behind_is_a_failure),
    ("a_test_that_hangs_is_aborted", a_test_that_hangs_is_aborted),
    ("trials_run_at_once", trials_run_at_once),
    ("a_wrong_option_runs_nothing", a_wrong_option_runs_nothing),
];

fn main() -> ExitCode {
    // These helpers have tests of their own, so they are not helpers of the harness.
    match std::env::var("INNER").as_deref() {
        Ok("inner") => run(&[("passes", || ()), ("panics", || panic!("on purpose"))], &[]),
        Ok("leaves") => run(&[("leaves", leaves)], &[]),
        Ok("at_once") => run_at_once(3, at_once()),
        _ => run(&TESTS, &[("hangs", hangs)]),
    }
}

/// The result of this program with other tests, and what it prints.
fn inner(name: &str, arguments: &[&str]) -> (Output, String) {
    let mut program = Command::new("/proc/self/exe");
    // In a group of its own: the harness takes programs like itself in its group for left over.
    program.process_group(0);
    let output = program.env("INNER", name).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

fn results_are_reported_and_tests_are_chosen() {
    let (output, text) = inner("inner", &[]);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("running 2 tests\ntest passes ... ok"), "{text}");
    assert!(text.contains("test panics ... FAILED"), "{text}");
    assert!(text.contains("---- panics ----\npanicked: on purpose\n"), "{text}");
    assert!(text.contains("test result: FAILED. 1 passed; 1 failed; 0 ignored;"), "{text}");
    let (output, text) = inner("inner", &["--exact", "passes", "--nocapture"]);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("running 1 test\n") && text.contains("1 filtered out"), "{text}");
    assert_eq!(inner("inner", &["--list"]).1, "passes: test\npanics: test\n");
}

fn leaves() {
    let mut sleep = Command::new("sleep");
    // It is not to keep the output of this program open.
    sleep.arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(sleep.spawn().unwrap());
}

fn a_process_left_behind_is_a_failure() {
    let (output, text) = inner("leaves", &[]);
    assert_eq!(output.status.code(), Some(101), "{text}");
    let left = text.split("processes are left: ").nth(1).expect("it is reported");
    let pid = left.split(' ').next().unwrap();
    assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
}

fn hangs() {
    let _deadline = Deadline::new("main", Duration::from_millis(100));
    loop {
        thread::park();
    }
}

fn a_test_that_hangs_is_aborted() {
    let output = helper("hangs").output().unwrap();
    assert_eq!(output.status.signal(), Some(6));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("test main is still running after 100ms\n"), "{text}");
    assert!(text.matches(" exe: '").count() == 2, "its threads: {text}");
}

/// Three that wait for each other, and two that fail.
fn at_once() -> Vec<Trial> {
    static ALL: Barrier = Barrier::new(3);
    let wait = |name: &str| {
        Trial::new(name, || {
            ALL.wait();
            Ok(())
        })
    };
    let error = || -> Result<(), Failed> { Err("an error".into()) };
    let mut trials = vec![wait("a"), wait("b"), wait("c")];
    trials.push(Trial::new("error", error));
    trials.push(Trial::new("panic", || panic!("on {}", "purpose")));
    trials
}

fn trials_run_at_once() {
    let (output, text) = inner("at_once", &[]);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("3 passed; 2 failed"), "{text}");
    assert!(text.contains("---- error ----\nan error\n"), "{text}");
    assert!(text.contains("---- panic ----\npanicked: on purpose\n"), "{text}");
}

fn a_wrong_option_runs_nothing() {
    let (output, text) = inner("inner", &["--wrong"]);
    assert_eq!((output.status.code(), text.as_str()), (Some(101), ""));
}
