//! Runs every case and holds what it does against its header: one test a case, named like it,
//! so `cargo test 28_11` runs those. What a case prints, its exit status, that it
//! ends, and that it leaves nothing behind.

use checks::{Case, header::Header, output, run};
use libtest_mimic::{Arguments, Failed, Trial};
use std::{collections::HashSet, fs, process::Command};

fn main() {
    let mut arguments = Arguments::from_args();
    // Cases sleep most of their time, so many run at once. Not too many: some keep both cores busy.
    arguments.test_threads.get_or_insert(6);
    let cases = checks::cases().expect("the chapters can be read");
    let mut names = HashSet::new();
    for case in &cases {
        assert!(names.insert(&case.name), "two cases are called {}", case.name);
    }
    assert!(!cases.is_empty(), "no case was found");
    let trials = cases.into_iter().map(|case| Trial::test(case.name.clone(), || check(case)));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn check(case: Case) -> Result<(), Failed> {
    let header = Header::parse(&fs::read_to_string(&case.source)?)?;
    let outcome = run::run(Command::new(checks::program(&case.name)).args(&header.arguments))?;
    let stderr = &outcome.stderr;
    if outcome.status.code() != Some(header.status) {
        let (is, should) = (outcome.status, header.status);
        Err(format!("{is}, and it should be {should}\n{}\n{stderr}", outcome.stdout))?;
    }
    output::check(&header.blocks, &outcome.stdout).map_err(|e| format!("{e}\n{stderr}").into())
}
