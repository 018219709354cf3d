//! Every file under a chapter's `compile_fail/` is refused by the compiler, and for its own reason:
//! the error's code, `E0373`, stands at the end of the line it points at, behind `//~`. Codes stay
//! when the compiler's words change. A denied lint stands there by its name, and an error without a
//! code by its words. A file that needs a library, of this workspace or one that its packages
//! depend on, says `//@ extern: NAME`, and `//@ error in the library: E0080` where that is what the
//! error points at.

use checks::run;
use harness::{Failed, Trial};
use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};
use util::compiler::{self, Refusal};

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for chapter in checks::chapters().expect("the chapters can be read") {
        for file in checks::entries(&chapter.join("compile_fail")).expect("they can be read") {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            trials.push(Trial::new(name, move || check(&file)));
        }
    }
    assert!(!trials.is_empty(), "no file was found");
    for (case, code) in [
        ("002_not_iterable", "E0277"),
        ("003_iterable_without_iterator", "E0277"),
        ("28_5_thread_args", "E0373"),
        ("28_10_1_race", "E0499"),
    ] {
        let name = format!("{case} with a broken compiler");
        trials.push(Trial::new(name, move || broken_compilers(case, code)));
    }
    harness::run_at_once(2, trials)
}

fn check(file: &Path) -> Result<(), Failed> {
    let source = fs::read_to_string(file)?;
    let expected: Vec<Refusal> = source
        .lines()
        .zip(1..)
        .filter_map(|(text, line)| {
            let (line, code) = match text.strip_prefix("//@ error in the library:") {
                Some(code) => (0, code),
                None => (line, text.split_once("//~")?.1),
            };
            Some(Refusal { line, code: code.trim().into() })
        })
        .collect();
    if expected.is_empty() {
        Err("no line says `//~ E…`: which error is it about?")?;
    }
    let libraries = source.lines().filter_map(|line| line.strip_prefix("//@ extern: "));
    let options = libraries.map(library).collect::<Result<Vec<_>, _>>()?.concat();
    let answer = compiler::check_with(file, &options)?;
    if answer.refusals != expected {
        let is = &answer.refusals;
        Err(format!("expected {expected:?}\n     got {is:?}\n{}", answer.message))?;
    }
    Ok(())
}

/// A compiler that cannot run, fails for another reason or accepts the program has not refused it.
fn broken_compilers(case: &str, code: &str) -> Result<(), Failed> {
    for (rustc, reason) in [
        ("/nonexistent", "cannot run"),
        ("/bin/false", "does not report"),
        ("/bin/true", "accepts"),
    ] {
        let mut command = Command::new(checks::program(case));
        let outcome = run::run(command.env("RUSTC", rustc))?;
        let (stdout, stderr) = (&outcome.stdout, &outcome.stderr);
        let names_it =
            stderr.contains(reason) && (rustc == "/nonexistent" || stderr.contains(code));
        let is_error = outcome.status.code() == Some(1) && stderr.lines().count() == 1;
        if !is_error || !names_it || stdout.contains("refuses") {
            Err(format!("RUSTC={rustc}: {}\n{stdout}\n{stderr}", outcome.status))?;
        }
    }
    Ok(())
}

/// How `rustc` finds the library `name` in the build that the examples use.
fn library(name: &str) -> Result<[String; 2], Failed> {
    let library = checks::library(name)?;
    let deps = library.parent().unwrap_or(Path::new(""));
    Ok([
        format!("--extern={name}={}", library.display()),
        format!("-Ldependency={}", deps.display()),
    ])
}
