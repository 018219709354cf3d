//! The one piece of shared memory of a whole tree of processes.
//!
//! A sparse `memfd`, made by the first process that needs it and handed to every descendant. Whatever is shared (a queue, a
//! ring) is a *range* of it, so a handle is plain numbers: it can be an argument, travel inside a message, reach a
//! grandchild, and outlive its creator.
//!
//! # Who holds a range
//!
//! Every process opens the `memfd` anew and holds a read lock (`F_OFD_SETLK`) on one byte for each range it uses. The kernel
//! drops these locks when the process ends, however it ends. A range on whose byte a *write* lock can be had is held by
//! nobody: its memory is punched out and its slot used again, under a new generation number, so a handle that comes too late
//! is an error and never another's queue.
//!
//! A handle in flight, encoded but not yet decoded, holds nothing by itself. The process that encoded it therefore keeps the
//! range until as many decodings have been counted as it made encodings, or it ends.
//!
//! # Killed half-way
//!
//! All changes to the directory happen under a robust lock, and each takes effect by one store (the generation). Killed before it,
//! a process leaves a free slot; killed after it, a slot nobody holds, which the next sweep frees.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use crate::fork;
use crate::mapping::{Mapping, shared_struct};
use crate::robust::RobustMutex;
use crate::sync::lock;

/// "processes, layout 1".
const MAGIC: u64 = u64::from_ne_bytes(*b"procs\x00\x00\x01");
const SLOTS: u64 = 1 << 16;
const SLOTS_AT: usize = 4096;
/// Where ranges begin: after the header and the slots, on a boundary good for huge pages.
const DATA_AT: u64 = 4 << 20;
const PAGE: u64 = 4096;
/// How many slots one creation looks at for one to use again.
const SWEEP: u64 = 16;

shared_struct! {
    struct Header {
        magic: AtomicU64,
        identity: AtomicU64,
        next_offset: AtomicU64,
        next_slot: AtomicU64,
        hand: AtomicU64,
        lock: RobustMutex,
    }
}

shared_struct! {
    /// One range. It is live while `generation` is odd.
    struct Slot {
        generation: AtomicU64,
        offset: AtomicU64,
        len: AtomicU64,
        /// How often a handle to it has been decoded.
        imports: AtomicU64,
    }
}

/// This process's end of the arena.
struct Arena {
    /// The descriptor that goes to children.
    shared: OwnedFd,
    /// The same file, opened anew: locks taken through it belong to this process alone.
    own: File,
    directory: Mapping,
    held: Mutex<HashMap<u32, Held>>,
}

/// What this process knows of a range it holds.
struct Held {
    generation: u64,
    holders: usize,
    /// Handles encoded since `imports_before` was read.
    exports: u64,
    imports_before: u64,
}

static ARENA: OnceLock<Arena> = OnceLock::new();
static SETUP: Mutex<()> = Mutex::new(());

/// The arena's descriptor, to hand to a child, which calls [`adopt`]. Makes the arena if this process has none yet.
///
/// # Errors
///
/// When the system gives no `memfd` or no mapping, or `/proc` is not mounted.
pub(crate) fn descriptor() -> io::Result<BorrowedFd<'static>> {
    Ok(arena()?.shared.as_fd())
}

/// Makes `descriptor`, which came from the parent's [`descriptor`], this process's arena.
///
/// # Errors
///
/// `AlreadyExists` when this process has an arena; `InvalidData` when the descriptor is not one; and as [`descriptor`].
pub(crate) fn adopt(descriptor: OwnedFd) -> io::Result<()> {
    fork::begin_use()?;
    let _setup = lock(&SETUP);
    if ARENA.get().is_some() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let arena = Arena::open(descriptor)?;
    if arena.header().magic.load(Ordering::Acquire) != MAGIC {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the descriptor is no arena of this library",
        ));
    }
    let _ = ARENA.set(arena);
    Ok(())
}

fn arena() -> io::Result<&'static Arena> {
    fork::begin_use()?;
    if let Some(arena) = ARENA.get() {
        return Ok(arena);
    }
    let _setup = lock(&SETUP);
    if ARENA.get().is_none() {
        let arena = Arena::create()?;
        let _ = ARENA.set(arena);
    }
    Ok(ARENA.get().expect("just set"))
}

impl Arena {
    fn create() -> io::Result<Arena> {
        let file = memfd_create("processes", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let file = File::from(file);
        file.set_len(DATA_AT)?;
        // Mapped memory never vanishes under anyone.
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
        let arena = Arena::open(file.into())?;
        let header = arena.header();
        header.lock.initialise()?;
        header.identity.store(RandomState::new().hash_one(std::process::id()), Ordering::Relaxed);
        header.next_offset.store(DATA_AT, Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        Ok(arena)
    }

    fn open(shared: OwnedFd) -> io::Result<Arena> {
        let own = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC)
            .open(format!("/proc/self/fd/{}", shared.as_raw_fd()))?;
        if own.metadata()?.size() < DATA_AT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the descriptor is no arena of this library",
            ));
        }
        let directory = Mapping::new(own.as_fd(), 0, DATA_AT as usize)?;
        Ok(Arena { shared, own, directory, held: Mutex::default() })
    }

    fn header(&self) -> &Header {
        self.directory.get(0)
    }

    fn slot(&self, slot: u32) -> &Slot {
        self.directory.get(SLOTS_AT + slot as usize * size_of::<Slot>())
    }

    /// Sets this process's lock on the slot's byte to `kind`; false when others' locks stand against it.
    fn lock_byte(&self, slot: u32, kind: libc::c_int, wait: bool) -> io::Result<bool> {
        let byte = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: slot.into(),
            l_len: 1,
            l_pid: 0,
        };
        loop {
            let locked = fcntl(
                &self.own,
                if wait { FcntlArg::F_OFD_SETLKW(&byte) } else { FcntlArg::F_OFD_SETLK(&byte) },
            );
            match locked {
                Ok(_) => return Ok(true),
                Err(Errno::EAGAIN | Errno::EACCES) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn punch(&self, slot: &Slot) -> io::Result<()> {
        let (offset, len) = (slot.offset.load(Ordering::Relaxed), slot.len.load(Ordering::Relaxed));
        self.punch_bytes(offset, len)
    }

    fn punch_bytes(&self, offset: u64, len: u64) -> io::Result<()> {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        loop {
            match fallocate(&self.own, flags, offset as i64, len as i64) {
                Err(Errno::EINTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// Frees the slot if no process holds it. The caller holds the arena's lock; this process does not hold the slot.
    fn free_if_unheld(&self, slot: u32) -> io::Result<bool> {
        let entry = self.slot(slot);
        let generation = entry.generation.load(Ordering::Relaxed);
        if generation.is_multiple_of(2) {
            return Ok(true);
        }
        if !self.lock_byte(slot, libc::F_WRLCK, false)? {
            return Ok(false);
        }
        // From here no process can take a read lock; one that waits for it will find the generation changed.
        entry.generation.store(generation + 1, Ordering::Release);
        let punched = self.punch(entry);
        self.lock_byte(slot, libc::F_UNLCK, false)?;
        punched.map(|()| true)
    }

    /// Lets go of ranges this process kept only for handles in flight that have arrived by now.
    fn release_arrived(&self, held: &mut HashMap<u32, Held>) {
        let arrived: Vec<u32> = held
            .iter()
            .filter(|(slot, held)| held.holders == 0 && !self.in_flight(**slot, held))
            .map(|(slot, _)| *slot)
            .collect();
        for slot in arrived {
            self.release(slot, held);
        }
    }

    fn in_flight(&self, slot: u32, held: &Held) -> bool {
        let imports = self.slot(slot).imports.load(Ordering::Relaxed);
        imports.wrapping_sub(held.imports_before) < held.exports
    }

    fn release(&self, slot: u32, held: &mut HashMap<u32, Held>) {
        held.remove(&slot);
        let _lock = self.header().lock.lock();
        // Nothing to do about an error here: a lock that stays only delays the memory's return to this process's end.
        if !matches!(self.free_if_unheld(slot), Ok(true)) {
            let _ = self.lock_byte(slot, libc::F_UNLCK, false);
        }
    }
}

/// A range this process holds: shared memory of its own length, zeros when new. The range lives as long as anyone holds it.
#[derive(Debug, Clone)]
pub(crate) struct Range(Arc<Hold>);

#[derive(Debug)]
struct Hold {
    slot: u32,
    generation: u64,
    offset: u64,
    len: u64,
}

/// The numbers by which another process finds a range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct RangeId {
    arena: u64,
    slot: u32,
    generation: u64,
}

impl Range {
    /// A new range of at least `len` bytes. Memory is used only for pages that are touched.
    pub(crate) fn create(len: u64) -> io::Result<Range> {
        let arena = arena()?;
        let len = len
            .checked_next_multiple_of(PAGE)
            .filter(|len| *len > 0)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let mut held = lock(&arena.held);
        arena.release_arrived(&mut held);
        let header = arena.header();
        let _lock = header.lock.lock();
        let slot = find_slot(arena, &held)?;
        let entry = arena.slot(slot);

        if entry.len.load(Ordering::Relaxed) == len {
            arena.punch(entry)?; // whoever freed it may have been killed before
        } else {
            let offset = header.next_offset.load(Ordering::Relaxed);
            let end = offset
                .checked_add(len)
                .filter(|end| i64::try_from(*end).is_ok())
                .ok_or(io::ErrorKind::StorageFull)?;
            if arena.own.metadata()?.size() < end {
                arena.own.set_len(end)?;
            }
            header.next_offset.store(end, Ordering::Relaxed);
            // A process killed between these two leaves a pair that no longer fits, but in a free slot: so length last, and zero
            // in between, which no request asks for.
            entry.len.store(0, Ordering::Release);
            entry.offset.store(offset, Ordering::Release);
            entry.len.store(len, Ordering::Release);
        }
        // Nobody has a handle to this generation yet, so there is none to wait for.
        arena.lock_byte(slot, libc::F_RDLCK, true)?;
        let generation = entry.generation.load(Ordering::Relaxed) + 1;
        entry.generation.store(generation, Ordering::Release);
        held.insert(slot, Held { generation, holders: 1, exports: 0, imports_before: 0 });
        let offset = entry.offset.load(Ordering::Relaxed);
        Ok(Range(Arc::new(Hold { slot, generation, offset, len })))
    }

    /// The range `id` names, held by this process from now on; `None` when it is gone.
    pub(crate) fn open(id: RangeId) -> io::Result<Option<Range>> {
        let arena = arena()?;
        if id.arena != arena.header().identity.load(Ordering::Relaxed)
            || u64::from(id.slot) >= SLOTS
        {
            return Ok(None);
        }
        let entry = arena.slot(id.slot);
        let mut held = lock(&arena.held);
        match held.get_mut(&id.slot) {
            Some(held) if held.generation == id.generation => held.holders += 1,
            Some(_) => return Ok(None),
            None => {
                arena.lock_byte(id.slot, libc::F_RDLCK, true)?;
                if entry.generation.load(Ordering::Acquire) != id.generation
                    || id.generation.is_multiple_of(2)
                {
                    arena.lock_byte(id.slot, libc::F_UNLCK, false)?;
                    return Ok(None);
                }
                held.insert(
                    id.slot,
                    Held { generation: id.generation, holders: 1, exports: 0, imports_before: 0 },
                );
            }
        }
        entry.imports.fetch_add(1, Ordering::Relaxed);
        arena.release_arrived(&mut held);
        let (offset, len) =
            (entry.offset.load(Ordering::Relaxed), entry.len.load(Ordering::Relaxed));
        Ok(Some(Range(Arc::new(Hold { slot: id.slot, generation: id.generation, offset, len }))))
    }

    /// The range's numbers, to be sent on: this process keeps the range until they have been opened somewhere.
    pub(crate) fn export(&self) -> RangeId {
        if fork::is_fork() {
            return RangeId::default(); // names no range: decoding it fails
        }
        let arena = ARENA.get().expect("a range is held");
        let mut held = lock(&arena.held);
        let held = held.get_mut(&self.0.slot).expect("this range is held");
        if held.exports == 0 {
            held.imports_before = arena.slot(self.0.slot).imports.load(Ordering::Relaxed);
        }
        held.exports += 1;
        self.id()
    }

    /// The range's numbers.
    pub(crate) fn id(&self) -> RangeId {
        let arena = ARENA.get().expect("a range is held");
        RangeId {
            arena: arena.header().identity.load(Ordering::Relaxed),
            slot: self.0.slot,
            generation: self.0.generation,
        }
    }

    /// Maps `len` bytes of the range from `offset`, a multiple of the page size.
    pub(crate) fn map(&self, offset: u64, len: usize) -> io::Result<Mapping> {
        let end = offset.checked_add(len as u64).ok_or(io::ErrorKind::InvalidInput)?;
        if end > self.0.len {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Mapping::new(arena()?.own.as_fd(), self.0.offset + offset, len)
    }

    /// Gives the memory of `len` bytes from `offset` (multiples of the page size) back; they read as zeros from then on.
    pub(crate) fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        assert!(offset + len <= self.0.len, "only within the range");
        arena()?.punch_bytes(self.0.offset + offset, len)
    }

    /// The bytes of it that take memory.
    #[cfg(test)]
    pub(crate) fn used(&self) -> io::Result<u64> {
        use rustix::fs::{SeekFrom, seek};
        let file = &arena()?.own;
        let end = self.0.offset + self.0.len;
        let (mut used, mut at) = (0, self.0.offset);
        while let Ok(data) = seek(file, SeekFrom::Data(at)) // an error: there is no more
            && data < end
        {
            let hole = seek(file, SeekFrom::Hole(data))?.min(end);
            used += hole - data;
            at = hole;
        }
        Ok(used)
    }
}

thread_local! {
    static GONE: Cell<bool> = const { Cell::new(false) };
}

/// Opens a range while a handle is decoded.
pub(crate) fn import<E: serde::de::Error>(id: RangeId) -> Result<Range, E> {
    let range = Range::open(id).map_err(E::custom)?;
    range.ok_or_else(|| {
        GONE.set(true);
        E::custom("gone: no process holds it any more")
    })
}

/// Forgets, on this thread, that a handle was gone.
#[inline]
pub(crate) fn forget_gone() {
    GONE.set(false);
}

/// Whether, on this thread, a handle decoded since [`forget_gone`] was gone. The encoding's own error cannot say so.
pub(crate) fn was_gone() -> bool {
    GONE.get()
}

/// A slot to use: free, or held by nobody, or never used. The caller holds the arena's lock.
fn find_slot(arena: &Arena, held: &HashMap<u32, Held>) -> io::Result<u32> {
    let header = arena.header();
    let used = header.next_slot.load(Ordering::Relaxed).min(SLOTS);
    for steps in [SWEEP.min(used), used] {
        for _ in 0..steps {
            let slot = header.hand.load(Ordering::Relaxed) % used;
            header.hand.store(slot + 1, Ordering::Relaxed);
            let slot = slot as u32;
            if !held.contains_key(&slot) && arena.free_if_unheld(slot)? {
                return Ok(slot);
            }
        }
        if used < SLOTS {
            header.next_slot.store(used + 1, Ordering::Relaxed);
            return Ok(used as u32);
        }
    }
    Err(io::Error::new(io::ErrorKind::StorageFull, "65536 queues and rings are in use"))
}

impl Drop for Hold {
    fn drop(&mut self) {
        // A fork shares the locks on the file: what it released would be released for the original process.
        if fork::is_fork() {
            return;
        }
        let arena = ARENA.get().expect("a range is held");
        let mut held = lock(&arena.held);
        if let Some(entry) = held.get_mut(&self.slot) {
            entry.holders -= 1;
        }
        arena.release_arrived(&mut held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_arena_adopts_no_other() {
        let for_a_child = descriptor().unwrap().try_clone_to_owned().unwrap();
        assert_eq!(adopt(for_a_child).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_handle_to_a_range_nobody_holds_is_gone_and_never_another_range() {
        let range = Range::create(8192).unwrap();
        let id = range.id();
        range.map(0, 4096).unwrap().get::<AtomicU64>(0).store(7, Ordering::Relaxed);
        assert!(Range::open(id).unwrap().is_some());
        drop(range);
        let others: Vec<Range> = (0..40).map(|_| Range::create(8192).unwrap()).collect();
        assert!(Range::open(id).unwrap().is_none(), "gone, also when its slot is in use again");
        for other in &others {
            assert_eq!(
                other.map(0, 4096).unwrap().get::<AtomicU64>(0).load(Ordering::Relaxed),
                0,
                "new memory is zero"
            );
        }
    }

    #[test]
    fn an_exported_range_waits_for_its_handle_to_arrive() {
        let range = Range::create(4096).unwrap();
        let (first, second) = (range.export(), range.export());
        drop(range);
        let opened = Range::open(first).unwrap().expect("kept while in flight");
        drop(opened);
        let opened = Range::open(second).unwrap().expect("kept for the second one");
        drop(opened);
        assert!(Range::open(first).unwrap().is_none(), "both have arrived and been dropped");
    }

    #[test]
    fn numbers_that_name_no_range_are_gone() {
        let id = Range::create(4096).unwrap().id();
        assert!(Range::open(RangeId { arena: !id.arena, ..id }).unwrap().is_none());
        assert!(Range::open(RangeId { slot: u32::MAX, ..id }).unwrap().is_none());
        assert!(Range::open(RangeId { slot: 60_000, generation: 0, ..id }).unwrap().is_none());
    }
}
