//! A function's address as another process of the same program sees it.
//!
//! Two processes that run the same executable have its code at different addresses (the loader picks the place), but every function is
//! equally far from the executable's start. So a function travels as that distance.
//!
//! # Invariants
//!
//! - A [`Remote<C>`] is made only by [`Remote::new`], from a function inside this executable's text, and reaches another process only through the
//!   private sockets and rings between processes that all run this very executable file (`/proc/self/exe`). So adding the distance to the
//!   start gives the address of the same function again, of the type `fn(&mut C)` it was made from.
//! - [`trampoline`] makes a value of the type `F` from nothing. It is reachable only through `Remote::new`, whose caller had a value of that type; and `F` is
//!   `Copy` and of size zero, so one more value of it has no content that could be wrong and takes nothing from the first.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::NonNull;

use serde::{Deserialize, Serialize};

// Defined by the linker: the first byte of the executable as loaded, and the first one after its code.
unsafe extern "C" {
    static __executable_start: u8;
    static etext: u8;
}

/// What a process does with a function `F` when called: the part that knows the types of its argument and its result.
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
    /// The entry `E` of a function. A function of a type with a size (a closure that captures, a function pointer) does not compile.
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
                "a function that another process runs must capture nothing: pass what it needs as its argument"
            );
        }
        let address = trampoline::<F, E, C> as fn(&mut C) as usize;
        let start = (&raw const __executable_start).addr();
        let end = (&raw const etext).addr();
        if (start..end).contains(&address) {
            Ok(Self { distance: (address - start) as u64, call: PhantomData })
        } else {
            Err(NotInExecutable)
        }
    }

    /// Calls the function.
    pub(crate) fn call(self, call: &mut C) {
        let start = &raw const __executable_start;
        let address = start.wrapping_add(self.distance as usize);
        // SAFETY: by the module's first invariant this is the address of a `fn(&mut C)` in this process, and it is not null.
        let function = unsafe { std::mem::transmute::<*const u8, fn(&mut C)>(address) };
        function(call);
    }
}

/// Makes the function from nothing, and calls its entry.
fn trampoline<F: Copy + 'static, E: Entry<F, C>, C>(call: &mut C) {
    const { assert!(size_of::<F>() == 0) }
    // SAFETY: a read of zero bytes from a well-aligned pointer that is not null is valid; a value of `F` exists by the module's second invariant.
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
        let bytes = postcard::to_stdvec(&remote).unwrap();
        let again: Remote<u32> = postcard::from_bytes(&bytes).unwrap();
        let mut n = 41;
        again.call(&mut n);
        assert_eq!(n, 42);
    }
}
