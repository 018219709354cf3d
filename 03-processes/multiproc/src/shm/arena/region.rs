//! Regions: pieces of the arena that this process holds, and the numbers by which others find them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::directory::{ARENA, Held, arena, open_anew};
use super::layout::{Extent, SLOTS, pages_around};
use super::tokens::Token;
use crate::shm::mapping::Mapping;
use crate::sys::failpoint::failpoint;
use crate::sys::file_lock::{self, Kind};
use crate::sys::fork;
use crate::sys::mmap::page_size;
use crate::sys::sync::lock;

/// A region this process holds: shared memory of its own length, zeros when new. The region lives
/// as long as anyone holds it.
#[derive(Debug, Clone)]
pub(crate) struct Region(Arc<Hold>);

#[derive(Debug)]
struct Hold {
    slot: u32,
    generation: u64,
    extent: Extent,
}

/// The numbers by which another process finds a region.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct RegionId {
    pub(super) arena: u64,
    pub(super) slot: u32,
    pub(super) generation: u64,
    /// What keeps the region until these numbers have been decoded.
    pub(super) token: Token,
}

#[cfg(test)]
impl RegionId {
    /// The numbers as one.
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.slot) << 48 | self.generation
    }

    /// Whether the region of these numbers is live, held or not.
    pub(crate) fn is_live(packed: u64) -> bool {
        let entry = arena().unwrap().slot((packed >> 48) as u32);
        entry.generation.load(Ordering::SeqCst) == packed & ((1 << 48) - 1)
    }
}

impl Region {
    /// A new region of at least `len` bytes. Memory is used only for pages that are touched.
    pub(crate) fn create(len: u64) -> io::Result<Region> {
        Region::create_of(len, 0)
    }

    /// As [`create`](Self::create), for contents of a certain [kind](Self::kind), which a process
    /// that opens the region can check. The kind lies outside of all regions, so that no content
    /// can forge it.
    pub(crate) fn create_of(len: u64, kind: u64) -> io::Result<Region> {
        Region::with_extent(Extent::whole(len)?, kind)
    }

    /// As [`create`](Self::create), for a region of which mostly the first 4 MiB are used. Nothing
    /// can be mapped across their end.
    pub(crate) fn create_split(len: u64) -> io::Result<Region> {
        Region::with_extent(Extent::split(len)?, 0)
    }

    fn with_extent(extent: Extent, kind: u64) -> io::Result<Region> {
        let arena = arena()?;
        let mut local = lock(&arena.local);
        let header = arena.header();
        let _lock = header.lock.lock();
        let slot = arena.find_slot(&local)?;
        let entry = arena.slot(slot);
        // The process that freed it may have been killed before that. The new extent is stored when
        // the memory of the old one is given back.
        arena.punch(slot)?;
        failpoint("create: slot found");
        entry.extent.store(extent.to_bits(), Ordering::Release);
        failpoint("create: extent stored");
        entry.kind.store(kind, Ordering::Relaxed);
        entry.has_tokens.store(0, Ordering::SeqCst);
        // Nobody has a handle to this generation yet, so there is none to wait for.
        arena.lock_byte(slot.into(), Kind::Read, true)?;
        let generation = entry.generation.load(Ordering::Relaxed) + 1;
        failpoint("create: locked");
        entry.generation.store(generation, Ordering::Release);
        failpoint("create: live");
        local.held.insert(slot, Held { generation, holders: 1 });
        Ok(Region(Arc::new(Hold { slot, generation, extent })))
    }

    /// The region `id` names, held by this process from now on; `None` when it is gone.
    pub(crate) fn open(id: RegionId) -> io::Result<Option<Region>> {
        let arena = arena()?;
        let header = arena.header();
        if id.arena != header.identity.load(Ordering::Relaxed)
            || u64::from(id.slot) >= header.slots.load(Ordering::Acquire).min(SLOTS)
        {
            return Ok(None);
        }
        let entry = arena.slot(id.slot);
        let mut local = lock(&arena.local);
        match local.held.get_mut(&id.slot) {
            Some(held) if held.generation == id.generation => held.holders += 1,
            Some(_) => return Ok(None),
            None => {
                arena.lock_byte(id.slot.into(), Kind::Read, true)?;
                if entry.generation.load(Ordering::Acquire) != id.generation
                    || id.generation.is_multiple_of(2)
                {
                    arena.lock_byte(id.slot.into(), Kind::Unlock, false)?;
                    return Ok(None);
                }
                local.held.insert(id.slot, Held { generation: id.generation, holders: 1 });
            }
        }
        // Only now that this process holds the region.
        failpoint("open: held");
        arena.tick_off(id.token, id.slot);
        failpoint("open: ticked off");
        let extent = Extent::from_bits(entry.extent.load(Ordering::Relaxed));
        let extent = extent.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Some(Region(Arc::new(Hold { slot: id.slot, generation: id.generation, extent }))))
    }

    /// The kind that the region was created with.
    pub(crate) fn kind(&self) -> u64 {
        let arena = ARENA.get().expect("a region is held");
        arena.slot(self.0.slot).kind.load(Ordering::Relaxed)
    }

    /// The region's numbers with a token: this process keeps the region until they have been opened
    /// somewhere.
    pub(crate) fn issue(&self) -> io::Result<RegionId> {
        let arena = arena()?;
        let token = arena.issue_token(&mut lock(&arena.local), self.0.slot)?;
        Ok(RegionId { token, ..self.id() })
    }

    /// Takes back numbers that were [issued](Self::issue) and will never be opened.
    pub(crate) fn recall(&self, id: RegionId) {
        if !fork::is_fork()
            && let Some(arena) = ARENA.get()
        {
            arena.tick_off(id.token, id.slot);
        }
    }

    /// The region's numbers.
    pub(crate) fn id(&self) -> RegionId {
        let arena = ARENA.get().expect("a region is held");
        RegionId {
            arena: arena.header().identity.load(Ordering::Relaxed),
            slot: self.0.slot,
            generation: self.0.generation,
            token: Token::default(),
        }
    }

    /// A descriptor that holds the regions: as long as it is open in any process, or on its way to
    /// one.
    pub(crate) fn hold_by_descriptor(regions: &[Region]) -> io::Result<OwnedFd> {
        let file = open_anew(arena()?.own.as_fd())?;
        for region in regions {
            // This process holds the region, so nobody has a write lock.
            file_lock::set(file.as_fd(), region.0.slot.into(), Kind::Read, false)?;
        }
        Ok(file.into())
    }

    /// Maps `len` bytes of the region from `offset`, a multiple of the page size.
    ///
    /// # Errors
    ///
    /// `FileTooLarge` when the process's limit on file sizes forbids it; and what the system says.
    pub(crate) fn map(&self, offset: u64, len: usize) -> io::Result<Mapping> {
        let at = self.0.extent.locate(self.0.slot, offset, len as u64)?;
        let arena = arena()?;
        let end = at + len as u64;
        if arena.own.metadata()?.len() < end {
            let _lock = arena.header().lock.lock();
            arena.lengthen(end)?;
        }
        Mapping::new(arena.own.as_fd(), at, len)
    }

    /// As [`map`](Self::map), to be read only.
    pub(crate) fn map_to_read(&self, len: usize) -> io::Result<Mapping> {
        let at = self.0.extent.locate(self.0.slot, 0, len as u64)?;
        Mapping::to_read(arena()?.own.as_fd(), at, len)
    }

    /// Gives the memory of `len` bytes from `offset` back; they read as zeros from then on.
    pub(crate) fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let at = self.0.extent.locate(self.0.slot, offset, len)?;
        arena()?.punch_bytes(at, len)
    }

    /// As [`discard`](Self::discard), except for the page with the byte at `kept`. The bytes begin
    /// and end at multiples of 64 KiB, so at a page.
    pub(crate) fn discard_around(&self, offset: u64, len: u64, kept: u64) -> io::Result<()> {
        let mut runs = pages_around(offset..offset + len, kept, page_size()).into_iter();
        runs.try_for_each(|run| match run.end - run.start {
            0 => Ok(()),
            len => self.discard(run.start, len),
        })
    }

    /// Frees all regions that no process holds.
    #[cfg(test)]
    pub(crate) fn sweep() {
        let arena = arena().unwrap();
        let local = lock(&arena.local);
        let _lock = arena.header().lock.lock();
        for slot in 0..arena.header().slots.load(Ordering::Relaxed) as u32 {
            if !local.held.contains_key(&slot) {
                let _ = arena.free_if_unheld(&local, slot);
            }
        }
    }

    /// The bytes of it that take memory.
    #[cfg(test)]
    pub(crate) fn used(&self) -> io::Result<u64> {
        use rustix::fs::{SeekFrom, seek};
        let file = &arena()?.own;
        let mut used = 0;
        for (mut at, len) in self.0.extent.pieces(self.0.slot) {
            let end = at + len;
            while let Ok(data) = seek(file, SeekFrom::Data(at)) // an error: there is no more
                && data < end
            {
                let hole = seek(file, SeekFrom::Hole(data))?.min(end);
                used += hole - data;
                at = hole;
            }
        }
        Ok(used)
    }
}

/// Holds what handles stand for whose bytes will be decoded later. What is gone is left out.
pub(crate) fn adopt(handles: &[RegionId]) -> Vec<Region> {
    let open = |id: &RegionId| {
        Region::open(*id).unwrap_or_else(|_| {
            // The one who encoded it must not wait for this forever.
            arena().ok()?.tick_off(id.token, id.slot);
            None
        })
    };
    handles.iter().filter_map(open).collect()
}

/// Whether handles whose token this process issued have been decoded, or adopted.
pub(crate) fn have_arrived(handles: &[RegionId]) -> bool {
    arena().is_ok_and(|arena| !handles.iter().any(|id| arena.is_outstanding(id.token)))
}

impl Drop for Hold {
    fn drop(&mut self) {
        // A fork shares the locks on the file: what it released would be released for the original
        // process.
        if fork::is_fork() {
            return;
        }
        let arena = ARENA.get().expect("a region is held");
        let mut local = lock(&arena.local);
        if let Some(held) = local.held.get_mut(&self.slot) {
            held.holders -= 1;
            if held.holders == 0 {
                arena.release(&mut local, self.slot);
            }
        }
    }
}
