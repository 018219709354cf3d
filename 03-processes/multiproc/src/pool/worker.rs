//! The worker's side: it takes tasks from one ring, runs them, and sends the results through
//! another ring.

use std::marker::PhantomData;
use std::mem::needs_drop;
use std::time::{Duration, Instant};

use crate::shm::ring;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::arguments::Arguments;
use super::claims::{Claims, LogWriter};
use crate::ipc::codec;
use crate::ipc::error::{DecodeError, EncodeError};
use crate::process::dispositions;
use crate::process::remote::{Entry, Remote};
use crate::shm::arena::{self, RegionId};
use crate::shm::transit::{Carrier, Encoding};
use crate::sys::fork;
use crate::sys::observer::{self, Event};
use crate::sys::panics::{self, Panic};

/// What a worker begins with.
#[derive(Serialize, Deserialize)]
pub(super) struct Begin {
    pub(super) tasks: ring::Receiver,
    pub(super) results: ring::Sender,
    pub(super) claims: Claims,
    pub(super) initializer: Option<(Remote<Setup>, Vec<u8>)>,
    pub(super) ignore_interrupts: bool,
}

/// The call of an initializer.
pub(super) struct Setup {
    argument: Vec<u8>,
    failed: Option<Panic>,
}

/// Before each batch in the ring of tasks. The [`Arguments`] follow.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    /// Counted from 1 for each worker.
    pub(super) number: u64,
    pub(super) count: usize,
    pub(super) entry: Remote<Batch>,
}

/// The first byte of a message in the ring of results; the first four are also the tags of results
/// in a log.
pub(super) mod tag {
    /// The result follows.
    pub(crate) const RETURNED: u8 = 0;
    /// A `Panic` follows.
    pub(crate) const PANICKED: u8 = 1;
    /// The result could not be encoded; a text follows.
    pub(crate) const RESULT: u8 = 2;
    /// The argument could not be decoded; a text follows, and the argument's bytes.
    pub(crate) const ARGUMENT: u8 = 3;
    /// The worker is ready for tasks.
    pub(crate) const READY: u8 = 4;
    /// The initializer panicked: a `Panic` follows, and the worker's end.
    pub(crate) const NOT_READY: u8 = 5;
    /// A log: the batch's number and the first result's position (eight bytes each), then the
    /// records.
    pub(crate) const LOG: u8 = 6;
    /// A result with handles of shared memory in it: a list of them, then the result.
    pub(crate) const HANDLES: u8 = 7;
}

/// Tasks of one function, run one after the other.
pub(super) struct Batch {
    arguments: Vec<u8>,
    results: ring::Sender,
    log: LogWriter,
    /// Whether it is a batch of one: its result is sent at once.
    single: bool,
    /// A result being encoded, and a message being built.
    result: Vec<u8>,
    message: Vec<u8>,
    /// Handles in results that the pool may not hold yet.
    in_flight: Vec<Vec<RegionId>>,
}

impl Batch {
    /// Passes on the result of the next task. False if the pool has taken back the tasks behind it.
    #[inline]
    fn finish(&mut self, tag: u8, result: &[u8]) -> bool {
        if tag == tag::RETURNED
            && result.is_empty()
            && !self.single
            && let Some(goes_on) = self.log.push_empty()
        {
            return goes_on;
        }
        self.pass_on(tag, result)
    }

    /// Passes on a result with handles in it: never in the log, from which the pool may read it
    /// late.
    #[cold]
    fn finish_with_handles(&mut self, handles: Vec<RegionId>, result: &[u8]) -> bool {
        let mut listed = Vec::new();
        codec::encode_own(&handles, &mut listed);
        listed.extend_from_slice(result);
        if self.in_flight.len() >= IN_FLIGHT {
            self.in_flight.retain(|handles| !arena::have_arrived(handles));
        }
        self.in_flight.push(handles);
        if self.single {
            self.send(tag::HANDLES, &listed);
            return false;
        }
        self.flush();
        self.send(tag::HANDLES, &listed);
        self.log.restart(self.log.batch(), self.log.end() + 1);
        self.log.may_go_on()
    }

    fn pass_on(&mut self, tag: u8, result: &[u8]) -> bool {
        if self.single {
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

    fn finish_with<T: Serialize + ?Sized>(&mut self, tag: u8, value: &T) -> bool {
        let mut result = Vec::new();
        codec::encode_own(value, &mut result);
        self.finish(tag, &result)
    }

    #[cold]
    fn finish_failed(&mut self, failed: &Failed) -> bool {
        match failed {
            Failed::Encode(error) => self.finish_with(tag::RESULT, error.reason()),
            Failed::Decode(error) => {
                let mut result = Vec::new();
                codec::encode_own(error.reason(), &mut result);
                result.extend_from_slice(&error.bytes);
                self.finish(tag::ARGUMENT, &result)
            }
        }
    }

    /// Sends what is in the log, and begins it anew. Killed in between, the pool has it twice, and
    /// sees that by its position.
    fn flush(&mut self) {
        if self.log.is_empty() {
            return;
        }
        self.message.clear();
        self.message.push(tag::LOG);
        self.message.extend_from_slice(&self.log.batch().to_le_bytes());
        self.message.extend_from_slice(&(self.log.first() as u64).to_le_bytes());
        self.log.copy_to(&mut self.message);
        let _ = self.results.send(&self.message, None);
        self.log.restart(self.log.batch(), self.log.end());
    }

    /// Puts one message into the ring; a pool that is gone needs none.
    fn send(&mut self, tag: u8, rest: &[u8]) {
        self.message.clear();
        self.message.push(tag);
        self.message.extend_from_slice(rest);
        let _ = self.results.send(&self.message, None);
    }
}

/// Why a task has no result though nothing panicked.
enum Failed {
    Encode(EncodeError),
    Decode(DecodeError),
}

/// What a worker does with a function of these types.
pub(super) struct RunTasks<A, T>(PhantomData<fn(A) -> T>);

impl<F, A, T> Entry<F, Batch> for RunTasks<A, T>
where
    F: Fn(A) -> T,
    A: DeserializeOwned,
    T: Serialize,
{
    fn run(function: F, batch: &mut Batch) {
        let bytes = std::mem::take(&mut batch.arguments);
        let mut result = std::mem::take(&mut batch.result);
        let mut arguments = Arguments(&bytes);
        // All of the caller's code is inside: its `Deserialize`, the function, its `Serialize` and
        // the drop of what it returned. After a panic the loop goes on with the next task.
        while let Err(panic) = panics::catch(|| {
            for argument in arguments.by_ref() {
                observer::report(Event::TaskStarted);
                result.clear();
                let outcome = match codec::decode::<A>(argument) {
                    Ok(argument) => encode(function(argument), &mut result).map_err(Failed::Encode),
                    Err(error) => Err(Failed::Decode(error)),
                };
                fork::leave_if_fork(0);
                observer::report(Event::TaskFinished);
                let goes_on = match outcome {
                    Ok(handles) if !handles.is_empty() => {
                        batch.finish_with_handles(handles, &result)
                    }
                    Ok(_) => batch.finish(tag::RETURNED, &result),
                    Err(failed) => batch.finish_failed(&failed),
                };
                if !goes_on {
                    return;
                }
            }
        }) {
            fork::leave_if_fork(101);
            observer::report(Event::TaskFinished);
            if !batch.finish_with(tag::PANICKED, &panic) {
                break;
            }
        }
        batch.arguments = bytes;
        batch.result = result;
    }
}

/// Encodes a result; the handles in it.
#[inline]
fn encode<T: Serialize>(value: T, result: &mut Vec<u8>) -> Result<Vec<RegionId>, EncodeError> {
    // A value without a destructor owns no handle: known when compiled.
    if !needs_drop::<T>() {
        return codec::append(&value, result).map(|()| Vec::new());
    }
    let encoding = Encoding::begin(Carrier::Memory);
    codec::append(&value, result)?;
    // If this panics, nobody gets the bytes.
    drop(value);
    Ok(encoding.into_handles())
}

/// Runs an initializer of this type.
pub(super) struct RunSetup<A>(PhantomData<fn(A)>);

impl<F: Fn(A), A: DeserializeOwned> Entry<F, Setup> for RunSetup<A> {
    fn run(function: F, setup: &mut Setup) {
        let outcome = panics::catch(|| match codec::decode::<A>(&setup.argument) {
            Ok(argument) => function(argument),
            Err(error) => {
                panic!("the initializer's argument cannot be decoded: {}", error.reason())
            }
        });
        fork::leave_if_fork(if outcome.is_ok() { 0 } else { 101 });
        setup.failed = outcome.err();
    }
}

/// A buffer that has become larger than this is not kept for the next time.
const KEEP: usize = 1 << 20;

/// Frees a buffer that one large value has made large.
pub(super) fn keep_small(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEEP {
        *buffer = Vec::new();
    }
}

/// So many results with handles are kept in mind before those that have arrived are looked for.
const IN_FLIGHT: usize = 64;

/// How often a worker that is about to end looks whether the pool has its last results.
const SOON: Duration = Duration::from_millis(1);
const LONG_ENOUGH: Duration = Duration::from_secs(10);

/// How long a worker looks for its next tasks before it sleeps, in pauses of the processor:
/// briefly, since the pool's own threads, which have to get them ready, may need this very core.
const SPINS: u32 = 100;

/// The function that a worker process runs. It ends when its ring of tasks is closed and empty.
pub(super) fn work(begin: Begin) {
    let Begin { mut tasks, results, claims, initializer, ignore_interrupts } = begin;
    if ignore_interrupts {
        dispositions::ignore_interrupts();
    }
    claims.accept_barriers();
    let log = LogWriter::new(claims);
    let mut batch = Batch {
        arguments: Vec::new(),
        results,
        log,
        single: true,
        result: Vec::new(),
        message: Vec::new(),
        in_flight: Vec::new(),
    };
    if let Some((entry, argument)) = initializer {
        let mut setup = Setup { argument, failed: None };
        entry.call(&mut setup);
        if let Some(panic) = setup.failed {
            batch.finish_with(tag::NOT_READY, &panic);
            std::process::exit(101);
        }
    }
    batch.send(tag::READY, &[]);
    while let Ok(message) = tasks.recv_spinning(SPINS, None) {
        let (head, arguments) = codec::decode_header::<Head>(message)
            .expect("the pool and its workers are the same program");
        if !batch.log.claim(head.number) {
            continue;
        }
        batch.arguments.clear();
        batch.arguments.extend_from_slice(arguments);
        batch.single = head.count == 1;
        if !batch.single {
            batch.log.restart(head.number, 0);
        }
        head.entry.call(&mut batch);
        batch.flush();
        for buffer in [&mut batch.arguments, &mut batch.result, &mut batch.message] {
            keep_small(buffer);
        }
    }
    // What is in results must not be gone before the pool holds it. Its thread reads the ring
    // without waiting for anybody; it ends this process if nobody wants the results, unless it may
    // not.
    let give_up = Instant::now() + LONG_ENOUGH;
    let has_all = || batch.in_flight.iter().all(|handles| arena::have_arrived(handles));
    while !has_all() && Instant::now() < give_up {
        std::thread::sleep(SOON);
    }
}

/// The encoding of a value, for the tests of what becomes of results.
#[cfg(test)]
pub(super) fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_own(value, &mut bytes);
    bytes
}
