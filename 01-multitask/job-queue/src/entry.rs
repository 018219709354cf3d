//! What both stores have in common: a job as it is stored.

use crate::Job;
use apalis::prelude::{Task, TaskBuilder};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a store or the library said; it is only ever shown.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// For a worker, or after a failure for its time to be tried again.
    Waiting,
    /// A worker has it.
    Running,
    /// Over, with a result.
    Done,
    /// Over: it failed, or its worker died, as often as it may.
    Failed,
}

/// A job in the store.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The job's name in the store.
    pub id: Vec<u8>,
    /// What is to be done, or the reason why the job cannot be decoded.
    pub job: Result<Job, String>,
    /// How far it is.
    pub state: State,
    /// How often it was begun, as far as the store knows.
    pub runs: u32,
    /// What its last finished run returned, or why it failed.
    pub result: Option<Result<String, String>>,
}

/// Seconds since 1970, the clock both stores go by.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// A job is retried at most [`crate::MOST_RUNS`] seconds after it has failed. One whose time is
/// later than this many seconds from now was stored before the clock was set back: its time has
/// come.
pub(crate) const LATEST: u64 = 60;

/// Jobs as the library wants them.
pub(crate) fn tasks(jobs: &[Job]) -> Result<Vec<Task<Vec<u8>>>, Error> {
    let task = |job: &Job| {
        let bytes = serde_json::to_vec(job)?;
        Ok(TaskBuilder::new(bytes).idempotency_key(&job.key).run_at_timestamp(0).build())
    };
    jobs.iter().map(task).collect()
}

/// A job's result as the library stores it: `{"Ok": …}` or `{"Err": …}`.
pub(crate) fn result(stored: Option<&[u8]>) -> Option<Result<String, String>> {
    let stored = stored.filter(|stored| !stored.is_empty())?;
    let result: Result<String, String> = serde_json::from_slice(stored)
        .unwrap_or_else(|error| Err(format!("its result cannot be decoded: {error}")));
    let plain =
        |reason: String| reason.strip_prefix("AbortError: ").map(str::to_owned).unwrap_or(reason);
    Some(result.map_err(plain))
}

/// The result of a job that failed for this reason, as the library stores it.
pub(crate) fn failure(reason: &str) -> String {
    serde_json::json!({ "Err": reason }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_cannot_be_decoded_is_a_failure() {
        assert_eq!(result(None), None);
        assert_eq!(result(Some(br#"{"Ok":"a"}"#)), Some(Ok("a".into())));
        assert_eq!(result(Some(failure("b\n\"").as_bytes())), Some(Err("b\n\"".into())));
        for stored in [&b"\xff"[..], b"{}", br#"{"Ok":7}"#] {
            assert!(
                matches!(result(Some(stored)), Some(Err(reason)) if reason.starts_with("its result"))
            );
        }
    }
}
