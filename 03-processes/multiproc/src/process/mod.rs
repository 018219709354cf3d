//! Starting a process that runs a function of this program, and waiting for it.
//!
//! The parent's side, from the call to the result: [`builder`] encodes the function ([`remote`])
//! and the argument, [`reaper`] has a thread start this program again ([`starter`]) and watch over
//! it, and [`child`] is the handle. The child's side: [`bootstrap`] finds out that the process is a
//! child, sets it up, and calls the function ([`call`]). The messages between the two are in
//! [`messages`].

mod active;
pub(crate) mod bootstrap;
mod builder;
mod call;
mod child;
pub(crate) mod constructor;
pub(crate) mod dispositions;
mod error;
mod executable;
mod identity;
mod messages;
mod posix_spawn;
pub(crate) mod reaper;
pub(crate) mod remote;
mod starter;

pub use active::{ActiveChild, active_children};
pub use builder::{Builder, spawn};
pub use child::Child;
pub use error::{JoinError, SpawnError};
pub use identity::{Current, current};
