//! In place of `shm/atomic.rs`: atomics as large as the standard library's, each of which stands
//! for one of loom's.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
pub(crate) use std::sync::atomic::Ordering;

use crate::model;
use crate::mutant::{Change, Operation};

macro_rules! atomics {
    ($($atomic:ident $integer:ident,)*) => {$(
        /// Only its address is used.
        #[repr(transparent)]
        pub(crate) struct $atomic(UnsafeCell<$integer>);

        // SAFETY: the memory of it is not accessed.
        unsafe impl Sync for $atomic {}

        impl $atomic {
            pub(crate) fn inner(&self) -> std::rc::Rc<loom::sync::atomic::$atomic> {
                model::atomic(self.address(), || {
                    std::rc::Rc::new(loom::sync::atomic::$atomic::new(0))
                })
            }

            pub(crate) fn address(&self) -> usize {
                std::ptr::from_ref(self).addr()
            }

            #[track_caller]
            pub(crate) fn load(&self, ordering: Ordering) -> $integer {
                let change = model::visit(Operation::Load(ordering));
                model::flush_before_load(self.address());
                self.inner().load(model::ordering(ordering, change))
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $integer, ordering: Ordering) {
                let change = model::visit(Operation::Store(ordering));
                let (inner, ordering) = (self.inner(), model::ordering(ordering, change));
                model::store(self.address(), change, move || inner.store(value, ordering));
            }

            #[track_caller]
            pub(crate) fn fetch_add(&self, value: $integer, ordering: Ordering) -> $integer {
                let change = model::visit(Operation::Update(ordering));
                model::flush_before_load(self.address());
                let old = self.inner().fetch_add(value, model::ordering(ordering, change));
                model::flush();
                old
            }

            #[track_caller]
            pub(crate) fn fetch_or(&self, value: $integer, ordering: Ordering) -> $integer {
                let change = model::visit(Operation::Update(ordering));
                model::flush_before_load(self.address());
                let old = self.inner().fetch_or(value, model::ordering(ordering, change));
                model::flush();
                old
            }

            #[track_caller]
            pub(crate) fn compare_exchange(
                &self,
                current: $integer,
                new: $integer,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$integer, $integer> {
                let change = model::visit(Operation::Swap(success, failure));
                model::flush_before_load(self.address());
                let failure =
                    if change == Some(Change::RelaxedFailure) { Ordering::Relaxed } else { failure };
                let success = model::ordering(success, change);
                let result = self.inner().compare_exchange(current, new, success, failure);
                model::flush();
                result
            }

            #[track_caller]
            pub(crate) fn compare_exchange_weak(
                &self,
                current: $integer,
                new: $integer,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$integer, $integer> {
                self.compare_exchange(current, new, success, failure)
            }
        }
    )*};
}

atomics! {
    AtomicU8 u8, AtomicU16 u16, AtomicU32 u32, AtomicU64 u64, AtomicUsize usize,
    AtomicI8 i8, AtomicI16 i16, AtomicI32 i32, AtomicI64 i64, AtomicIsize isize,
}

#[track_caller]
pub(crate) fn fence(ordering: Ordering) {
    let change = model::visit(Operation::Fence(ordering));
    if change != Some(Change::Without) {
        loom::sync::atomic::fence(model::ordering(ordering, change));
    }
}

/// The light half of an asymmetric fence: together with a barrier it is as a full one.
#[track_caller]
pub(crate) fn compiler_fence(_: Ordering) {
    if model::visit(Operation::LightFence).is_none() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}
