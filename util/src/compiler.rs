//! What the compiler says to a program that it refuses.
//!
//! A mistake that Rust does not let one make stands as a small wrong program in a chapter's
//! `compile_fail/`. The case about it shows the compiler's own words, and a test
//! checks the error's code, which stays the same when the words change.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// One error: its code, and the line of the program it points at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The line, counted from 1; 0, if it is in another file: a library's.
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
/// does) and gives its answer. What it makes, if anything, is thrown away.
///
/// # Errors
///
/// If there is no such compiler, it cannot be started, or there is no place for temporary files.
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
    check_with::<&str>(file, &[])
}

/// The same with further `options` for `rustc`: for a file that needs a library, say.
///
/// # Errors
///
/// As [`check`].
pub fn check_with<O: AsRef<OsStr>>(file: &Path, options: &[O]) -> io::Result<Answer> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("rustc-{}-{number}", std::process::id()));
    fs::create_dir(&folder)?;
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(&rustc)
        // Some errors are only found when code is made, so it is made.
        .args(["--edition=2024", "--crate-name=wrong", "--emit=obj", "--color=never", "--out-dir"])
        .args([folder.as_os_str(), file.as_os_str()])
        .args(options)
        .output();
    fs::remove_dir_all(&folder)?;
    let output =
        output.map_err(|e| io::Error::new(e.kind(), format!("cannot start {rustc:?}: {e}")))?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Answer { accepted: output.status.success(), refusals: refusals(&message, file), message })
}

/// Finds the pairs `error[E0373]: …` and, further down, `--> FILE:LINE:COLUMN`.
fn refusals(message: &str, file: &Path) -> Vec<Refusal> {
    let mut found = Vec::new();
    let mut code = None;
    for line in message.lines() {
        if let Some(error) = line.strip_prefix("error") {
            let inner = error.strip_prefix('[').and_then(|e| e.split_once(']'));
            code = Some(inner.map_or("", |(code, _)| code).to_owned());
        } else if let Some(place) = line.trim_start().strip_prefix("--> ")
            && let mut parts = place.rsplitn(3, ':')
            && let (_, Some(line), Some(path)) = (parts.next(), parts.next(), parts.next())
            && let Some(code) = code.take()
        {
            let line = if Path::new(path) == file { line.parse().unwrap_or(0) } else { 0 };
            found.push(Refusal { line, code });
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
            error[E0080]: in a library\n --> src/lib.rs:3:3\nerror: aborting due to 2 previous errors\n";
        let of = |line, code: &str| Refusal { line, code: code.into() };
        let expected = [of(0, "E0080"), of(7, "E0373"), of(12, "")];
        assert_eq!(refusals(message, Path::new("a:b.rs")), expected);
    }
}
