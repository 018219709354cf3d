//! Runs the cases that were built for another platform, by an emulator, and holds their output
//! against their headers. `scripts/check-platforms` calls it.
//!
//! `foreign DIRECTORY [--known NAME]… [-- RUNNER…]`: every case of which there is a program in
//! DIRECTORY is run by the words of RUNNER and the program. A line that says that something needs
//! Linux is no part of a header; a case that prints nothing else is counted apart. A known case may
//! differ. Prints one line; status 1 if a case that is not known differs.

use checks::{Case, header::Header, output};
use std::{
    env,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// How many run at once: they sleep most of their time.
const AT_ONCE: usize = 4;
/// Longer than any case takes by an emulator on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(180);

enum Verdict {
    AsAsserted,
    NeedsLinux,
    Differs(String),
}

fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    let directory = PathBuf::from(words.next().expect("the directory of the programs"));
    let (mut known, mut runner) = (Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--known" => known.extend(words.next()),
            "--" => runner.extend(words.by_ref()),
            _ => panic!("{word:?}: expected --known or --"),
        }
    }
    let built = |case: Case| {
        let programs = ["", ".exe"].map(|suffix| directory.join(format!("{}{suffix}", case.name)));
        programs.into_iter().find(|program| program.is_file()).map(|program| (case, program))
    };
    let cases: Vec<_> =
        checks::cases().expect("the chapters can be read").into_iter().filter_map(built).collect();
    let (left, verdicts) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    thread::scope(|s| {
        for _ in 0..AT_ONCE {
            s.spawn(|| {
                loop {
                    let Some((case, program)) = left.lock().unwrap().next() else { return };
                    let verdict = check(case, program, &runner)
                        .unwrap_or_else(|error| Verdict::Differs(error.to_string()));
                    verdicts.lock().unwrap().push((case.name.clone(), verdict));
                }
            });
        }
    });
    let (mut right, mut linux, mut expected, mut wrong) = (0, 0, Vec::new(), Vec::new());
    for (name, verdict) in verdicts.into_inner().unwrap() {
        match verdict {
            Verdict::AsAsserted => right += 1,
            Verdict::NeedsLinux => linux += 1,
            Verdict::Differs(_) if known.contains(&name) => expected.push(name),
            Verdict::Differs(how) => {
                let _ = writeln!(io::stderr(), "== {name}: {how}");
                wrong.push(name);
            }
        }
    }
    println!(
        "{} built and run: {right} as asserted, {linux} need Linux, {} known to differ ({}), {} differ ({})",
        cases.len(),
        expected.len(),
        expected.join(" "),
        wrong.len(),
        wrong.join(" ")
    );
    if wrong.is_empty() && right > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(case: &Case, program: &Path, runner: &[String]) -> io::Result<Verdict> {
    let header = Header::parse(&fs::read_to_string(&case.source)?).map_err(io::Error::other)?;
    let directory = tempfile::tempdir()?;
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| directory.path().join(name));
    let mut words = runner.iter().map(PathBuf::from).chain([program.to_owned()]);
    let mut command = Command::new(words.next().expect("the program at least"));
    command.args(words).args(&header.arguments).stdin(Stdio::null());
    command.stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
    if env::var_os("TICK_MS").is_none() {
        command.env("TICK_MS", "20");
    }
    let mut child = command.spawn()?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if started.elapsed() < TIME_LIMIT => thread::sleep(Duration::from_millis(10)),
            None => {
                child.kill()?;
                child.wait()?;
                return Ok(Verdict::Differs(format!("not over after {TIME_LIMIT:?}")));
            }
        }
    };
    let read = |path| fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned());
    let (stdout, stderr) = (read(stdout)?, read(stderr)?);
    let is_printed = |line: &&str| !line.starts_with("needs Linux: ");
    let printed: Vec<&str> = stdout.lines().filter(is_printed).collect();
    if printed.is_empty() && !stdout.is_empty() && status.success() {
        return Ok(Verdict::NeedsLinux);
    }
    if status.code() != Some(header.status) {
        let should = header.status;
        return Ok(Verdict::Differs(format!("{status}, expected {should}\n{stdout}\n{stderr}")));
    }
    Ok(match output::check(&header.blocks, &printed.join("\n")) {
        Ok(()) => Verdict::AsAsserted,
        Err(how) => Verdict::Differs(format!("{how}\n{stderr}")),
    })
}
