//! In place of `sys/mmap.rs`: addresses. What lies there is kept by `model`.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// A page of memory, for its address.
#[derive(Clone, Copy)]
#[repr(align(4096))]
struct Page([u8; 4096]);

thread_local! {
    static NEXT: Cell<i32> = const { Cell::new(1) };
    /// The same in every execution, so that nothing is allocated each time.
    static PLACES: RefCell<HashMap<(i32, u64), Vec<Page>>> = RefCell::default();
}

pub(crate) fn begin_execution() {
    NEXT.set(1);
}

pub(crate) fn new_region() -> i32 {
    NEXT.replace(NEXT.get() + 1)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// All mappings of the same bytes have the same address.
pub(crate) fn map(
    file: BorrowedFd<'_>,
    offset: u64,
    len: usize,
    _: Access,
) -> io::Result<NonNull<u8>> {
    let pages = len.div_ceil(size_of::<Page>());
    PLACES.with_borrow_mut(|places| {
        let place = places.entry((file.as_raw_fd(), offset)).or_default();
        if place.len() < pages {
            *place = vec![Page([0; 4096]); pages];
        }
        NonNull::new(place.as_mut_ptr().cast()).ok_or(io::ErrorKind::OutOfMemory.into())
    })
}

/// # Safety
///
/// As the library's; nothing is done.
pub(crate) unsafe fn unmap(_: NonNull<u8>, _: usize) {}
