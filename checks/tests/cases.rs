//! Runs every case and holds what it does against its header: one test a case, named like it,
//! so `cargo test 28_11` runs those. What a case prints, its exit status, that it
//! ends, and that it leaves nothing behind.

use checks::{Case, header::Header, output, run};
use harness::{Failed, Trial};
use std::{
    collections::HashSet,
    fs,
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    let cases = checks::cases().expect("the chapters can be read");
    let mut names = HashSet::new();
    for case in &cases {
        assert!(names.insert(&case.name), "two cases are called {}", case.name);
    }
    let trials = cases.into_iter().map(|case| Trial::new(case.name.clone(), || check(case)));
    // Cases sleep most of their time, so many run at once. Not too many: some keep both cores busy.
    harness::run_at_once(6, trials.collect())
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
