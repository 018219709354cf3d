//! Seats: the identity of a process, which all processes of the tree can check.
//!
//! A process id is not enough: ids are reused, and differ between pid namespaces. So a process
//! takes a *seat*. A seat is a number, with a byte in the arena's file that the process keeps
//! locked while it lives, and with a serial number that counts the processes that have had the
//! seat. The kernel drops the lock when the process ends, however it ends. Other processes remember
//! the seat and the serial number of a process, and [`is_alive`] checks whether that process still
//! lives.
//!
//! Numbers are given from 0, so they are small, and a table with an entry per seat can be walked
//! quickly. A seat is taken once, by the first use of something that needs it, and costs a file
//! lock.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::directory::{Arena, arena};
use super::layout::{BLOCKS, SLOTS, SLOTS_AT, TOKENS_AT};
use crate::sys::failpoint::failpoint;
use crate::sys::file_lock::Kind;
use crate::sys::sync::lock;

/// How many processes can have a seat at a time.
pub(crate) const SEATS: usize = 4096;

/// Where in the directory the serial numbers are.
const SERIALS_AT: usize = 3 << 20;
const TABLE_LEN: usize = size_of::<[AtomicU64; SEATS]>();
const _: () = assert!(SERIALS_AT + TABLE_LEN <= TOKENS_AT);
const _: () =
    assert!(SLOTS_AT + SLOTS as usize * size_of::<super::directory::RegionEntry>() <= SERIALS_AT);

/// A process, living or dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    /// Less than [`SEATS`].
    pub(crate) number: usize,
    /// Which of the processes that have had the seat; never 0.
    pub(crate) serial: u32,
}

static OWN: OnceLock<Seat> = OnceLock::new();

/// This process's seat, the same from the first call on.
///
/// # Errors
///
/// When [`SEATS`] processes have one, and what the system says.
pub(crate) fn own() -> io::Result<Seat> {
    match OWN.get() {
        Some(seat) => Ok(*seat),
        None => take(),
    }
}

#[cold]
fn take() -> io::Result<Seat> {
    let arena = arena()?;
    let _local = lock(&arena.local);
    if let Some(seat) = OWN.get() {
        return Ok(*seat);
    }
    let header = arena.header();
    let _lock = header.lock.lock();
    for number in 0..SEATS {
        if number as u64 == header.seats.load(Ordering::Relaxed) {
            arena.lengthen((SERIALS_AT + (number + 1) * size_of::<AtomicU64>()) as u64)?;
            header.seats.store(number as u64 + 1, Ordering::Release);
        }
        if arena.lock_byte(lock_of(number), Kind::Write, false)? {
            failpoint("seat: locked");
            let word = arena.serial(number);
            let serial = (word.load(Ordering::Relaxed) as u32).wrapping_add(1).max(1);
            word.store(serial.into(), Ordering::SeqCst);
            failpoint("seat: taken");
            return Ok(*OWN.get_or_init(|| Seat { number, serial }));
        }
    }
    Err(io::Error::new(io::ErrorKind::StorageFull, format!("{SEATS} processes have a seat")))
}

/// Whether the process is still there. One that is ending may be either.
pub(crate) fn is_alive(seat: Seat) -> bool {
    if OWN.get() == Some(&seat) {
        return true;
    }
    let Ok(arena) = arena() else { return true };
    // First the serial number: a process that takes the seat has the lock before it changes it.
    let is_its_seat = arena.serial(seat.number).load(Ordering::SeqCst) == u64::from(seat.serial);
    // If the check fails, the process counts as alive.
    is_its_seat && arena.is_byte_locked(lock_of(seat.number)).unwrap_or(true)
}

/// How many seats have ever been taken: all numbers are below.
pub(crate) fn count() -> usize {
    arena().map_or(0, |arena| arena.header().seats.load(Ordering::Acquire) as usize).min(SEATS)
}

impl Arena {
    /// The serial number of a seat that has been taken: beyond those the file may have no memory.
    fn serial(&self, number: usize) -> &AtomicU64 {
        self.directory.get(SERIALS_AT + number * size_of::<AtomicU64>())
    }
}

/// The byte whose lock the process in a seat has: behind those of the slots and blocks of tokens.
fn lock_of(number: usize) -> u64 {
    SLOTS + BLOCKS + number as u64
}
