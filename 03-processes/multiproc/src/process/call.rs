//! Calling a child's function in the child. This is the part that knows the types of the argument
//! and of the result.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ipc::packet;
use crate::ipc::socket::Packet;
use crate::process::messages::{Call, Report, report};
use crate::process::remote::Entry;
use crate::sys::fork;
use crate::sys::panics;

/// What the child does with a function of these types.
pub(super) struct Run<A, T>(PhantomData<fn(A) -> T>);

impl<F, A, T> Entry<F, Call> for Run<A, T>
where
    F: Fn(A) -> T,
    A: DeserializeOwned,
    T: Serialize,
{
    fn run(function: F, call: &mut Call) {
        let Packet { bytes, descriptors } = std::mem::take(&mut call.argument);
        let argument = match panics::catch(|| packet::decode::<A>(&bytes[call.at..], descriptors)) {
            Ok(Ok(argument)) => argument,
            Ok(Err(error)) => {
                return call.answer = report(&Report::Argument(error.reason().to_owned()));
            }
            Err(panic) => {
                fork::leave_if_fork(101);
                return call.answer = report(&Report::Panicked(panic));
            }
        };
        drop(bytes);
        // The result is encoded and dropped inside as well: both run code of the caller's.
        let answer =
            panics::catch(|| packet::encode(report(&Report::Returned).bytes, &function(argument)));
        // The answer is the original process's to give.
        fork::leave_if_fork(if answer.is_ok() { 0 } else { 101 });
        call.answer = match answer {
            Ok(Ok(packet)) => packet,
            Ok(Err(error)) => report(&Report::Result(error.reason().to_owned())),
            Err(panic) => report(&Report::Panicked(panic)),
        };
    }
}
