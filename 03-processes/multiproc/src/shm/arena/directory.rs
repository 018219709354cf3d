//! The arena's file, its directory, and this process's end of it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

use super::layout::{DIRECTORY, Extent, SLOTS_AT};
use crate::shm::mapping::{Mapping, shared_struct};
use crate::shm::robust::RobustMutex;
use crate::sys::file_lock::{self, Kind};
use crate::sys::fork;
use crate::sys::limits;
use crate::sys::sync::lock;

/// "multiproc, layout 2", as far as it fits.
const MAGIC: u64 = u64::from_ne_bytes(*b"multip\x00\x02");
/// The length of a new file: the header and the first slots.
const START: u64 = 64 << 10;

shared_struct! {
    pub(super) struct Header {
        magic: AtomicU64,
        identity: AtomicU64,
        /// Slots, and blocks of tokens, that have ever been used; the file is long enough for them.
        slots: AtomicU64,
        blocks: AtomicU64,
        hand: AtomicU64,
        /// Seats that have ever been taken; the file is long enough for their serial numbers.
        seats: AtomicU64,
        lock: RobustMutex,
    }
}

shared_struct! {
    /// One region. It is live while `generation` is odd.
    pub(super) struct RegionEntry {
        generation: AtomicU64,
        /// [`Extent`] as a number; of the last region where there is none now, and zero where there
        /// never was one.
        extent: AtomicU64,
        /// Whether tokens for this generation have been issued.
        has_tokens: AtomicU64,
        /// What is in the region, where its type must be certain; see [`Region::create_of`].
        ///
        /// [`Region::create_of`]: super::Region::create_of
        kind: AtomicU64,
    }
}

/// This process's end of the arena.
pub(super) struct Arena {
    /// The descriptor that goes to children.
    pub(super) shared: OwnedFd,
    /// The same file, opened anew: locks taken through it belong to this process alone.
    pub(super) own: File,
    pub(super) directory: Mapping,
    pub(super) local: Mutex<Local>,
}

/// What this process holds.
#[derive(Default)]
pub(super) struct Local {
    pub(super) held: HashMap<u32, Held>,
    pub(super) tokens: OwnTokens,
}

/// A region this process holds.
pub(super) struct Held {
    pub(super) generation: u64,
    pub(super) holders: usize,
}

/// The blocks of tokens that this process has taken.
#[derive(Default)]
pub(super) struct OwnTokens {
    pub(super) blocks: Vec<u32>,
    /// Words in them that were seen not to be outstanding.
    pub(super) free: Vec<u32>,
}

pub(super) static ARENA: OnceLock<Arena> = OnceLock::new();
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

pub(super) fn arena() -> io::Result<&'static Arena> {
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
        let file = memfd_create("multiproc", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let file = File::from(file);
        limits::check_file_size(START)?;
        file.set_len(START)?;
        // Mapped memory never vanishes under anyone.
        fcntl_add_seals(&file, SealFlags::SHRINK)?;
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

    pub(super) fn header(&self) -> &Header {
        self.directory.get(0)
    }

    /// The slot, which has been used: beyond those the file may have no memory.
    pub(super) fn slot(&self, slot: u32) -> &RegionEntry {
        self.directory.get(slot_at(slot))
    }

    /// Makes the file at least `end` bytes long. The caller holds the arena's lock.
    pub(super) fn lengthen(&self, end: u64) -> io::Result<()> {
        if self.own.metadata()?.len() < end {
            limits::check_file_size(end)?;
            self.own.set_len(end)?;
        }
        Ok(())
    }

    /// Sets this process's lock on a byte to `kind`; false when others' locks stand against it.
    pub(super) fn lock_byte(&self, byte: u64, kind: Kind, wait: bool) -> io::Result<bool> {
        file_lock::set(self.own.as_fd(), byte, kind, wait)
    }

    /// Whether another process has a lock on the byte.
    pub(super) fn is_byte_locked(&self, byte: u64) -> io::Result<bool> {
        file_lock::is_locked(self.own.as_fd(), byte)
    }

    /// Gives back the memory of the region that a slot has or had.
    pub(super) fn punch(&self, slot: u32) -> io::Result<()> {
        let Some(extent) = Extent::from_bits(self.slot(slot).extent.load(Ordering::Relaxed)) else {
            return Ok(());
        };
        let end = self.own.metadata()?.len();
        let mut pieces = extent.pieces(slot).filter(|(at, _)| *at < end);
        pieces.try_for_each(|(at, len)| self.punch_bytes(at, len))
    }

    pub(super) fn punch_bytes(&self, at: u64, len: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        loop {
            match fallocate(&self.own, flags, at, len) {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }
}

/// The same file as another open file, with locks of its own.
pub(super) fn open_anew(file: BorrowedFd<'_>) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

pub(super) fn slot_at(slot: u32) -> usize {
    SLOTS_AT + slot as usize * size_of::<RegionEntry>()
}
