//! What the compiler says to a program that it refuses.
//!
//! A mistake that Rust does not let one make stands as a small wrong program in a chapter's
//! `compile_fail/`. The case about it shows the compiler's own words, and a test
//! checks the error's code, which stays the same when the words change.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    path::Path,
    process::{Command, ExitStatus},
};

use crate::scratch;

/// One error: its code, and the line of the program it points at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The line, counted from 1; 0, if it is in another file: a library's.
    pub line: usize,
    /// The code, such as `E0373`; of a denied lint its name, such as `unused_must_use`; and of an
    /// error that has neither (a wrong syntax, a future that is not `Send`) its first line.
    pub code: String,
}

/// What `rustc` answered.
#[derive(Debug)]
pub struct Answer {
    /// Whether it compiled.
    pub accepted: bool,
    /// How it ended.
    pub status: ExitStatus,
    /// Its whole message, as it would stand in a terminal, without colors.
    pub message: String,
    /// Its errors, by line.
    pub refusals: Vec<Refusal>,
}

/// What `rustc` (the one that `$RUSTC` names, if it is set) prints when it refuses `file`, which
/// needs only `std`, with the error `code`.
///
/// # Errors
///
/// If it cannot be started, there is no place for temporary files, or it does not report that
/// error: because it accepts the file, or because it cannot work (no toolchain, no memory, killed).
///
/// ```
/// let place = util::scratch::directory()?;
/// let file = place.path().join("wrong.rs");
/// std::fs::write(&file, "fn main() { let gone = String::new(); drop(gone); drop(gone); }")?;
/// let message = util::compiler::refusal(&file, "E0382")?; // used after it was moved
/// assert!(message.contains("gone"));
/// # std::io::Result::Ok(())
/// ```
pub fn refusal(file: &Path, code: &str) -> io::Result<String> {
    let answer = check_with::<&str>(file, &[])?;
    if answer.refusals.iter().any(|refusal| refusal.code == code) {
        return Ok(answer.message);
    }
    let file = file.display();
    let first_line = answer.message.trim().lines().next().unwrap_or("nothing");
    Err(io::Error::other(if answer.accepted {
        format!("{:?} accepts {file}: expected the error {code}", rustc())
    } else {
        let how = answer.status;
        format!("{:?} does not report {code} for {file} ({how}); it printed: {first_line}", rustc())
    }))
}

fn rustc() -> OsString {
    env::var_os("RUSTC").filter(|name| !name.is_empty()).unwrap_or("rustc".into())
}

/// Hands one file to `rustc` with further `options`, for a library that it needs, say, and gives
/// its answer. The compiled program is thrown away.
///
/// # Errors
///
/// If there is no such compiler, it cannot be started, or there is no place for temporary files.
pub fn check_with<O: AsRef<OsStr>>(file: &Path, options: &[O]) -> io::Result<Answer> {
    let (rustc, place) = (rustc(), scratch::directory()?);
    let output = Command::new(&rustc)
        // Some errors are only found when code is made, so it is made.
        .args(["--edition=2024", "--crate-name=wrong", "--emit=obj", "--color=never", "--out-dir"])
        .args([place.path(), file])
        .args(options)
        .output();
    let output =
        output.map_err(|e| io::Error::new(e.kind(), format!("cannot run {rustc:?}: {e}")))?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    let (status, refusals) = (output.status, refusals(&message, file));
    Ok(Answer { accepted: status.success(), status, message, refusals })
}

/// Finds the pairs `error[E0373]: …` and, further down, `--> FILE:LINE:COLUMN`. What denies a lint
/// is quoted further down again: `#![deny(NAME)]`.
fn refusals(message: &str, file: &Path) -> Vec<Refusal> {
    let mut found = Vec::new();
    let mut code = None;
    for line in message.lines() {
        if let Some(error) = line.strip_prefix("error") {
            let coded = error.strip_prefix('[').and_then(|e| e.split_once(']'));
            let text = error.trim_start_matches(": ");
            code = Some(coded.map_or(text, |(code, _)| code).to_owned());
        } else if let Some(place) = line.trim_start().strip_prefix("--> ")
            && let mut parts = place.rsplitn(3, ':')
            && let (_, Some(line), Some(path)) = (parts.next(), parts.next(), parts.next())
            && let Some(code) = code.take()
        {
            let line = if Path::new(path) == file { line.parse().unwrap_or(0) } else { 0 };
            found.push(Refusal { line, code });
        } else if let Some((_, denied)) = line.split_once("#![deny(")
            && let Some((lint, _)) = denied.split_once(')')
            && let Some(refusal) = found.last_mut()
        {
            refusal.code = lint.into();
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_lines_are_found() {
        let message = "error[E0373]: closure may outlive\n  --> a:b.rs:7:9\n   |\n\
            note: here\n  --> a:b.rs:1:1\nerror: expected `;`\n --> a:b.rs:12:3\n\
            error[E0080]: in a library\n --> src/lib.rs:3:3\n\
            error: unused\n --> a:b.rs:14:1\nnote: here\n --> a:b.rs:1:1\n1 | #![deny(unused_must_use)]\n\
            error: aborting due to 2 previous errors\n";
        let of = |line, code: &str| Refusal { line, code: code.into() };
        let expected =
            [of(0, "E0080"), of(7, "E0373"), of(12, "expected `;`"), of(14, "unused_must_use")];
        assert_eq!(refusals(message, Path::new("a:b.rs")), expected);
    }
}
