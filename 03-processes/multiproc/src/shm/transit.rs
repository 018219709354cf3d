//! What keeps a region while a handle to it is encoded in bytes that are not yet decoded.
//!
//! The handle's `Serialize` cannot know how its bytes will travel. So the code that encodes a value
//! declares it first, by an [`Encoding`] on this thread:
//!
//! - *Memory that other processes read* (a queue's item, a manager's item): a token of this process
//!   keeps the region, until the first decoding or until this process ends. The handles in a task's
//!   result are listed before the result. So the pool's process holds their regions as soon as it
//!   has the result, and the worker ends only then.
//! - *A packet* (a message in a pipe, a process's argument or result): a descriptor with locks is
//!   sent in the packet. It keeps the region until the packet is decoded or dropped, even if the
//!   sender has ended meanwhile.
//! - *Memory that this process keeps* (a task's argument, an initializer's): this process keeps the
//!   region beside the bytes.
//! - *Unknown*, when the program itself calls a serializer: a token, as for memory.
//!
//! If the value cannot be encoded, or its bytes cannot be passed on, the tokens are taken back at
//! once.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::ManuallyDrop;

use crate::shm::arena::{Region, RegionId};
use crate::sys::sync::ENDING;

/// What carries the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Carrier {
    /// Shared memory, or anything else that others read.
    Memory = 1 << SHIFT,
    /// A packet on a socket, which can carry descriptors as well.
    Packet = 2 << SHIFT,
    /// Memory of this process, beside which it keeps the regions.
    Kept = 3 << SHIFT,
}

/// In [`STATE`]: the number of handles in [`EXPORTED`]; above it the carrier, or 0 for none.
const SHIFT: u32 = 30;
const COUNT: u32 = (1 << SHIFT) - 1;

thread_local! {
    /// One word, since every encoding looks at it.
    static STATE: Cell<u32> = const { Cell::new(0) };
    /// The handles in the encodings that this thread is in the middle of.
    static EXPORTED: RefCell<Vec<(Region, RegionId)>> = const { RefCell::new(Vec::new()) };
}

/// An encoding that this thread is in the middle of; they may be nested. Dropped without one of its
/// methods, it takes the tokens in it back: the encoding failed, or the bytes are not sent.
pub(crate) struct Encoding {
    before: u32,
}

impl Encoding {
    /// Begins an encoding for this carrier.
    #[inline]
    pub(crate) fn begin(carrier: Carrier) -> Encoding {
        let before = STATE.get();
        STATE.set(before & COUNT | carrier as u32);
        Encoding { before }
    }

    /// The bytes are on their way: tokens in them stay outstanding.
    #[inline]
    pub(crate) fn passed_on(self) {
        let this = ManuallyDrop::new(self);
        if STATE.get() & COUNT != this.before & COUNT {
            drop(this.end());
        }
        STATE.set(this.before);
    }

    /// Adds the regions to which there are handles in the bytes.
    #[inline]
    pub(crate) fn keep_in(self, regions: &mut Vec<Region>) {
        let this = ManuallyDrop::new(self);
        if STATE.get() & COUNT != this.before & COUNT {
            regions.extend(this.end().into_iter().map(|(region, _)| region));
        }
        STATE.set(this.before);
    }

    /// The handles in the bytes and the regions they stand for. The caller is to
    /// [recall](Region::recall) those that will not be decoded.
    pub(crate) fn into_regions(self) -> Vec<(Region, RegionId)> {
        let this = ManuallyDrop::new(self);
        this.end()
    }

    /// The handles in the bytes, whose tokens stay outstanding.
    #[inline]
    pub(crate) fn into_handles(self) -> Vec<RegionId> {
        let this = ManuallyDrop::new(self);
        let mut handles = Vec::new();
        if STATE.get() & COUNT != this.before & COUNT {
            handles = this.end().into_iter().map(|(_, id)| id).collect();
        }
        STATE.set(this.before);
        handles
    }

    #[cold]
    fn end(&self) -> Vec<(Region, RegionId)> {
        STATE.set(self.before);
        let first = (self.before & COUNT) as usize;
        let exported = EXPORTED.try_with(|exported| exported.borrow_mut().split_off(first));
        exported.unwrap_or_default()
    }
}

impl Drop for Encoding {
    #[inline]
    fn drop(&mut self) {
        if STATE.get() & COUNT != self.before & COUNT {
            // The region is held until its token is taken back. The drop frees it if no one else
            // holds it.
            self.end().into_iter().for_each(|(region, id)| region.recall(id));
        }
        STATE.set(self.before);
    }
}

/// Whether the value that this thread is encoding may have descriptors in it.
pub(crate) fn takes_descriptors() -> bool {
    STATE.get() & !COUNT == Carrier::Packet as u32
}

/// The numbers of a region, for the encoding that this thread is in the middle of.
///
/// # Errors
///
/// When too many handles are in flight, or the thread is past its end.
pub(crate) fn export(region: &Region) -> io::Result<RegionId> {
    let state = STATE.get();
    let carrier = state & !COUNT;
    let is_kept = carrier == Carrier::Packet as u32 || carrier == Carrier::Kept as u32;
    let id = if is_kept { region.id() } else { region.issue()? };
    if carrier != 0 {
        let push = |exported: &RefCell<Vec<_>>| exported.borrow_mut().push((region.clone(), id));
        if EXPORTED.try_with(push).is_err() {
            region.recall(id);
            return Err(io::Error::other(ENDING));
        }
        STATE.set(state + 1);
    }
    Ok(id)
}
