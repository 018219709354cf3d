//! The arena: the one piece of shared memory of a whole tree of processes.
//!
//! The arena is a sparse `memfd`, which the first process that needs it makes and passes to every
//! descendant. Each shared object (a queue, a ring) is a *region* of it, so a handle consists of
//! plain numbers: it can be an argument, travel inside a message, reach a grandchild, and outlive
//! its creator. The file becomes as long as the mapped regions need, and never shorter.
//!
//! # Who holds a region
//!
//! Every process opens the `memfd` anew and holds a read lock (`F_OFD_SETLK`) on one byte for each
//! region it uses. The kernel drops these locks when the process ends, however it ends. A region on
//! whose byte a *write* lock can be had is held by no process. If no handle in flight keeps it
//! either, its memory is freed (a hole is punched into the file) and its slot is used again, under
//! a new generation number. So decoding a handle that comes too late is an error, and never gives
//! another queue.
//!
//! A handle in flight, encoded but not yet decoded, does not hold the region by itself. What holds
//! the region meanwhile depends on how the bytes travel (see [`transit`](crate::shm::transit)): a
//! [token](tokens) of the process that encoded the handle, or a descriptor with locks of its own.
//!
//! # A process killed during a change
//!
//! All changes to the directory happen under a robust lock, and each takes effect by one store (the
//! generation). A process killed before this store leaves a free slot. A process killed after it
//! leaves a slot that no process holds, which the next sweep frees.

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
