//! Publishing results.
//!
//! The result of a batch of one is sent at once. The results of a larger batch are put into the
//! [log](crate::pool::claims), which is sent when it is full and at the end of the batch. A result
//! counts when it is in the log, or whole in the ring, even if the worker dies then.

use serde::Serialize;

use crate::ipc::codec;
use crate::ipc::error::{DecodeError, EncodeError};
use crate::pool::buffer::keep_small;
use crate::pool::claims::{Claims, LogWriter};
use crate::pool::messages::{LogHeader, tag};
use crate::shm::arena::{self, RegionId};
use crate::shm::ring;

/// So many results with handles are remembered before those that have arrived are looked for.
const IN_FLIGHT: usize = 64;

/// Why a task has no result although nothing panicked.
pub(super) enum Failed {
    Encode(EncodeError),
    Decode(DecodeError),
}

/// The worker's ring of results and its log.
pub(super) struct Output {
    results: ring::Sender,
    log: LogWriter,
    /// Whether the batch is one task: its result is sent at once.
    is_single: bool,
    /// Whether each task has a time limit.
    is_timed: bool,
    /// A message being built.
    message: Vec<u8>,
    /// Handles in results that the pool may not hold yet.
    in_flight: Vec<Vec<RegionId>>,
}

impl Output {
    pub(super) fn new(results: ring::Sender, claims: Claims) -> Self {
        Self {
            results,
            log: LogWriter::new(claims),
            is_single: true,
            is_timed: false,
            message: Vec::new(),
            in_flight: Vec::new(),
        }
    }

    /// Claims a batch of so many tasks, whose results come next; false if it was reclaimed.
    /// `is_timed` is whether each of them has a time limit.
    pub(super) fn claim(&mut self, seq: u64, count: usize, is_timed: bool) -> bool {
        let is_claimed = self.log.claim(seq);
        if is_claimed {
            self.is_single = count == 1;
            self.is_timed = is_timed;
            if !self.is_single {
                self.log.restart(seq, 0);
            }
        }
        is_claimed
    }

    /// Whether each task of the batch has a time limit, and so must be [started](Self::start_task).
    #[inline]
    pub(super) fn is_timed(&self) -> bool {
        self.is_timed
    }

    /// Begins the next task of a batch with a time limit. False if the pool has reclaimed it and
    /// those behind it.
    #[cold]
    pub(super) fn start_task(&self) -> bool {
        self.log.start_task(if self.is_single { 0 } else { self.log.end() })
    }

    /// Publishes the result of the next task. False if the batch has no further task, or the pool
    /// has reclaimed those behind it.
    #[inline]
    pub(super) fn publish(&mut self, tag: u8, result: &[u8]) -> bool {
        if tag == tag::RETURNED
            && result.is_empty()
            && !self.is_single
            && let Some(may_go_on) = self.log.push_empty()
        {
            return may_go_on;
        }
        self.publish_bytes(tag, result)
    }

    fn publish_bytes(&mut self, tag: u8, result: &[u8]) -> bool {
        if self.is_single {
            self.send(tag, result);
            return false;
        }
        if !self.log.push(tag, result) {
            self.flush();
            if !self.log.push(tag, result) {
                self.send(tag, result);
                self.log.restart(self.log.batch(), self.log.end() + 1);
            }
        }
        self.log.may_go_on()
    }

    /// Publishes a result with handles in it: never in the log, from which the pool may read it
    /// late.
    #[cold]
    pub(super) fn publish_with_handles(&mut self, handles: Vec<RegionId>, result: &[u8]) -> bool {
        let mut listed = Vec::new();
        codec::encode_own(&handles, &mut listed);
        listed.extend_from_slice(result);
        if self.in_flight.len() >= IN_FLIGHT {
            self.in_flight.retain(|handles| !arena::have_arrived(handles));
        }
        self.in_flight.push(handles);
        if self.is_single {
            self.send(tag::HANDLES, &listed);
            return false;
        }
        self.flush();
        self.send(tag::HANDLES, &listed);
        self.log.restart(self.log.batch(), self.log.end() + 1);
        self.log.may_go_on()
    }

    /// Publishes a value of this library in place of a result.
    pub(super) fn publish_own<T: Serialize + ?Sized>(&mut self, tag: u8, value: &T) -> bool {
        let mut result = Vec::new();
        codec::encode_own(value, &mut result);
        self.publish(tag, &result)
    }

    #[cold]
    pub(super) fn publish_failed(&mut self, failed: &Failed) -> bool {
        match failed {
            Failed::Encode(error) => self.publish_own(tag::RESULT, error.reason()),
            Failed::Decode(error) => {
                let mut result = Vec::new();
                codec::encode_own(error.reason(), &mut result);
                result.extend_from_slice(&error.bytes);
                self.publish(tag::ARGUMENT, &result)
            }
        }
    }

    /// Sends what is in the log, and empties it. If the worker is killed in between, the pool reads
    /// the same results twice, and recognizes that by their position.
    pub(super) fn flush(&mut self) {
        if self.log.is_empty() {
            return;
        }
        let header = LogHeader { batch: self.log.batch(), first: self.log.first() };
        self.message.clear();
        self.message.push(tag::LOG);
        header.append_to(&mut self.message);
        self.log.copy_to(&mut self.message);
        let _ = self.results.send(&self.message, None);
        self.log.restart(self.log.batch(), self.log.end());
    }

    /// Sends one message. A ring that is closed is one whose pool needs no more results.
    pub(super) fn send(&mut self, tag: u8, rest: &[u8]) {
        self.message.clear();
        self.message.push(tag);
        self.message.extend_from_slice(rest);
        let _ = self.results.send(&self.message, None);
    }

    /// Frees a buffer that one large result has made large.
    pub(super) fn shrink(&mut self) {
        keep_small(&mut self.message);
    }

    /// Whether the pool holds everything that the handles in results refer to.
    pub(super) fn have_handles_arrived(&self) -> bool {
        self.in_flight.iter().all(|handles| arena::have_arrived(handles))
    }
}
