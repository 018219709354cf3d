//! A worker as the scheduler knows it: what it was assigned.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ipc::codec;
use crate::pool::batch::Batch;
use crate::pool::buffer::keep_small;
use crate::pool::claims::{Claims, MAX_SPAN, Started};
use crate::pool::error::TaskError;
use crate::pool::worker::BatchHeader;
use crate::process::Child;
use crate::shm::ring;

/// How far ahead a worker is assigned batches: so many, or so many bytes of arguments.
const AHEAD: usize = 128;
const AHEAD_BYTES: usize = 256 * 1024;

/// A worker that has not claimed what it was assigned after this time is taken for stopped.
const OVERDUE: Duration = Duration::from_millis(20);

/// A worker process, and the batches assigned to it.
pub(in crate::pool) struct WorkerHandle {
    pub(in crate::pool) id: u64,
    pub(in crate::pool) child: Child<()>,
    batches: ring::Sender,
    pub(in crate::pool) claims: Arc<Claims>,
    /// Assigned and not finished, with their sequence numbers, in the order they were sent.
    pub(in crate::pool) assigned: VecDeque<(u64, Batch)>,
    assigned_bytes: usize,
    /// The rest of a message that did not fit into the ring.
    unsent: Option<Vec<u8>>,
    /// The latest batch's sequence number.
    seq: u64,
    /// Tasks assigned since it was started.
    tasks: usize,
    /// Gets no more batches, and ends after those it has.
    pub(in crate::pool) is_retired: bool,
    /// Since when it is ready for batches.
    pub(in crate::pool) ready_at: Option<Instant>,
    /// Whether it has begun a task, or was ready for a while.
    pub(super) is_proven: bool,
    /// Whether it was found not to claim what it was assigned.
    is_stopped: bool,
    /// The first batch assigned, if it was not claimed, and since when that is known.
    unclaimed: Option<(u64, Instant)>,
    /// The task for which it was killed.
    pub(in crate::pool) killed: Option<KilledTask>,
}

/// The task for which a worker was killed.
pub(in crate::pool) struct KilledTask {
    /// The sequence number of its batch.
    pub(in crate::pool) seq: u64,
    /// Its position in the batch, which is the last one that the worker may run.
    pub(in crate::pool) position: usize,
    /// The task's error, if it has no result.
    pub(in crate::pool) error: TaskError,
}

impl WorkerHandle {
    pub(super) fn new(
        id: u64,
        child: Child<()>,
        batches: ring::Sender,
        claims: Arc<Claims>,
    ) -> Self {
        Self {
            id,
            child,
            batches,
            claims,
            assigned: VecDeque::new(),
            assigned_bytes: 0,
            unsent: None,
            seq: 0,
            tasks: 0,
            is_retired: false,
            ready_at: None,
            is_proven: false,
            is_stopped: false,
            unclaimed: None,
            killed: None,
        }
    }

    /// Whether it can be assigned another batch.
    pub(super) fn accepts(&self) -> bool {
        let span = self.assigned.front().map_or(0, |(seq, _)| self.seq - seq);
        self.ready_at.is_some()
            && !self.is_retired
            && self.unsent.is_none()
            // A worker that was stopped goes on when it has received what was sent.
            && (!self.is_stopped || self.claims.received() == self.seq)
            && (self.assigned.is_empty()
                || (self.assigned.len() < AHEAD
                    && self.assigned_bytes < AHEAD_BYTES
                    && (span as usize) < MAX_SPAN - 1))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.assigned.is_empty() && self.accepts()
    }

    /// Assigns it a batch; the worker [accepts](Self::accepts) one. It retires with the batch that
    /// makes its tasks `max_tasks`.
    pub(super) fn assign(&mut self, batch: Batch, max_tasks: Option<usize>, message: &mut Vec<u8>) {
        self.seq += 1;
        self.is_stopped = false;
        let header = BatchHeader {
            seq: self.seq,
            count: batch.len(),
            entry: batch.entry,
            is_timed: batch.policy.time_limit.is_some(),
        };
        message.clear();
        codec::encode_own(&header, message);
        message.extend_from_slice(&batch.arguments.bytes);
        self.claims.offer(self.seq);
        self.tasks += batch.len();
        self.assigned_bytes += batch.bytes();
        self.assigned.push_back((self.seq, batch));
        // A closed ring is one whose worker has died; the collector reclaims its batches.
        if let Ok(false) = self.batches.try_send(message) {
            self.unsent = Some(std::mem::take(message));
        }
        keep_small(message);
        if max_tasks.is_some_and(|max_tasks| self.tasks >= max_tasks) {
            self.retire();
        }
    }

    /// Sends more of a message that did not fit into the ring.
    pub(super) fn flush(&mut self) {
        if let Some(message) = &self.unsent
            && !matches!(self.batches.try_send(message), Ok(false))
        {
            self.unsent = None;
            if self.is_retired {
                self.batches.close();
            }
        }
    }

    /// Assigns it no more batches: it ends after those it has.
    pub(in crate::pool) fn retire(&mut self) {
        self.is_retired = true;
        if self.unsent.is_none() {
            self.batches.close();
        }
    }

    /// Kills it, if that is possible. A process that has become another user's cannot be killed; it
    /// ends when it notices that its ring is closed.
    pub(super) fn kill(&mut self) {
        self.is_retired = true;
        let _ = self.child.kill();
        self.batches.close();
    }

    /// Removes the first batch: it is finished.
    pub(in crate::pool) fn finish_first(&mut self) -> Option<(u64, Batch)> {
        let finished = self.assigned.pop_front()?;
        self.assigned_bytes -= finished.1.bytes();
        Some(finished)
    }

    /// Removes everything it was assigned.
    pub(in crate::pool) fn take_assigned(&mut self) -> VecDeque<(u64, Batch)> {
        self.assigned_bytes = 0;
        std::mem::take(&mut self.assigned)
    }

    /// Reclaims up to `limit` batches that it has not claimed, the latest first.
    pub(super) fn reclaim(&mut self, limit: usize) -> Vec<Batch> {
        let mut reclaimed = Vec::new();
        while reclaimed.len() < limit
            && let Some((seq, _)) = self.assigned.back()
            && self.claims.reclaim(*seq)
            && let Some((_, batch)) = self.assigned.pop_back()
        {
            self.assigned_bytes -= batch.bytes();
            self.tasks -= batch.len();
            reclaimed.push(batch);
        }
        reclaimed
    }

    /// Reclaims this batch; `None` if it has claimed it.
    pub(super) fn reclaim_one(&mut self, seq: u64) -> Option<Batch> {
        let at = self.assigned.iter().position(|(assigned, _)| *assigned == seq)?;
        if !self.claims.reclaim(seq) {
            return None;
        }
        let (_, batch) = self.assigned.remove(at)?;
        self.assigned_bytes -= batch.bytes();
        self.tasks -= batch.len();
        Some(batch)
    }

    /// Reclaims the batches behind this one, the latest first; false if it has claimed one of them.
    pub(super) fn reclaim_behind(&mut self, seq: u64) -> (Vec<Batch>, bool) {
        if self.claims.received() > seq {
            return (Vec::new(), false);
        }
        let count = self.assigned.iter().rev().take_while(|(behind, _)| *behind > seq).count();
        let reclaimed = self.reclaim(count);
        let is_last = reclaimed.len() == count;
        (reclaimed, is_last)
    }

    /// The shortest time that is left to a task of those assigned, if one has a time limit; and the
    /// latest task with a limit that was started, which may have ended. `clock` is the time now.
    pub(super) fn time_left(&self, clock: Duration) -> Option<(Duration, Option<Started>)> {
        if self.killed.is_some() {
            return None;
        }
        let started = self.claims.started();
        let left = |(seq, batch): &(u64, Batch)| {
            let limit = batch.policy.time_limit?;
            let started = started.filter(|started| started.seq == *seq);
            let elapsed = started.map_or(Duration::ZERO, |it| clock.saturating_sub(it.at));
            Some(limit.saturating_sub(elapsed))
        };
        Some((self.assigned.iter().filter_map(left).min()?, started))
    }

    /// Whether it has published no result of a task that it has started, as far as can be seen.
    pub(super) fn may_be_in(&self, Started { seq, position, .. }: Started) -> bool {
        let Some((_, batch)) = self.assigned.front().filter(|(first, _)| *first == seq) else {
            // The collector has not read all results before it.
            return false;
        };
        // The result of a batch of one is in the ring.
        batch.len() == 1
            || (position < batch.len()
                && self.claims.completed(seq).is_some_and(|completed| completed == position))
    }

    /// Whether it has left its first batch unclaimed for a while; reclaimed then, its batches are
    /// taken for those of a stopped worker.
    pub(super) fn is_overdue(&mut self, now: Instant) -> bool {
        let first = self.assigned.front().map(|(seq, _)| *seq);
        let offered = first.filter(|seq| self.claims.is_offered(*seq));
        match (offered, self.unclaimed) {
            (Some(seq), Some((seen, since))) if seq == seen => now - since >= OVERDUE,
            (offered, _) => {
                self.unclaimed = offered.map(|seq| (seq, now));
                false
            }
        }
    }

    /// Reclaims everything from a worker that is stopped. It accepts batches again when it has
    /// received those that were sent.
    pub(super) fn reclaim_from_stopped(&mut self) -> Vec<Batch> {
        self.is_stopped = true;
        self.reclaim(usize::MAX)
    }

    /// The sequence number of the batch that it has claimed, and how many tasks are in it.
    pub(in crate::pool) fn claimed(&self) -> Option<(u64, usize)> {
        let (seq, batch) = self.assigned.front()?;
        (!self.claims.is_offered(*seq)).then_some((*seq, batch.len()))
    }

    /// Limits a batch that it has claimed to the first `keep` tasks, and returns the others, if
    /// there are any.
    ///
    /// # Errors
    ///
    /// It may have begun more.
    pub(super) fn limit(&mut self, seq: u64, keep: usize) -> Result<Option<Batch>, ()> {
        match self.assigned.front() {
            Some((first, batch)) if *first == seq && keep < batch.len() => {
                self.split_claimed(keep).map(Some).ok_or(())
            }
            _ => Ok(None),
        }
    }

    /// Limits the first batch, which it has claimed, to the first `keep` tasks, and returns the
    /// others; `None` if it may have begun more.
    pub(super) fn split_claimed(&mut self, keep: usize) -> Option<Batch> {
        let (seq, batch) = self.assigned.front_mut()?;
        // It executes a fence before each task with a time limit.
        if !self.claims.limit(*seq, keep, batch.policy.time_limit.is_some()) {
            return None;
        }
        let rest = batch.split_off(keep);
        self.assigned_bytes -= rest.bytes();
        self.tasks -= rest.len();
        Some(rest)
    }
}
