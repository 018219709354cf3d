//! Running the tasks of a batch: the part that knows the types of the argument and the result.

use std::marker::PhantomData;
use std::mem::needs_drop;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::output::{Failed, Output};
use crate::ipc::codec;
use crate::ipc::error::EncodeError;
use crate::pool::arguments;
use crate::pool::buffer::keep_small;
use crate::pool::messages::tag;
use crate::process::remote::{Entry, Remote};
use crate::shm::arena::RegionId;
use crate::shm::transit::{Carrier, Encoding};
use crate::sys::fork;
use crate::sys::observer::{self, Event};
use crate::sys::panics;

/// What comes before the encoded arguments in a message with a batch.
#[derive(Serialize, Deserialize)]
pub(in crate::pool) struct BatchHeader {
    /// The batch's sequence number, counted from 1 for each worker.
    pub(in crate::pool) seq: u64,
    /// How many tasks the batch has.
    pub(in crate::pool) count: usize,
    pub(in crate::pool) entry: Remote<Execution>,
    /// Whether each task has a time limit.
    pub(in crate::pool) is_timed: bool,
}

/// A batch that is run.
pub(in crate::pool) struct Execution {
    /// The encoded arguments.
    pub(super) arguments: Vec<u8>,
    pub(super) output: Output,
    /// A result being encoded.
    result: Vec<u8>,
}

impl Execution {
    pub(super) fn new(output: Output) -> Self {
        Self { arguments: Vec::new(), output, result: Vec::new() }
    }

    /// Frees buffers that one large value has made large.
    pub(super) fn shrink(&mut self) {
        keep_small(&mut self.arguments);
        keep_small(&mut self.result);
        self.output.shrink();
    }
}

/// Runs tasks whose function has these types.
pub(in crate::pool) struct RunTasks<A, T>(PhantomData<fn(A) -> T>);

impl<F, A, T> Entry<F, Execution> for RunTasks<A, T>
where
    F: Fn(A) -> T,
    A: DeserializeOwned,
    T: Serialize,
{
    fn run(function: F, execution: &mut Execution) {
        let bytes = std::mem::take(&mut execution.arguments);
        let mut result = std::mem::take(&mut execution.result);
        let output = &mut execution.output;
        let mut arguments = arguments::Iter::new(&bytes);
        // Once for the batch, since some tasks take no longer than a look.
        let is_observed = observer::is_set();
        let report = |event| {
            if is_observed {
                observer::report(event);
            }
        };
        // All of the caller's code is inside: its `Deserialize`, the function, its `Serialize` and
        // the drop of what it returned. After a panic the loop goes on with the next task.
        while let Err(panic) = panics::catch(|| {
            for argument in arguments.by_ref() {
                if output.is_timed() && !output.start_task() {
                    return;
                }
                report(Event::TaskStarted);
                result.clear();
                let outcome = match codec::decode::<A>(argument) {
                    Ok(argument) => encode(function(argument), &mut result).map_err(Failed::Encode),
                    Err(error) => Err(Failed::Decode(error)),
                };
                fork::leave_if_fork(0);
                report(Event::TaskFinished);
                let goes_on = match outcome {
                    Ok(handles) if !handles.is_empty() => {
                        output.publish_with_handles(handles, &result)
                    }
                    Ok(_) => output.publish(tag::RETURNED, &result),
                    Err(failed) => output.publish_failed(&failed),
                };
                if !goes_on {
                    return;
                }
            }
        }) {
            fork::leave_if_fork(101);
            report(Event::TaskFinished);
            if !output.publish_own(tag::PANICKED, &panic) {
                break;
            }
        }
        execution.arguments = bytes;
        execution.result = result;
    }
}

/// Encodes a result; returns the handles in it.
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
