//! Mappings of the arena into this process: shared memory as atomics and as bytes.
//!
//! # Invariants of the `unsafe` code
//!
//! - A [`Mapping`] owns `len` bytes at `ptr`, mapped readable, and writable unless it says so, from
//!   construction to drop. References into it borrow the `Mapping`, so none outlives the memory.
//! - Other processes write this memory at any time. So it is accessed only through types that are
//!   sound for any bits and for changes by any process ([`Shared`]: atomics, and structures of
//!   them), and by copies that are made of atomic words or by one machine instruction that is
//!   opaque to the compiler. There is never a `&[u8]` into it.
//! - Every access is checked against `len` and the alignment first.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use crate::shm::atomic::{self, AtomicU64, Ordering};
use crate::sys::mmap::{self, Access};

/// Types that may lie in memory other processes write.
///
/// # Safety
///
/// Every bit pattern is a valid value, zeros too; all access through `&Self` is atomic or made safe
/// by the type itself; the layout is `repr(C)` or `repr(transparent)`, and it holds no address.
pub(crate) unsafe trait Shared: Sync {}

macro_rules! atomics_are_shared {
    ($($atomic:ident)*) => {$(
        // SAFETY: an atomic integer.
        unsafe impl Shared for atomic::$atomic {}
    )*};
}
atomics_are_shared!(AtomicU8 AtomicU16 AtomicU32 AtomicU64 AtomicUsize);
atomics_are_shared!(AtomicI8 AtomicI16 AtomicI32 AtomicI64 AtomicIsize);

/// Declares a `repr(C)` structure whose fields are all [`Shared`], and that it is itself.
macro_rules! shared_struct {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        $vis struct $name { $($(#[$field_meta])* pub(crate) $field: $type,)* }
        const _: () = {
            const fn fields_are_shared<T: $crate::shm::mapping::Shared>() {}
            $(fields_are_shared::<$type>();)*
        };
        // SAFETY: `repr(C)`, and every field is `Shared` (checked just above).
        #[allow(unsafe_code)]
        unsafe impl $crate::shm::mapping::Shared for $name {}
    };
}
pub(crate) use shared_struct;

/// A value on cache lines of its own (two: processors fetch lines in pairs), so that writers of
/// neighbors do not slow it down.
#[repr(C, align(128))]
pub(crate) struct Line<T>(pub(crate) T);

// SAFETY: `repr(C)` around one `Shared` value.
unsafe impl<T: Shared> Shared for Line<T> {}
// SAFETY: an array of `Shared` values; every access goes through one of them.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}

impl<T> std::ops::Deref for Line<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// Bytes of a file mapped into this process, shared with all others that map them.
#[derive(Debug)]
pub(crate) struct Mapping {
    ptr: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to the `Mapping`, not to a thread, and all access is as described
// above.
unsafe impl Send for Mapping {}
// SAFETY: as above: access through `&Mapping` is atomic.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `file` from `offset` (a multiple of the page size).
    pub(crate) fn new(file: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Mapping> {
        Ok(Mapping { ptr: mmap::map(file, offset, len, Access::Write)?, len })
    }

    /// As [`new`](Self::new), for bytes that nobody writes any more. Writing them here, which
    /// nothing does, would be a fault.
    pub(crate) fn to_read(file: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Mapping> {
        Ok(Mapping { ptr: mmap::map(file, offset, len, Access::Read)?, len })
    }

    /// The address of `len` bytes at `offset`.
    ///
    /// # Panics
    ///
    /// When they are not all inside, or `offset` is not a multiple of `align`.
    #[inline]
    fn at(&self, offset: usize, len: usize, align: usize) -> NonNull<u8> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.len);
        if !(inside && offset.is_multiple_of(align)) {
            outside(offset, len, self.len);
        }
        // SAFETY: `offset <= self.len`, so this stays inside the mapping (or at its very end).
        unsafe { self.ptr.add(offset) }
    }

    /// The shared value at `offset`.
    ///
    /// # Panics
    ///
    /// When it is not inside the mapping, or not aligned.
    #[inline]
    pub(crate) fn get<T: Shared>(&self, offset: usize) -> &T {
        let ptr = self.at(offset, size_of::<T>(), align_of::<T>()).cast::<T>();
        // SAFETY: inside the mapping and aligned (the mapping itself starts on a page); `T: Shared`
        // makes any bits and any change by others fine; the borrow keeps the mapping.
        unsafe { ptr.as_ref() }
    }

    /// The first `len` shared values.
    ///
    /// # Panics
    ///
    /// When they are not all inside the mapping.
    #[inline]
    pub(crate) fn slice<T: Shared>(&self, len: usize) -> &[T] {
        let ptr = self.at(0, len.saturating_mul(size_of::<T>()), align_of::<T>()).cast::<T>();
        // SAFETY: all inside the mapping, which is at most `isize::MAX` bytes long, and aligned;
        // `T: Shared` makes any bits and any change by others fine; the borrow keeps the mapping.
        unsafe { std::slice::from_raw_parts(ptr.as_ptr(), len) }
    }

    /// The address of a value that only one process at a time may access. The caller ensures that.
    ///
    /// # Panics
    ///
    /// When it is not inside the mapping, or not aligned.
    #[inline]
    pub(crate) fn place<T>(&self, offset: usize) -> NonNull<T> {
        self.at(offset, size_of::<T>(), align_of::<T>()).cast()
    }

    /// As [`place`](Self::place), of so many values in a row.
    #[inline]
    pub(crate) fn places<T>(&self, offset: usize, len: usize) -> NonNull<[T]> {
        let bytes = len.saturating_mul(size_of::<T>());
        let first = self.at(offset, bytes, align_of::<T>()).cast();
        NonNull::slice_from_raw_parts(first, len)
    }

    /// Copies `bytes` to `offset`, a multiple of 8, padded with zeros to a multiple of 8.
    ///
    /// Other processes may read the bytes only after a later release store that announces them.
    ///
    /// # Panics
    ///
    /// When they do not fit there.
    #[inline]
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.at(offset, bytes.len().next_multiple_of(8), 8);
        let (words, rest) = bytes.split_at(bytes.len() & !7);
        if words.len() >= MOVE_FROM {
            // SAFETY: `words` is readable, `to` has room for them inside the mapping, and nothing
            // private lies there.
            unsafe { move_bytes(words.as_ptr(), to.as_ptr(), words.len()) };
        } else {
            for (index, word) in words.chunks_exact(8).enumerate() {
                let word = u64::from_ne_bytes(word.try_into().expect("chunks of eight"));
                self.word(to, index).store(word, Ordering::Relaxed);
            }
        }
        if !rest.is_empty() {
            let last = match bytes.last_chunk() {
                // The last eight bytes as one word, less those that are written: quicker than to
                // gather a few.
                Some(last) => u64::from_le_bytes(*last) >> (8 * (8 - rest.len())),
                None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
            };
            self.word(to, words.len() / 8).store(last.to_le(), Ordering::Relaxed);
        }
    }

    /// Says that the cache lines which begin in `offsets` will be written soon, so that the
    /// processor fetches them for writing meanwhile. Changes nothing; what is outside is ignored.
    #[inline]
    pub(crate) fn will_write(&self, offsets: std::ops::Range<usize>) {
        let mut line = offsets.start.next_multiple_of(64);
        while line < offsets.end.min(self.len) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: inside the mapping. The instruction is a hint: it changes no memory, cannot
            // fault, and does nothing on a processor that does not know it.
            unsafe {
                std::arch::asm!(
                    "prefetchw [{}]",
                    in(reg) self.ptr.as_ptr().add(line),
                    options(nostack, preserves_flags)
                );
            }
            line += 64;
        }
    }

    /// Appends the `len` bytes at `offset`, a multiple of 8, to `to`.
    ///
    /// # Panics
    ///
    /// When they are not inside.
    #[inline]
    pub(crate) fn read(&self, offset: usize, len: usize, to: &mut Vec<u8>) {
        let padded = len.next_multiple_of(8);
        let from = self.at(offset, padded, 8);
        to.reserve(padded);
        let room = to.spare_capacity_mut();
        if padded >= MOVE_FROM {
            // SAFETY: `padded` bytes are readable inside the mapping, and `reserve` made room for
            // them.
            unsafe { move_bytes(from.as_ptr(), room.as_mut_ptr().cast(), padded) };
        } else {
            for (index, place) in room[..padded].as_chunks_mut::<8>().0.iter_mut().enumerate() {
                let word = self.word(from, index).load(Ordering::Relaxed).to_ne_bytes();
                *place = word.map(std::mem::MaybeUninit::new);
            }
        }
        // SAFETY: the `padded >= len` bytes after the old length have just been written.
        unsafe { to.set_len(to.len() + len) };
    }

    /// The `index`th word after `place`, which [`Mapping::at`] gave for a region that holds it.
    #[inline]
    fn word(&self, place: NonNull<u8>, index: usize) -> &AtomicU64 {
        // SAFETY: inside the mapping and aligned to 8, as `place` is and as only the two callers
        // above ask for it.
        unsafe { place.cast::<AtomicU64>().add(index).as_ref() }
    }
}

#[cold]
fn outside(offset: usize, len: usize, mapped: usize) -> ! {
    panic!("{len} bytes at {offset} are not in a mapping of {mapped}");
}

/// From how many bytes on [`move_bytes`] is faster than a loop over words.
const MOVE_FROM: usize = if cfg!(target_arch = "x86_64") { 128 } else { usize::MAX };

/// Copies `len` bytes by one instruction. To the compiler it is opaque, to the memory it is a copy
/// byte by byte: a process that writes the same bytes meanwhile makes them unspecified and nothing
/// worse.
///
/// # Safety
///
/// `from` is readable and `to` writable for `len` bytes, and they do not overlap.
#[inline]
unsafe fn move_bytes(from: *const u8, to: *mut u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as the caller promises.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags)
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("{len} bytes from {from:p} to {to:p}: no copy is this long");
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `ptr` and `len` are those of `mmap::map`, and no reference into it is left.
        unsafe { mmap::unmap(self.ptr, self.len) };
    }
}
