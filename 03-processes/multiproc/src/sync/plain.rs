//! The types of values that a lock between processes can guard.

use std::ptr::NonNull;

use bytemuck::Pod;

use crate::shm::mapping::Mapping;

/// A plain value, whose every pattern of bytes is valid ([`Pod`]: numbers, arrays and structures of
/// them), or a slice of such values.
#[expect(private_bounds, reason = "sealed: where a value lies is the locks' own matter")]
pub trait Plain: Place {}

impl<T: Pod> Plain for T {}
impl<T: Pod> Plain for [T] {}

/// Where a value lies in memory, at `offset` and `bytes` long.
pub(super) trait Place {
    fn place(memory: &Mapping, offset: usize, bytes: usize) -> NonNull<Self>;
}

impl<T: Pod> Place for T {
    #[inline]
    fn place(memory: &Mapping, offset: usize, _: usize) -> NonNull<T> {
        memory.place(offset)
    }
}

impl<T: Pod> Place for [T] {
    #[inline]
    fn place(memory: &Mapping, offset: usize, bytes: usize) -> NonNull<[T]> {
        memory.places(offset, bytes.checked_div(size_of::<T>()).unwrap_or(0))
    }
}

/// The bytes of `len` values; as many as cannot be had when they are too many.
pub(super) fn bytes<T>(len: usize) -> usize {
    len.saturating_mul(size_of::<T>())
}
