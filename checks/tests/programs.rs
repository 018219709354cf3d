//! Every case as a command-line program, whatever it is given: `--help` and `--version`, arguments
//! and variables that are invalid, a standard output that is closed or full. One test per case,
//! named like it.

use checks::{
    Case,
    header::Header,
    output,
    run::{Outcome, To, answer, run_to},
};
use harness::{Failed, Trial};
use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    process::{Command, ExitCode},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

const SIGPIPE: i32 = 13;

fn main() -> ExitCode {
    let cases = checks::cases().expect("the chapters can be read");
    let trials = cases.into_iter().map(|case| Trial::new(case.name.clone(), || check(case)));
    harness::run_at_once(6, trials.collect())
}

fn check(case: Case) -> Result<(), Failed> {
    let program = Program { header: Header::parse(&fs::read_to_string(&case.source)?)?, case };
    program.answers()?;
    program.refuses()?;
    program.output_that_cannot_be_written()?;
    program.small_limits()?;
    program.shortest_tick()?;
    Ok(())
}

struct Program {
    case: Case,
    header: Header,
}

/// `assert!` that says what the program did.
fn expect(outcome: &Outcome, what: &str, holds: bool) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what}: {outcome:#?}")) }
}

/// Three cases have a panic on purpose, whose message may be there. Any other one is a fault.
fn panics_on_purpose(outcome: &Outcome) -> bool {
    let count = |text| outcome.stderr.matches(text).count();
    count("panicked") == ["no more", "no such task", "on purpose"].map(count).iter().sum()
}

impl Program {
    /// Whether the case is a program of several processes.
    fn starts_processes(&self) -> bool {
        let source = fs::read_to_string(&self.case.source).unwrap_or_default();
        source.contains("multiproc::init()")
    }

    fn command(&self) -> Command {
        Command::new(checks::program(&self.case.name))
    }

    /// With the arguments with which the output is what the header says.
    fn usual(&self) -> Command {
        let mut command = self.command();
        command.args(&self.header.arguments);
        command
    }

    fn answers(&self) -> Result<(), String> {
        for flag in ["--help", "-h"] {
            let outcome = answer(self.command().arg(flag), To::File, To::File)?;
            let (text, name) = (&outcome.stdout, &self.case.name);
            let first = self.header.title.split(": ").next().unwrap_or_default();
            let is_help =
                text.contains("Usage: ") && text.contains(name) || text.starts_with(first);
            let holds = outcome.status.success() && is_help && outcome.stderr.is_empty();
            expect(&outcome, flag, holds)?;
        }
        for flag in ["--version", "-V"] {
            let outcome = answer(self.command().arg(flag), To::File, To::File)?;
            let is_version =
                outcome.stdout == format!("{} {}\n", self.case.name, env!("CARGO_PKG_VERSION"));
            expect(&outcome, flag, outcome.status.success() && is_version)?;
        }
        let outcome = answer(self.command().arg("--help"), To::Full, To::File)?;
        expect(&outcome, "--help > /dev/full", outcome.status.code() == Some(1))
    }

    fn refuses(&self) -> Result<(), String> {
        let not_utf_8 = |bytes| OsStr::from_bytes(bytes).to_owned();
        let wrong: [(&str, OsString); 5] = [
            ("", "--bogus".into()),
            ("", "--bogus=1".into()),
            ("", "extra".into()),
            ("", not_utf_8(b"\xff")),
            ("", not_utf_8(b"--\xff")),
        ];
        let variables = [
            ("TICK_MS", &["0", "-1", "abc", "1.5", "60001", "18446744073709551616"][..]),
            ("TIMELINE", &["yes", "nowhere/a.svg", "/dev/null/a.html", "/proc/a.json"]),
        ];
        let variables = variables
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |v| (*name, (*v).into())));
        let help = answer(self.command().arg("--help"), To::File, To::File)?.stdout;
        let takes_a_word = help.contains("[URL");
        for (variable, value) in wrong.into_iter().chain(variables) {
            if takes_a_word && variable.is_empty() && !value.as_bytes().starts_with(b"-") {
                continue; // an address like any other
            }
            let command = || {
                let mut command = self.command();
                match variable {
                    "" => command.arg(&value),
                    _ => command.args(&self.header.arguments).env(variable, &value),
                };
                command
            };
            let outcome = answer(&mut command(), To::File, To::File)?;
            let is_refused = outcome.status.code() == Some(2) && outcome.stdout.is_empty();
            let is_error =
                outcome.stderr.starts_with("error: ") && outcome.stderr.contains(variable);
            let lines = outcome.stderr.lines().count();
            let has_help = outcome.stderr.contains("Usage: "); // of a case with flags of its own
            let holds = is_refused && is_error && (lines == 1 || has_help);
            expect(&outcome, &format!("{variable} {value:?}"), holds)?;
        }
        for stderr in [To::Full, To::Closed] {
            let outcome = answer(self.command().arg("--bogus"), To::Closed, stderr)?;
            let is_refused = outcome.status.code() == Some(2);
            expect(&outcome, &format!("{stderr:?} standard error"), is_refused)?;
        }
        Ok(())
    }

    /// A program that cannot have what it needs ends with an error; one that can do without ends as
    /// usual.
    fn small_limits(&self) -> Result<(), String> {
        static USERS: AtomicU32 = AtomicU32::new(64_000);
        let user = format!("--reuid={}", USERS.fetch_add(1, Relaxed)); // who has no other processes
        let limits: [&[&str]; 4] = [
            &["prlimit", "--nofile=32"],
            &["prlimit", "--as=524288000"],
            &["env", "TMPDIR=/nonexistent"],
            &["setpriv", &user, "--clear-groups", "prlimit", "--nproc=12"],
        ];
        for limit in limits {
            let program = checks::program(&self.case.name);
            if limit[0] == "setpriv" {
                let mut readable = Command::new(limit[0]);
                let can = readable.args(&limit[1..]).args(["test", "-x"]).arg(&program).output();
                if !can.is_ok_and(|output| output.status.success()) {
                    println!("{}: another user cannot run it, so not tried", self.case.name);
                    continue;
                }
            }
            let mut command = Command::new(limit[0]);
            command.args(&limit[1..]).arg(&program).args(&self.header.arguments);
            let outcome = run_to(&mut command, To::File)?;
            let is_usual = outcome.status.code() == Some(self.header.status);
            let last =
                outcome.stderr.lines().find(|line| line.to_lowercase().starts_with("error: "));
            let is_error = outcome.status.code() == Some(1) && last.is_some();
            let holds = (is_usual || is_error) && panics_on_purpose(&outcome);
            expect(&outcome, &limit.join(" "), holds)?;
        }
        Ok(())
    }

    /// Two cases whose order depended on timers that come in time.
    fn shortest_tick(&self) -> Result<(), String> {
        if ["4_4_from_scratch", "28_4_main_waits_forever"].contains(&self.case.name.as_str()) {
            for _ in 0..5 {
                let outcome = run_to(self.usual().env("TICK_MS", "1"), To::File)?;
                expect(&outcome, "TICK_MS=1", outcome.status.success())?;
                output::check(&self.header.blocks, &outcome.stdout)?;
            }
        }
        Ok(())
    }

    fn output_that_cannot_be_written(&self) -> Result<(), String> {
        let is_quiet = |outcome: &Outcome, expected: &str| {
            outcome.stderr == expected
                || outcome.stderr.ends_with(expected)
                    && outcome.stderr.contains("panicked")
                    && panics_on_purpose(outcome)
        };
        for stdout in [To::Closed, To::OneLine] {
            let outcome = run_to(&mut self.usual(), stdout)?;
            let is_killed = outcome.status.signal() == Some(SIGPIPE) && is_quiet(&outcome, "");
            // It may have written all before the reader of one line was gone.
            let is_whole = outcome.status.code() == Some(self.header.status);
            expect(
                &outcome,
                &format!("{stdout:?}"),
                is_killed || stdout == To::OneLine && is_whole,
            )?;
        }
        let outcome = run_to(&mut self.usual(), To::Full)?;
        let error =
            "error: cannot write to standard output: No space left on device (os error 28)\n";
        // Of a case's processes, two may find it at the same moment: each reports its own.
        let is_by_several = outcome.stderr.lines().all(|line| error.trim_end() == line)
            && outcome.stderr.lines().count() > 1
            && self.starts_processes();
        let is_failed =
            outcome.status.code() == Some(1) && (is_quiet(&outcome, error) || is_by_several);
        expect(&outcome, "> /dev/full", is_failed)
    }
}
