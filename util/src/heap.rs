//! What a piece of work takes from the heap, counted as it happens.
//!
//! A program in which this is to be counted says so once, and is then asked piece by piece:
//!
//! ```
//! use util::heap;
//!
//! #[global_allocator]
//! static HEAP: heap::Counting = heap::Counting;
//!
//! let (list, used) = heap::used(|| vec![1_u8; 1000]);
//! assert_eq!((used.allocations, used.held, used.peak), (1, 1000, 1000));
//! let (sum, used) = heap::used(|| list.iter().map(|byte| u32::from(*byte)).sum::<u32>());
//! assert_eq!((sum, used.allocations), (1000, 0));
//! ```
//!
//! Bytes are those that were asked for: what the allocator adds for itself is not in them.
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

/// The system's allocator, and a count of what each thread does with it.
#[derive(Debug)]
pub struct Counting;

/// What a thread has taken so far. Bytes can be negative: it may give back what another one took.
#[derive(Clone, Copy)]
struct Count {
    allocations: usize,
    held: isize,
    peak: isize,
}

thread_local! {
    // Constant and without a destructor, so that looking at it allocates nothing, and it is there
    // as long as its thread.
    static COUNT: Cell<Count> = const { Cell::new(Count { allocations: 0, held: 0, peak: 0 }) };
}

/// What a piece of work took from the heap; see [`used`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// How often it asked for a block, or for one to grow or shrink.
    pub allocations: usize,
    /// Bytes that it took and has not given back: those of its result, most of the time.
    /// Negative, if it gave back more than it took.
    pub held: isize,
    /// The most bytes that it held at any one time.
    pub peak: isize,
}

/// Runs `work` and says what it took from the heap, along with what it returned. Only this thread
/// is counted. What asks within `work` again has its own count, and `work`'s peak then starts anew.
///
/// # Panics
///
/// If the program does not have [`Counting`] as its `#[global_allocator]`.
pub fn used<T>(work: impl FnOnce() -> T) -> (T, Used) {
    let probed = COUNT.get().allocations;
    drop(black_box(Box::new(0_u8)));
    assert!(
        COUNT.get().allocations > probed,
        "nothing is counted: the program lacks `#[global_allocator] static HEAP: Counting = Counting;`"
    );
    let before = COUNT.get();
    COUNT.set(Count { peak: before.held, ..before });
    let result = work();
    let after = COUNT.get();
    let used = Used {
        allocations: after.allocations - before.allocations,
        held: after.held - before.held,
        peak: after.peak - before.held,
    };
    (result, used)
}

/// Counts a block of `old` bytes that became one of `new` bytes.
fn count(allocations: usize, old: usize, new: usize) {
    let before = COUNT.get();
    let held = before.held + new as isize - old as isize; // no block has more than isize::MAX bytes
    let allocations = before.allocations + allocations;
    COUNT.set(Count { allocations, held, peak: before.peak.max(held) });
}

// SAFETY: every call goes to the system's allocator as it came, and its answer goes back as it is;
// so what holds for that one holds for this one. Counting touches a `Cell` of this thread: it
// cannot allocate, and so not call itself; it cannot unwind (its numbers are far from overflowing);
// and it never looks at a block.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the ones asked for here.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            count(1, 0, layout.size());
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            count(1, 0, layout.size());
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above: a block of ours is one of the system's, with the same layout.
        let moved = unsafe { System.realloc(block, layout, size) };
        if !moved.is_null() {
            count(1, layout.size(), size); // if it is null, the old block is there still
        }
        moved
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) };
        count(0, layout.size(), 0);
    }
}
