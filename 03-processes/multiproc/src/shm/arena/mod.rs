//! The one piece of shared memory of a whole tree of processes.
//!
//! A sparse `memfd`, made by the first process that needs it and handed to every descendant.
//! Whatever is shared (a queue, a ring) is a *region* of it, so a handle is plain numbers: it can be
//! an argument, travel inside a message, reach a grandchild, and outlive its creator. The file
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
//! meanwhile depends on what carries the bytes, see [`transit`](crate::ipc::transit): a [token](tokens)
//! of the process that encoded it, or a descriptor with locks of its own.
//!
//! # Killed half-way
//!
//! All changes to the directory happen under a robust lock, and each takes effect by one store (the
//! generation). Killed before it, a process leaves a free slot; killed after it, a slot nobody
//! holds, which the next sweep frees.

mod layout;
mod tokens;

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use crate::ipc::transit;
use crate::shm::mapping::{Mapping, shared_struct};
use crate::shm::robust::RobustMutex;
use crate::sys::failpoint::failpoint;
use crate::sys::fork;
use crate::sys::sync::lock;
use crate::sys::{limits, reason};
use layout::Extent;
use tokens::Token;

/// "processes, layout 2".
const MAGIC: u64 = u64::from_ne_bytes(*b"procs\x00\x00\x02");
const SLOTS: u64 = 1 << 16;
const SLOTS_AT: usize = 4096;
const TOKENS_AT: usize = 4 << 20;
/// The length of the directory: the header, the slots and the tokens. All of it is mapped; the file
/// is as long as what is used.
const DIRECTORY: u64 = TOKENS_AT as u64 + tokens::TABLE_LEN;
/// The length of a new file: the header and the first slots.
const START: u64 = 64 << 10;
/// How many slots one creation looks at for one to use again.
const SWEEP: u64 = 16;

shared_struct! {
    struct Header {
        magic: AtomicU64,
        identity: AtomicU64,
        /// Slots, and blocks of tokens, that have ever been used; the file is long enough for them.
        slots: AtomicU64,
        blocks: AtomicU64,
        hand: AtomicU64,
        lock: RobustMutex,
    }
}

shared_struct! {
    /// One region. It is live while `generation` is odd.
    struct Slot {
        generation: AtomicU64,
        /// [`Extent`] as a number; of the last region where there is none now, and zero where there
        /// never was one.
        extent: AtomicU64,
        /// Whether tokens for this generation have been issued.
        has_tokens: AtomicU64,
        unused: AtomicU64,
    }
}

/// This process's end of the arena.
struct Arena {
    /// The descriptor that goes to children.
    shared: OwnedFd,
    /// The same file, opened anew: locks taken through it belong to this process alone.
    own: File,
    directory: Mapping,
    local: Mutex<Local>,
}

/// What this process holds.
#[derive(Default)]
struct Local {
    held: HashMap<u32, Held>,
    tokens: tokens::Own,
}

/// A region this process holds.
struct Held {
    generation: u64,
    holders: usize,
}

static ARENA: OnceLock<Arena> = OnceLock::new();
static SETUP: Mutex<()> = Mutex::new(());

/// The arena's descriptor, to hand to a child, which calls [`inherit`]. Makes the arena if this
/// process has none yet.
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
/// `AlreadyExists` when this process has an arena; `InvalidData` when the descriptor is not one;
/// and as [`descriptor`].
pub(crate) fn inherit(descriptor: OwnedFd) -> io::Result<()> {
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
        limits::check_file_size(START)?;
        file.set_len(START)?;
        // Mapped memory never vanishes under anyone.
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
        let arena = Arena::open(file.into())?;
        let header = arena.header();
        header.lock.initialize()?;
        header.identity.store(RandomState::new().hash_one(std::process::id()), Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        Ok(arena)
    }

    fn open(shared: OwnedFd) -> io::Result<Arena> {
        let own = open_anew(shared.as_fd())?;
        if own.metadata()?.len() < START {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the descriptor is no arena of this library",
            ));
        }
        let directory = Mapping::new(own.as_fd(), 0, DIRECTORY as usize)?;
        Ok(Arena { shared, own, directory, local: Mutex::default() })
    }

    fn header(&self) -> &Header {
        self.directory.get(0)
    }

    /// The slot, which has been used: beyond those the file may have no memory.
    fn slot(&self, slot: u32) -> &Slot {
        self.directory.get(slot_at(slot))
    }

    /// Makes the file at least `end` bytes long. The caller holds the arena's lock.
    fn lengthen(&self, end: u64) -> io::Result<()> {
        if self.own.metadata()?.len() < end {
            limits::check_file_size(end)?;
            self.own.set_len(end)?;
        }
        Ok(())
    }

    /// Sets this process's lock on a byte to `kind`; false when others' locks stand against it.
    fn lock_byte(&self, byte: u64, kind: libc::c_int, wait: bool) -> io::Result<bool> {
        let lock = lock_on(byte, kind);
        loop {
            let locked = fcntl(
                &self.own,
                if wait { FcntlArg::F_OFD_SETLKW(&lock) } else { FcntlArg::F_OFD_SETLK(&lock) },
            );
            match locked {
                Ok(_) => return Ok(true),
                Err(Errno::EAGAIN | Errno::EACCES) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether another process has a lock on the byte.
    fn is_byte_locked(&self, byte: u64) -> io::Result<bool> {
        let mut lock = lock_on(byte, libc::F_WRLCK);
        fcntl(&self.own, FcntlArg::F_OFD_GETLK(&mut lock))?;
        Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
    }

    /// Gives back the memory of the region that a slot has or had.
    fn punch(&self, slot: u32) -> io::Result<()> {
        let Some(extent) = Extent::from_bits(self.slot(slot).extent.load(Ordering::Relaxed)) else {
            return Ok(());
        };
        let end = self.own.metadata()?.len();
        let mut pieces = extent.pieces(slot).filter(|(at, _)| *at < end);
        pieces.try_for_each(|(at, len)| self.punch_bytes(at, len))
    }

    fn punch_bytes(&self, at: u64, len: u64) -> io::Result<()> {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        loop {
            match fallocate(&self.own, flags, at as i64, len as i64) {
                Err(Errno::EINTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// Frees the slot if no process holds it and no handle in flight keeps it. The caller holds the
    /// arena's lock; this process does not hold the slot, or has just given it up, and does not
    /// have its lock afterwards.
    fn free_if_unheld(&self, local: &Local, slot: u32) -> io::Result<bool> {
        let entry = self.slot(slot);
        let generation = entry.generation.load(Ordering::Relaxed);
        if generation.is_multiple_of(2) {
            return Ok(true);
        }
        let is_mine = self.lock_byte(slot.into(), libc::F_WRLCK, false);
        let freed = match is_mine {
            // From here on no process can take a read lock; one that waits for it will find the
            // generation changed.
            Ok(true) => match self.is_in_flight(local, slot) {
                Ok(false) => {
                    failpoint("free: nobody holds it");
                    entry.generation.store(generation + 1, Ordering::Release);
                    failpoint("free: no longer live");
                    self.punch(slot).map(|()| true)
                }
                other => other.map(|_| false),
            },
            other => other,
        };
        self.lock_byte(slot.into(), libc::F_UNLCK, false)?;
        freed
    }

    /// Gives up a region that this process holds no longer.
    fn release(&self, local: &mut Local, slot: u32) {
        local.held.remove(&slot);
        let _lock = self.header().lock.lock();
        // Nothing to do about an error here: memory that stays is found by a later sweep.
        let _ = self.free_if_unheld(local, slot);
    }

    /// A slot to use: free, or held by nobody, or never used. The caller holds the arena's lock.
    fn find_slot(&self, local: &Local) -> io::Result<u32> {
        let header = self.header();
        let used = header.slots.load(Ordering::Relaxed).min(SLOTS);
        let mut found = None;
        let look = |found: &mut Option<u32>| -> io::Result<()> {
            let slot = (header.hand.load(Ordering::Relaxed) % used) as u32;
            header.hand.store(u64::from(slot) + 1, Ordering::Relaxed);
            if !local.held.contains_key(&slot) && self.free_if_unheld(local, slot)? {
                *found = Some(slot);
            }
            Ok(())
        };
        // Further than to the first one, so that what nobody holds is found soon.
        (0..SWEEP.min(used)).try_for_each(|_| look(&mut found))?;
        if found.is_none() && used < SLOTS {
            self.lengthen(slot_at(used as u32 + 1) as u64)?;
            header.slots.store(used + 1, Ordering::Release);
            found = Some(used as u32);
        }
        for _ in 0..used {
            if found.is_some() {
                break;
            }
            look(&mut found)?;
        }
        let full =
            || io::Error::new(io::ErrorKind::StorageFull, "65536 queues and rings are in use");
        found.ok_or_else(full)
    }
}

/// The same file as another open file, with locks of its own.
fn open_anew(file: BorrowedFd<'_>) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_CLOEXEC)
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn slot_at(slot: u32) -> usize {
    SLOTS_AT + slot as usize * size_of::<Slot>()
}

fn lock_on(byte: u64, kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte as libc::off_t,
        l_len: 1,
        l_pid: 0,
    }
}

/// A region this process holds: shared memory of its own length, zeros when new. The region lives as
/// long as anyone holds it.
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
    arena: u64,
    slot: u32,
    generation: u64,
    /// What keeps the region until these numbers have been decoded.
    token: Token,
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
        Region::with_extent(Extent::whole(len)?)
    }

    /// As [`create`](Self::create), for a region of which mostly the first 4 MiB are used. Nothing
    /// can be mapped across their end.
    pub(crate) fn create_split(len: u64) -> io::Result<Region> {
        Region::with_extent(Extent::split(len)?)
    }

    fn with_extent(extent: Extent) -> io::Result<Region> {
        let arena = arena()?;
        let mut local = lock(&arena.local);
        let header = arena.header();
        let _lock = header.lock.lock();
        let slot = arena.find_slot(&local)?;
        let entry = arena.slot(slot);
        // Whoever freed it may have been killed before. The new extent is stored when the memory of
        // the old one is given back.
        arena.punch(slot)?;
        failpoint("create: slot found");
        entry.extent.store(extent.to_bits(), Ordering::Release);
        failpoint("create: extent stored");
        entry.has_tokens.store(0, Ordering::SeqCst);
        // Nobody has a handle to this generation yet, so there is none to wait for.
        arena.lock_byte(slot.into(), libc::F_RDLCK, true)?;
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
                arena.lock_byte(id.slot.into(), libc::F_RDLCK, true)?;
                if entry.generation.load(Ordering::Acquire) != id.generation
                    || id.generation.is_multiple_of(2)
                {
                    arena.lock_byte(id.slot.into(), libc::F_UNLCK, false)?;
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

    /// The region's numbers, to be encoded: what carries them keeps the region, or a token of this
    /// process does, until they have been opened somewhere; see [`transit`].
    ///
    /// # Errors
    ///
    /// When too many handles are in flight, and in a fork.
    pub(crate) fn export(&self) -> io::Result<RegionId> {
        fork::check()?;
        transit::export(self)
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
            fcntl(&file, FcntlArg::F_OFD_SETLK(&lock_on(region.0.slot.into(), libc::F_RDLCK)))?;
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

    /// Gives the memory of `len` bytes from `offset` back; they read as zeros from then on.
    pub(crate) fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let at = self.0.extent.locate(self.0.slot, offset, len)?;
        arena()?.punch_bytes(at, len)
    }

    /// Frees whatever nobody holds.
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

thread_local! {
    static GONE: Cell<bool> = const { Cell::new(false) };
}

/// The numbers of a region, while a handle is encoded.
pub(crate) fn export<E: serde::ser::Error>(region: &Region) -> Result<RegionId, E> {
    region.export().map_err(|error| {
        reason::leave(error.to_string());
        E::custom(error)
    })
}

/// Opens a region while a handle is decoded.
pub(crate) fn import<E: serde::de::Error>(id: RegionId) -> Result<Region, E> {
    let failed = |reason: String| {
        reason::leave(reason.clone());
        E::custom(reason)
    };
    let region = Region::open(id).map_err(|error| failed(error.to_string()))?;
    region.ok_or_else(|| {
        GONE.set(true);
        failed("it holds a handle to what no process holds any more".to_owned())
    })
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

/// Forgets, on this thread, that a handle was gone.
#[inline]
pub(crate) fn forget_gone() {
    GONE.set(false);
}

/// Whether, on this thread, a handle decoded since [`forget_gone`] was gone. The encoding's own
/// error cannot say so.
pub(crate) fn was_gone() -> bool {
    GONE.get()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_arena_adopts_no_other() {
        let for_a_child = descriptor().unwrap().try_clone_to_owned().unwrap();
        assert_eq!(inherit(for_a_child).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_handle_to_a_range_nobody_holds_is_gone_and_never_another_range() {
        let region = Region::create(8192).unwrap();
        let id = region.id();
        region.map(0, 4096).unwrap().get::<AtomicU64>(0).store(7, Ordering::Relaxed);
        assert!(Region::open(id).unwrap().is_some());
        drop(region);
        let others: Vec<Region> = (0..40).map(|_| Region::create(8192).unwrap()).collect();
        assert!(Region::open(id).unwrap().is_none(), "gone, also when its slot is in use again");
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
        let region = Region::create(4096).unwrap();
        let (first, second) = (region.export().unwrap(), region.export().unwrap());
        drop(region);
        let opened = Region::open(first).unwrap().expect("kept while in flight");
        drop(opened);
        let opened = Region::open(second).unwrap().expect("kept for the second one");
        drop(opened);
        assert!(Region::open(first).unwrap().is_none(), "both have arrived and been dropped");
    }

    #[test]
    fn a_second_decoding_of_the_same_bytes_ticks_off_no_other_handle() {
        let region = Region::create(4096).unwrap();
        let (first, second) = (region.export().unwrap(), region.export().unwrap());
        drop(region);
        for _ in 0..3 {
            assert!(Region::open(first).unwrap().is_some(), "kept for the second one");
        }
        // The word of the first one's token is another's by now.
        let others = Region::create(4096).unwrap();
        let ids: Vec<RegionId> = (0..2000).map(|_| others.export().unwrap()).collect();
        drop(others);
        assert!(Region::open(first).unwrap().is_some());
        assert!(Region::open(second).unwrap().is_some());
        assert!(Region::open(second).unwrap().is_none(), "dropped after it arrived");
        for id in ids {
            assert!(Region::open(id).unwrap().is_some(), "each kept by its own token");
        }
    }

    #[test]
    fn a_handle_that_is_taken_back_keeps_nothing() {
        let region = Region::create(4096).unwrap();
        let ids: Vec<RegionId> = (0..3).map(|_| region.issue().unwrap()).collect();
        ids.iter().for_each(|id| region.recall(*id));
        drop(region);
        assert!(Region::open(ids[0]).unwrap().is_none());
    }

    #[test]
    fn a_descriptor_holds_a_range() {
        let region = Region::create(4096).unwrap();
        let id = region.id();
        let hold = Region::hold_by_descriptor(&[region.clone(), region]).unwrap();
        let copy = hold.try_clone().unwrap();
        drop(hold);
        assert!(Region::open(id).unwrap().is_some());
        drop(copy);
        // Held by nobody, it is freed by the next who holds it or looks for a slot.
        drop(Region::open(id).unwrap());
        assert!(Region::open(id).unwrap().is_none());
    }

    #[test]
    fn numbers_that_name_no_range_are_gone() {
        let id = Region::create(4096).unwrap().id();
        assert!(Region::open(RegionId { arena: !id.arena, ..id }).unwrap().is_none());
        assert!(Region::open(RegionId { slot: u32::MAX, ..id }).unwrap().is_none());
        assert!(Region::open(RegionId { slot: 60_000, generation: 0, ..id }).unwrap().is_none());
    }
}
