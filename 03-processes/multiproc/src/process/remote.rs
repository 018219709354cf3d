//! A function's address as another process of the same program sees it.
//!
//! Two processes that run the same executable have its code at different addresses (the loader
//! picks the place), but every function is equally far from the executable's beginning. So a
//! function travels as that distance.
//!
//! # Invariants
//!
//! - A [`Remote<C>`] is made only by [`Remote::new`], from a function in the code of this
//!   [executable](crate::process::executable), and reaches another process only through the private
//!   sockets and rings between processes of one tree. Each of them has checked, before it decodes
//!   anything, that its parent runs the same build of the same program and uses the same copy of
//!   this library. So adding the distance gives the address of the same function again, of the type
//!   `fn(&mut C)` it was made from.
//! - [`trampoline`] makes a value of the type `F` from nothing. It is reachable only through
//!   `Remote::new`, whose caller had a value of that type; and `F` is `Copy` and of size zero, so
//!   one more value of it has no content that could be wrong and takes nothing from the first.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::NonNull;

use serde::{Deserialize, Serialize};

use crate::process::executable;

/// What a process does with a function `F` when called: the part that knows the types of its
/// argument and its result.
pub(crate) trait Entry<F, C> {
    /// Runs the function; everything it needs and gives is in `call`.
    fn run(function: F, call: &mut C);
}

/// A function of this program that takes a `&mut C`, wherever the program is loaded.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Remote<C> {
    distance: u64,
    #[serde(skip)]
    call: PhantomData<fn(&mut C)>,
}

impl<C> Clone for Remote<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Remote<C> {}

/// The function is not in the program's executable but in a shared library.
#[derive(Debug)]
pub(crate) struct NotInExecutable;

impl<C> Remote<C> {
    /// The entry `E` of a function. A function of a type with a size (a closure that captures, a
    /// function pointer) does not compile.
    ///
    /// # Errors
    ///
    /// [`NotInExecutable`] when this crate, or the function's, is linked as a shared library.
    pub(crate) fn new<F: Copy + 'static, E: Entry<F, C>>(
        _witness: F,
    ) -> Result<Self, NotInExecutable> {
        const {
            assert!(
                size_of::<F>() == 0,
                "a function that another process runs must capture nothing: pass what it needs as \
                 its argument"
            );
        }
        let address = trampoline::<F, E, C> as fn(&mut C) as usize;
        match executable::this().distance_of_code(address) {
            Some(distance) => Ok(Self { distance: distance as u64, call: PhantomData }),
            None => Err(NotInExecutable),
        }
    }

    /// Calls the function.
    ///
    /// # Panics
    ///
    /// When the distance leads out of the executable's code, which the invariants exclude.
    pub(crate) fn call(self, call: &mut C) {
        let distance = usize::try_from(self.distance).ok();
        let address = distance.and_then(|distance| executable::this().code_at(distance));
        let address =
            std::ptr::with_exposed_provenance::<u8>(address.expect("a function of this program"));
        // SAFETY: by the module's first invariant this is the address of a `fn(&mut C)` in this
        // process, and it is not null.
        let function = unsafe { std::mem::transmute::<*const u8, fn(&mut C)>(address) };
        function(call);
    }
}

/// Makes the function from nothing, and calls its entry.
fn trampoline<F: Copy + 'static, E: Entry<F, C>, C>(call: &mut C) {
    const { assert!(size_of::<F>() == 0) }
    // SAFETY: a read of zero bytes from a well-aligned pointer that is not null is valid; a value
    // of `F` exists by the module's second invariant.
    let function = unsafe { NonNull::<F>::dangling().read() };
    E::run(function, call);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Add;
    impl<F: Fn(u32) -> u32> Entry<F, u32> for Add {
        fn run(function: F, call: &mut u32) {
            *call = function(*call);
        }
    }

    #[test]
    fn a_function_is_found_again_by_its_distance() {
        let remote =
            Remote::new::<_, Add>(|n| n + 1).unwrap_or_else(|_| panic!("in the executable"));
        let mut bytes = Vec::new();
        crate::ipc::codec::encode_own(&remote, &mut bytes);
        let again: Remote<u32> = crate::ipc::codec::decode(&bytes).unwrap();
        let mut n = 41;
        again.call(&mut n);
        assert_eq!(n, 42);
    }
}
