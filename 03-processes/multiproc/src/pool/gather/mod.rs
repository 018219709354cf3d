//! Results on their way to the caller.
//!
//! The [collector](super::collector) delivers results, as bytes, to a [`Sink`]: one for each call
//! of the pool. There they wait until the caller fetches them. A sink is a [`Monitor`] around one
//! of three collections:
//!
//! | call | collection | order |
//! | --- | --- | --- |
//! | `apply`, `apply_async` | `Option<Outcome>` ([`single`]) | – |
//! | `map`, `map_each` | [`Runs`], which the caller puts in order ([`Ordered`]) | the arguments' |
//! | `imap`, `imap_unordered` | [`Stream`] | the arguments', or as they come |
//!
//! Decoding runs the caller's code (its `Deserialize`, and `Drop` for a value that is thrown away),
//! which may take any time, need a large stack, panic or call the pool. So it happens in the thread
//! that fetches the result, with no lock held, and never in the pool's own threads.

mod consumer;
mod monitor;
mod ordered;
mod outcome;
mod runs;
mod single;
mod sink;
mod stream;

pub(super) use consumer::{Consumer, Values};
pub(super) use monitor::Monitor;
pub(super) use ordered::Ordered;
pub(super) use outcome::{Outcome, decode};
pub(super) use runs::Runs;
pub(super) use single::Single;
pub(super) use sink::{Gather, Sink};
pub(super) use stream::Stream;
