//! Running a pool's initializer in a worker.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::ipc::codec;
use crate::process::remote::Entry;
use crate::sys::fork;
use crate::sys::panics::{self, Panic};

/// The call of an initializer.
pub(in crate::pool) struct InitializerCall {
    /// The encoded argument.
    pub(super) argument: Vec<u8>,
    /// The panic that ended it.
    pub(super) panic: Option<Panic>,
}

/// Runs an initializer whose argument has this type.
pub(in crate::pool) struct RunInitializer<A>(PhantomData<fn(A)>);

impl<F: Fn(A), A: DeserializeOwned> Entry<F, InitializerCall> for RunInitializer<A> {
    fn run(function: F, call: &mut InitializerCall) {
        let outcome = panics::catch(|| match codec::decode::<A>(&call.argument) {
            Ok(argument) => function(argument),
            Err(error) => {
                panic!("the initializer's argument cannot be decoded: {}", error.reason())
            }
        });
        fork::leave_if_fork(if outcome.is_ok() { 0 } else { 101 });
        call.panic = outcome.err();
    }
}
