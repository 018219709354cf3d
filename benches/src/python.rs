//! The same work by Python: one small program a question in `scripts/compare-python.d`, whose
//! results are compared with Rust's.
//!
//! A program says on one line of JSON what it measured: `{"ways": {"thread": {"unit": "seconds",
//! "values": [0.1], "result": 25}}, "missing": {"greenlet": "greenlet is not installed"}}`. Values
//! are of one element, as [`Sample`]'s are; the result is that of the work.

use crate::files::root;
use crate::results::Record;
use crate::sample::{Sample, Unit};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    io::{self, Read},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The questions that there is a program for.
pub const QUESTIONS: [&str; 8] =
    ["cpu_bound", "io_bound", "lock", "memory", "message", "pool", "start", "switch"];

/// Longer than this, a program of a question does not run.
const LIMIT: Duration = Duration::from_secs(180);

#[derive(Deserialize)]
struct Said {
    ways: BTreeMap<String, Way>,
    #[serde(default)]
    missing: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Way {
    unit: Unit,
    values: Vec<f64>,
    /// Of the work; absent where the work has none (memory that is held).
    result: Option<i64>,
}

/// Whether there is a `python3` to run.
pub fn is_here() -> bool {
    let said = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    said.is_ok_and(|status| status.success())
}

/// Why nothing of Python's side was measured.
pub const ABSENT: &str = "no python3";

/// Why something of Python's side was not measured, in Chinese.
///
/// ```
/// assert_eq!(benches::python::in_chinese("greenlet is not installed"), "未安装 greenlet");
/// ```
pub fn in_chinese(why: &str) -> String {
    match why.strip_suffix(" is not installed") {
        Some(what) => format!("未安装 {what}"),
        None if why == ABSENT => "没有 python3".into(),
        None => why.into(),
    }
}

/// What all of Python's side is when there is none.
pub fn absent() -> Record {
    let missing = BTreeMap::from([("python".into(), ABSENT.into())]);
    Record { missing, ..Record::default() }
}

/// Runs the program of `question` and returns what it measured, by full name (`python/lock/fine`).
///
/// # Errors
///
/// If it cannot be run, fails, takes too long, says what cannot be read, or has another result than
/// `expected`, which is Rust's.
pub fn measure(question: &str, arguments: &[String], expected: i64) -> io::Result<Record> {
    let script = root().join("scripts/compare-python.d").join(format!("{question}.py"));
    let text = run(Command::new("python3").arg(&script).args(arguments))
        .map_err(|e| io::Error::other(format!("{}: {e}", script.display())))?;
    record(question, &text, expected)
}

fn record(question: &str, text: &str, expected: i64) -> io::Result<Record> {
    let wrong = |what: String| io::Error::other(format!("{question}.py: {what}"));
    let said: Said = serde_json::from_str(text).map_err(|e| wrong(format!("{e}: {text:?}")))?;
    let mut record = Record::default();
    for (way, is) in said.ways {
        if let Some(result) = is.result.filter(|result| *result != expected) {
            return Err(wrong(format!("{way}: the result is {result}, Rust's is {expected}")));
        }
        if is.values.is_empty() || !is.values.iter().all(|value| value.is_finite()) {
            return Err(wrong(format!("{way}: the values are {:?}", is.values)));
        }
        let sample = Sample { unit: is.unit, values: is.values };
        record.samples.insert(format!("python/{question}/{way}"), sample);
    }
    for (way, why) in said.missing {
        record.missing.insert(format!("python/{question}/{way}"), why);
    }
    Ok(record)
}

fn run(command: &mut Command) -> io::Result<String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!("it took more than {} s", LIMIT.as_secs())));
        }
        thread::sleep(Duration::from_millis(20));
    };
    let mut text = String::new();
    child.stdout.take().expect("it is piped").read_to_string(&mut text)?;
    if status.success() { Ok(text) } else { Err(io::Error::other(format!("{status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_result_is_an_error_that_names_both() {
        let text = |result: &str| {
            format!(
                r#"{{"ways": {{"thread": {{"unit": "seconds", "values": [0.5], "result": {result}}}}}}}"#
            )
        };
        let right = record("cpu_bound", &text("25"), 25).unwrap();
        assert_eq!(right.samples["python/cpu_bound/thread"], Sample::seconds([0.5]));
        let wrong = record("cpu_bound", &text("24"), 25).unwrap_err().to_string();
        assert_eq!(wrong, "cpu_bound.py: thread: the result is 24, Rust's is 25");
        assert!(record("cpu_bound", "nonsense", 25).is_err());
    }

    #[test]
    fn what_is_not_installed_is_said() {
        let text = r#"{"ways": {}, "missing": {"greenlet": "greenlet is not installed"}}"#;
        let record = record("switch", text, 0).unwrap();
        assert_eq!(record.missing["python/switch/greenlet"], "greenlet is not installed");
    }
}
