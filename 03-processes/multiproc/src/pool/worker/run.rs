//! The function that a worker process runs.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::execution::{BatchHeader, Execution};
use super::initializer::InitializerCall;
use super::output::Output;
use crate::ipc::codec;
use crate::pool::claims::Claims;
use crate::pool::messages::tag;
use crate::process::dispositions;
use crate::process::remote::Remote;
use crate::shm::ring;

/// How often a worker that is about to exit looks whether the pool holds what its last results
/// refer to, and for how long.
const ARRIVAL_POLL: Duration = Duration::from_millis(1);
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a worker polls for its next batch before it sleeps, in pauses of the processor. It is
/// short, since the threads that submit tasks and collect results may need this very core.
const SPINS: u32 = 100;

/// What a worker starts with.
#[derive(Serialize, Deserialize)]
pub(in crate::pool) struct Startup {
    pub(in crate::pool) batches: ring::Receiver,
    pub(in crate::pool) results: ring::Sender,
    pub(in crate::pool) claims: Claims,
    /// The initializer, and its encoded argument.
    pub(in crate::pool) initializer: Option<(Remote<InitializerCall>, Vec<u8>)>,
    pub(in crate::pool) ignore_interrupts: bool,
}

/// Runs batches until the ring of batches is closed and empty.
pub(in crate::pool) fn run(startup: Startup) {
    let Startup { mut batches, results, claims, initializer, ignore_interrupts } = startup;
    if ignore_interrupts {
        dispositions::ignore_interrupts();
    }
    claims.accept_barriers();
    let mut execution = Execution::new(Output::new(results, claims));
    if let Some((entry, argument)) = initializer {
        let mut call = InitializerCall { argument, panic: None };
        entry.call(&mut call);
        if let Some(panic) = call.panic {
            execution.output.publish_own(tag::NOT_READY, &panic);
            std::process::exit(101);
        }
    }
    execution.output.send(tag::READY, &[]);
    while let Ok(message) = batches.recv_spinning(SPINS, None) {
        let (header, arguments) = codec::decode_header::<BatchHeader>(message)
            .expect("the pool and its workers are the same program");
        if !execution.output.claim(header.seq, header.count, header.is_timed) {
            continue;
        }
        execution.arguments.clear();
        execution.arguments.extend_from_slice(arguments);
        header.entry.call(&mut execution);
        execution.output.flush();
        execution.shrink();
    }
    // What the last results refer to must exist until the pool holds it. The collector reads the
    // ring without waiting for anybody; if nobody wants the results, it kills this process, unless
    // it may not.
    let give_up = Instant::now() + ARRIVAL_TIMEOUT;
    while !execution.output.have_handles_arrived() && Instant::now() < give_up {
        std::thread::sleep(ARRIVAL_POLL);
    }
}
