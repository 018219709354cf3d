//! The one piece of shared memory of a whole tree of processes.
//!
//! A sparse `memfd`, made by the first process that needs it and handed to every descendant.
//! Whatever is shared (a queue, a ring) is a *region* of it, so a handle is plain numbers: it can
//! be an argument, travel inside a message, reach a grandchild, and outlive its creator. The file
//! becomes as long as what is mapped needs, and never shorter.
//!
//! # Who holds a region
//!
//! Every process opens the `memfd` anew and holds a read lock (`F_OFD_SETLK`) on one byte for each
//! region it uses. The kernel drops these locks when the process ends, however it ends. A region on
//! whose byte a *write* lock can be had is held by no process. If no handle in flight keeps it
//! either, its memory is punched out and its slot used again, under a new generation number, so a
//! handle that comes too late is an error and never another's queue.
//!
//! A handle in flight, encoded but not yet decoded, holds nothing by itself. What keeps the region
//! meanwhile depends on what carries the bytes, see [`transit`](crate::shm::transit): a
//! [token](tokens) of the process that encoded it, or a descriptor with locks of its own.
//!
//! # Killed half-way
//!
//! All changes to the directory happen under a robust lock, and each takes effect by one store (the
//! generation). Killed before it, a process leaves a free slot; killed after it, a slot nobody
//! holds, which the next sweep frees.

mod directory;
mod layout;
mod region;
pub(crate) mod seats;
mod slots;
mod tokens;

#[cfg(test)]
mod tests;

pub(crate) use directory::{descriptor, inherit};
pub(crate) use region::{Region, RegionId, adopt, have_arrived};
