//! Where in the file everything lies: the directory first, then each region in a window of its
//! slot's own.
//!
//! A slot has one region at a time, so a place that follows from the slot's number is always free
//! for it. Nothing has to be allocated or freed, no sequence of sizes uses the offsets up, and a
//! process killed at any instruction leaves nothing to repair. Windows cost nothing but offsets, as
//! the file is sparse.
//!
//! There are windows of three sizes, the small ones first, so that a program with few regions has a
//! short file even if the file's length is limited (`RLIMIT_FSIZE`). All boundaries are multiples
//! of any page size.

use std::io;
use std::ops::Range;
use std::sync::atomic::AtomicU64;

/// How many regions there can be.
pub(super) const SLOTS: u64 = 1 << 16;
/// Where the slots begin, behind the directory's header.
pub(super) const SLOTS_AT: usize = 4096;
/// Where the tokens begin.
pub(super) const TOKENS_AT: usize = 4 << 20;
/// Tokens in a block: 4 KiB.
pub(super) const BLOCK: usize = 512;
/// How many blocks of tokens there can be.
pub(super) const BLOCKS: u64 = 4096;
/// The length of the directory: the header, the slots and the tokens. All of it is mapped; the file
/// is as long as what is used.
pub(super) const DIRECTORY: u64 =
    TOKENS_AT as u64 + BLOCKS * BLOCK as u64 * size_of::<AtomicU64>() as u64;

/// The sizes of windows.
const SIZES: [u64; 3] = [4 << 20, 64 << 30, 16 << 40];
/// Where the windows of each size begin.
const STARTS: [u64; 3] = [32 << 20, 1 << 40, 1 << 53];

const _: () = {
    assert!(DIRECTORY <= STARTS[0]);
    assert!(STARTS[0] + SLOTS * SIZES[0] <= STARTS[1]);
    assert!(STARTS[1] + SLOTS * SIZES[1] <= STARTS[2]);
    assert!(STARTS[2] + SLOTS * SIZES[2] <= i64::MAX as u64);
};

/// The length of a region, and every place where one begins, is a multiple of this. It is the
/// largest page of any kernel, so no two regions share a page, and each can be mapped and given
/// back by itself. The lowest bit of a length is free for [`SPLIT`].
pub(super) const GRAIN: u64 = 64 << 10;
const SPLIT: u64 = 1;

/// A region's length, and in which windows it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) len: u64,
    /// Whether its first bytes are in its small window and the rest in the medium one: for a region
    /// that is seldom used to its end.
    split: bool,
}

impl Extent {
    /// A region of `len` bytes (rounded up) in one piece.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it is empty, or larger than the largest window.
    pub(super) fn whole(len: u64) -> io::Result<Extent> {
        let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidInput, reason);
        if len == 0 {
            return Err(invalid("shared memory of no bytes".to_owned()));
        }
        match len.checked_next_multiple_of(GRAIN) {
            Some(len) if len <= SIZES[2] => Ok(Extent { len, split: false }),
            _ => Err(invalid(format!(
                "{len} bytes of shared memory in one piece: at most {} are possible",
                SIZES[2]
            ))),
        }
    }

    /// A region of `len` bytes in two pieces, so that nothing may be mapped across the first 4
    /// MiB's end.
    pub(super) fn split(len: u64) -> io::Result<Extent> {
        let whole = Extent::whole(len)?;
        assert!(SIZES[0] < len && len <= SIZES[1], "as large as a queue");
        Ok(Extent { split: true, ..whole })
    }

    /// The extent as a number that is not zero.
    pub(super) fn to_bits(self) -> u64 {
        self.len | if self.split { SPLIT } else { 0 }
    }

    /// The extent of the number; `None` for zero.
    pub(super) fn from_bits(bits: u64) -> Option<Extent> {
        (bits != 0).then_some(Extent { len: bits & !SPLIT, split: bits & SPLIT != 0 })
    }

    /// Where in the file the `len` bytes at `offset` of slot `slot`'s region lie.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when they are not in the region, or not in one piece of it.
    pub(super) fn locate(self, slot: u32, offset: u64, len: u64) -> io::Result<u64> {
        let end = offset.checked_add(len).filter(|end| *end <= self.len);
        let end = end.ok_or(io::ErrorKind::InvalidInput)?;
        let size = if !self.split {
            SIZES.iter().position(|size| self.len <= *size)
        } else if end <= SIZES[0] {
            Some(0)
        } else {
            (offset >= SIZES[0]).then_some(1)
        };
        let size = size.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(STARTS[size] + u64::from(slot) * SIZES[size] + offset)
    }

    /// The pieces as places in the file and lengths.
    pub(super) fn pieces(self, slot: u32) -> impl Iterator<Item = (u64, u64)> {
        let cut = if self.split { SIZES[0] } else { self.len };
        [(0, cut), (cut, self.len - cut)]
            .into_iter()
            .filter(|(_, len)| *len > 0)
            .filter_map(move |(offset, len)| Some((self.locate(slot, offset, len).ok()?, len)))
    }
}

/// The whole pages of `page` bytes in `range`, except the one with the byte `kept`: a run of them
/// before that page and one behind it, each of which may be empty. The range begins and ends at a
/// page.
pub(super) fn pages_around(range: Range<u64>, kept: u64, page: u64) -> [Range<u64>; 2] {
    let kept = kept - kept % page;
    [range.start..kept, kept + page..range.end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_slots_share_a_byte() {
        let extents = [1, GRAIN, SIZES[0], SIZES[0] + 1, SIZES[1], SIZES[1] + 1, SIZES[2]]
            .map(|len| Extent::whole(len).unwrap());
        let extents = [&extents[..], &[Extent::split(SIZES[1]).unwrap()]].concat();
        let last = SLOTS as u32 - 1;
        let mut pieces = Vec::new();
        for slot in [0, 1, 2, 17, last - 1, last] {
            for extent in &extents {
                for (at, len) in extent.pieces(slot) {
                    assert!(at >= DIRECTORY && at + len <= i64::MAX as u64);
                    pieces.push((at, at + len, slot));
                }
            }
        }
        for (start, end, slot) in &pieces {
            let shared =
                |other: &&(u64, u64, u32)| other.2 != *slot && other.0 < *end && *start < other.1;
            assert_eq!(pieces.iter().find(shared), None, "{start}..{end} of slot {slot}");
        }
    }

    #[test]
    fn regions_have_pages_of_their_own_whatever_a_page_is() {
        for page in [4 << 10, 16 << 10, 64 << 10] {
            for len in [1, 4096, page - 1, page, page + 1, 5 * page, SIZES[0], SIZES[0] + 1] {
                let extent = Extent::whole(len).unwrap();
                assert!(extent.len >= len && extent.len.is_multiple_of(page));
                for slot in [0, 1, 99, SLOTS as u32 - 1] {
                    for (at, len) in extent.pieces(slot) {
                        assert!(at.is_multiple_of(page) && len.is_multiple_of(page), "{extent:?}");
                    }
                }
            }
            let split = Extent::split(SIZES[0] + page).unwrap();
            assert!(split.pieces(7).all(|(at, _)| at.is_multiple_of(page)));
            assert_eq!(split.locate(7, SIZES[0], page).unwrap() % page, 0);
        }
    }

    #[test]
    fn an_extent_is_a_number() {
        for extent in [Extent::whole(1).unwrap(), Extent::split(SIZES[1]).unwrap()] {
            assert_eq!(Extent::from_bits(extent.to_bits()), Some(extent));
        }
        assert_eq!(Extent::from_bits(0), None);
        assert!(Extent::whole(0).is_err() && Extent::whole(SIZES[2] + 1).is_err());
        assert!(Extent::whole(u64::MAX).is_err());
        let split = Extent::split(SIZES[1]).unwrap();
        assert!(split.locate(0, SIZES[0] - 1, 2).is_err(), "not across the pieces");
        assert!(split.locate(0, SIZES[1] - 1, 2).is_err(), "not beyond the end");
    }

    #[test]
    fn all_pages_but_the_one_that_is_kept_are_given_back() {
        for page in [4 << 10, 16 << 10, 64 << 10] {
            // As in a queue's ring: its first word, one in the middle, the last ones.
            let (start, end) = (32 << 20, 64 << 20);
            let middle = start + 5 * page;
            for kept in [start, start + 8, middle - 8, middle, middle + page - 8, end - 8] {
                let [before, behind] = pages_around(start..end, kept, page);
                assert_eq!((before.start, behind.end), (start, end));
                assert!(before.end <= kept && kept + 8 <= behind.start, "{kept} is kept");
                assert_eq!(behind.start - before.end, page, "and one page only");
                assert!(before.end.is_multiple_of(page));
            }
        }
    }
}
