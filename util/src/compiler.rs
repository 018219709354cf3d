//! What the compiler says to a program that it refuses.
//!
//! A mistake that Rust does not let one make stands as a small wrong program in a chapter's
//! `compile_fail/`. The case about it shows the compiler's own words, and a test
//! checks the error's code, which stays the same when the words change.

use std::{env, io, path::Path, process::Command};

/// One error: its code, and the line of the program it points at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The line, counted from 1.
    pub line: usize,
    /// The code, such as `E0373`; empty for an error that has none (a wrong syntax, say).
    pub code: String,
}

/// What `rustc` answered.
#[derive(Debug)]
pub struct Answer {
    /// Whether it compiled.
    pub accepted: bool,
    /// Its whole message, as it would stand in a terminal, without colours.
    pub message: String,
    /// Its errors, by line.
    pub refusals: Vec<Refusal>,
}

/// Hands one file that needs only `std` to `rustc` (the one that `$RUSTC` names, if it
/// does) and gives its answer. Nothing is built: only checked.
///
/// # Errors
///
/// If there is no such compiler, or it cannot be started.
///
/// ```
/// let file = std::env::temp_dir().join(format!("wrong-{}.rs", std::process::id()));
/// std::fs::write(&file, "fn main() { let gone = String::new(); drop(gone); drop(gone); }")?;
/// let answer = util::compiler::check(&file)?;
/// # std::fs::remove_file(&file)?;
/// assert!(!answer.accepted);
/// assert_eq!(answer.refusals[0].code, "E0382"); // used after it was moved
/// # std::io::Result::Ok(())
/// ```
pub fn check(file: &Path) -> io::Result<Answer> {
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(&rustc)
        .args(["--edition", "2024", "--crate-name", "wrong", "--emit=metadata", "--color=never"])
        .args(["-o", "/dev/null"])
        .arg(file)
        .output()
        .map_err(|e| io::Error::new(e.kind(), format!("cannot start {rustc:?}: {e}")))?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Answer { accepted: output.status.success(), refusals: refusals(&message), message })
}

/// Finds the pairs `error[E0373]: …` and, further down, `--> file:LINE:COLUMN`.
fn refusals(message: &str) -> Vec<Refusal> {
    let mut found = Vec::new();
    let mut code = None;
    for line in message.lines() {
        if let Some(error) = line.strip_prefix("error") {
            let inner = error.strip_prefix('[').and_then(|e| e.split_once(']'));
            code = Some(inner.map_or("", |(code, _)| code).to_owned());
        } else if let Some(place) = line.trim_start().strip_prefix("--> ")
            && let Some(code) = code.take()
            && let Some(line) = place.rsplit(':').nth(1).and_then(|l| l.parse().ok())
        {
            found.push(Refusal { line, code });
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_lines_are_found() {
        let message = "error[E0373]: closure may outlive\n  --> a:b.rs:7:9\n   |\n\
            note: here\n  --> a:b.rs:1:1\nerror: expected `;`\n --> x.rs:12:3\n\
            error: aborting due to 2 previous errors\n";
        let of = |line, code: &str| Refusal { line, code: code.into() };
        assert_eq!(refusals(message), [of(7, "E0373"), of(12, "")]);
    }
}
