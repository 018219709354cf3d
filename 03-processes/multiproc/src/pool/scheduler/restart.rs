//! When to start workers again after some have failed to start, and when to give up.
//!
//! Failures are counted in *rounds*: those that come before the next attempt is due are one round.
//! So the number of workers makes no difference.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::process::SpawnError;

/// After so many consecutive failed rounds, no worker is started any more, unless another one is
/// ready.
const ROUNDS: u32 = 6;

/// The delay after the first failed round, and the longest one; and the longest one where only idle
/// workers ended.
const BACK_OFF: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(5);
const LONGEST_IDLE: Duration = Duration::from_secs(1);

/// How long the system may refuse to start a process.
const SHORTAGE: Duration = Duration::from_secs(60);

/// The shortest and the longest delay meanwhile.
const RETRY: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// A worker that ended without having begun a task, this soon after it was ready, has failed to
/// start.
pub(super) const PROVEN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct RestartPolicy {
    /// Consecutive failed rounds.
    rounds: u32,
    /// Whether the present round has failed.
    has_failed: bool,
    /// How often the delay was doubled.
    doubled: u32,
    /// When the next attempt is due, after a failure.
    retry_at: Option<Instant>,
    /// Since when the system has refused.
    refused_since: Option<Instant>,
    reason: String,
}

impl RestartPolicy {
    /// A worker has failed to start.
    pub(super) fn failed(&mut self, reason: String, now: Instant) {
        self.reason = reason;
        if !self.has_failed {
            self.has_failed = true;
            self.rounds += 1;
        }
        self.back_off(LONGEST, now);
    }

    /// A worker has ended soon after it was ready, with nothing to do. No task was lost with it, so
    /// this is not a reason to give up.
    pub(super) fn ended_idle(&mut self, now: Instant) {
        self.back_off(LONGEST_IDLE, now);
    }

    fn back_off(&mut self, longest: Duration, now: Instant) {
        if self.retry_at.is_none() {
            let delay = BACK_OFF.saturating_mul(1 << self.doubled.min(16)).min(longest);
            self.doubled += 1;
            self.retry_at = Some(now + delay);
        }
    }

    /// A worker could not be started.
    pub(super) fn not_started(&mut self, error: &SpawnError, now: Instant) {
        if !is_shortage(error) {
            return self.failed(error.to_string(), now);
        }
        self.reason = error.to_string();
        let since = *self.refused_since.get_or_insert(now);
        self.retry_at = Some(now + ((now - since) / 2).clamp(RETRY[0], RETRY[1]));
    }

    /// A worker was started.
    pub(super) fn started(&mut self) {
        self.refused_since = None;
    }

    /// A worker has proved to work: the series of failures has ended.
    pub(super) fn proven(&mut self) {
        (self.rounds, self.doubled) = (0, 0);
        (self.has_failed, self.retry_at) = (false, None);
    }

    /// Whether an attempt is due.
    pub(super) fn may_start(&mut self, now: Instant) -> bool {
        if self.retry_at.is_some_and(|at| now < at) {
            return false;
        }
        (self.has_failed, self.retry_at) = (false, None);
        true
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether to give up, unless a worker is ready.
    pub(super) fn is_hopeless(&self, now: Instant) -> bool {
        self.rounds >= ROUNDS || self.refused_since.is_some_and(|since| now - since >= SHORTAGE)
    }

    /// Why the latest worker failed.
    pub(super) fn reason(&self) -> String {
        self.reason.clone()
    }
}

/// Whether the system lacks something that it may have again later.
fn is_shortage(error: &SpawnError) -> bool {
    let error = match error {
        // What is encoded here is of this library's own types: there was no descriptor for it.
        SpawnError::Encode(_) => return true,
        SpawnError::Io(error) => error,
        _ => return false,
    };
    matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::StorageFull)
        || matches!(
            Errno::from_io_error(error),
            Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOBUFS | Errno::TOOMANYREFS)
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_failures_are_counted_in_rounds() {
        let mut policy = RestartPolicy::default();
        let mut now = Instant::now();
        let start = now;
        for round in 1..=ROUNDS {
            assert!(!policy.is_hopeless(now) && policy.may_start(now), "{round}");
            // Any number of workers is one round.
            (0..100).for_each(|_| policy.failed(round.to_string(), now));
            assert!(!policy.may_start(now + BACK_OFF / 2));
            now = policy.retry_at().unwrap();
        }
        assert!(policy.is_hopeless(now));
        assert_eq!(policy.reason(), ROUNDS.to_string());
        assert_eq!(now - start, BACK_OFF * ((1 << ROUNDS) - 1));
        // The delay has a limit.
        (0..100).for_each(|_| {
            assert!(policy.may_start(now));
            policy.failed(String::new(), now);
            now = policy.retry_at().unwrap();
        });
        policy.failed(String::new(), now);
        assert!(policy.retry_at().unwrap() <= now + LONGEST);
        policy.proven();
        assert!(!policy.is_hopeless(now) && policy.may_start(now));
    }

    #[test]
    fn idle_workers_that_end_are_not_a_reason_to_give_up() {
        let mut policy = RestartPolicy::default();
        let mut now = Instant::now();
        let start = now;
        for _ in 0..100 {
            assert!(!policy.is_hopeless(now) && policy.may_start(now));
            policy.ended_idle(now);
            now = policy.retry_at().unwrap();
        }
        // In the end, one round per second.
        assert!(now - start > LONGEST_IDLE * 90 && now - start <= LONGEST_IDLE * 100);
        // A round in which one fails as well is a failed one.
        assert!(policy.may_start(now));
        policy.ended_idle(now);
        policy.failed(String::new(), now);
        assert_eq!((policy.rounds, policy.retry_at()), (1, Some(now + LONGEST_IDLE)));
    }

    #[test]
    fn a_shortage_is_waited_for() {
        let mut policy = RestartPolicy::default();
        let start = Instant::now();
        let mut now = start;
        let refuse = |errno: Errno| SpawnError::Io(errno.into());
        let mut attempts = 0;
        while !policy.is_hopeless(now) {
            assert!(policy.may_start(now));
            policy.not_started(&refuse(Errno::MFILE), now);
            now = policy.retry_at().unwrap();
            attempts += 1;
        }
        assert!(now - start >= SHORTAGE && attempts < 100, "{attempts}");
        policy.started();
        assert!(!policy.is_hopeless(now));
        // What does not pass is a failure.
        policy.not_started(&refuse(Errno::ACCESS), now);
        (0..ROUNDS).for_each(|_| {
            now = policy.retry_at().unwrap();
            assert!(policy.may_start(now));
            policy.not_started(&refuse(Errno::ACCESS), now);
        });
        assert!(policy.is_hopeless(now));
    }
}
