//! The counting allocator counts right, and is still an allocator.

use std::{hint::black_box, thread};
use util::heap::{self, Used};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

#[test]
fn a_block_that_grows_shrinks_and_goes_is_followed() {
    let (mut list, used) = heap::used(|| Vec::<u8>::with_capacity(100));
    assert_eq!(used, Used { allocations: 1, held: 100, peak: 100 });
    let ((), used) = heap::used(|| {
        list.extend([7; 100]);
        list.reserve_exact(900); // grown: 1,000
        list.shrink_to_fit(); // back to 100
    });
    assert_eq!(used, Used { allocations: 2, held: 0, peak: 900 });
    assert!(list.iter().all(|byte| *byte == 7));
    let ((), used) = heap::used(|| drop(list));
    assert_eq!(used, Used { allocations: 0, held: -100, peak: 0 });
}

#[test]
fn zeroed_memory_is_zero_and_aligned_memory_aligned() {
    #[repr(align(4096))]
    struct Page(#[allow(dead_code)] [u8; 4096]);
    let (zeros, used) = heap::used(|| vec![0_u64; 1 << 16]);
    assert_eq!((used.allocations, used.held), (1, 8 << 16));
    assert!(zeros.iter().all(|number| *number == 0));
    let (pages, used) =
        heap::used(|| (0..8).map(|i| Box::new(Page([i; 4096]))).collect::<Vec<_>>());
    assert!(used.held >= 8 * 4096);
    assert!(pages.iter().all(|page| (&raw const **page).addr().is_multiple_of(4096)));
}

#[test]
fn what_cannot_be_had_is_not_counted() {
    let mut list = vec![1_u8; 10];
    let (refused, used) = heap::used(|| {
        let much = isize::MAX as usize - 100;
        black_box(Vec::<u8>::new()).try_reserve_exact(much).is_err()
            && list.try_reserve_exact(much).is_err()
    });
    assert!(refused);
    assert_eq!(used, Used { allocations: 0, held: 0, peak: 0 });
    assert_eq!(list, [1; 10]); // the block that could not grow is as it was
}

#[test]
fn each_thread_has_its_own_count() {
    let (theirs, ours) = heap::used(|| {
        thread::scope(|s| {
            let threads: Vec<_> =
                (0..8).map(|_| s.spawn(|| heap::used(|| churn(1000)).1)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        })
    });
    assert!(ours.allocations < 500, "{ours:?}"); // what starting eight threads takes
    for used in theirs {
        assert_eq!(used, Used { allocations: 1000, held: 0, peak: 999 });
    }
}

#[test]
fn a_panic_within_leaves_the_count_right() {
    let caught = std::panic::catch_unwind(|| {
        heap::used(|| {
            let _held = vec![0_u8; 5000];
            std::panic::resume_unwind(Box::new(()));
        })
    });
    assert!(caught.is_err());
    drop(caught);
    let (_, used) = heap::used(|| churn(10));
    assert_eq!(used, Used { allocations: 10, held: 0, peak: 9 });
}

/// Blocks of all sizes up to `count`, each given back before the next.
fn churn(count: usize) {
    (0..count).for_each(|size| drop(black_box(Vec::<u8>::with_capacity(size.max(1)))));
}
