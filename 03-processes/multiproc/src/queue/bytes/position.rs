//! Positions in the rings, and where the next item goes.

use super::side::State;

/// The size of the smallest ring, and where it begins.
pub(super) const FIRST: u64 = 64 << 10;
pub(super) const RINGS: usize = 20;
pub(super) const REGION_LEN: u64 = FIRST << RINGS;
/// Rings up to this one (16 MiB) keep their memory when the queue leaves them. In tests only the
/// first two do.
pub(super) const KEPT: usize = if cfg!(test) { 1 } else { 8 };
/// An item begins with its length, a marker is a word too.
pub(super) const PREFIX: u64 = 8;
/// Set in a marker, whose other bits are the ring where the queue goes on.
pub(super) const MARKER: u64 = 1 << 63;
/// The longest item: alone in the largest ring, with its prefix and room for a marker.
pub(super) const MAX_LEN: u64 = (size(RINGS - 1)) - 2 * PREFIX;

/// Where ring `ring` begins; also how long it is.
pub(super) const fn size(ring: usize) -> u64 {
    FIRST << ring
}

/// The ring a position lies in.
#[inline]
pub(super) fn ring_of(position: u64) -> usize {
    (position / FIRST).ilog2() as usize
}

/// The position `by` bytes further on in the same ring.
#[inline]
pub(super) fn advance(position: u64, by: u64) -> u64 {
    let size = size(ring_of(position));
    size + (position - size + by) % size
}

/// What an item takes up.
#[inline]
pub(super) fn footprint(len: usize) -> u64 {
    PREFIX + (len as u64).next_multiple_of(8)
}

/// Where a putter whose state is `state` can write `needed` bytes, when the getters' state is (or
/// was) `getters`.
///
/// In the present ring, or at the beginning of one no getter can be in. Only if `may_move`: the
/// getters' state is fresh.
#[inline]
pub(super) fn find_room(state: State, getters: State, needed: u64, may_move: bool) -> Option<u64> {
    let (here, theirs) = (ring_of(state.position), ring_of(getters.position));
    let size_here = size(here);
    // Getters behind in another ring come to this one at its beginning, where its first item lies.
    let oldest = if here == theirs { getters.position } else { size_here };
    let used = (state.position + size_here - oldest) % size_here;
    let alone = here == theirs && state.count == getters.count;
    if may_move && alone && here > KEPT && needed <= size(KEPT) / 32 {
        // Empty, this ring is large and the item is not: go back to a small one.
        return Some(size(KEPT));
    }
    // Always room for a marker, so `used` is never the whole ring.
    if needed + PREFIX <= size_here - used {
        return Some(state.position);
    }
    if !may_move {
        return None;
    }
    // The rings in use are the getters', this one, and between them only smaller ones than this.
    let larger = here.max(theirs) + 1..RINGS;
    let mut fitting = larger.filter(|ring| needed + PREFIX <= size(*ring));
    fitting.next().map(size)
}
