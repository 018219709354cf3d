//! Technique 2: a coroutine with a stack of its own, by the crate corosensei. It is an ordinary
//! function, and its whole stack is kept while it is suspended.

use crate::step::step;
use corosensei::{Coroutine, Yielder};
use std::iter;

// ANCHOR: stack
pub fn fibonacci() -> impl Iterator<Item = u64> {
    let mut coroutine = Coroutine::new(|yielder: &Yielder<(), u64>, ()| {
        step(1);
        let (mut a, mut b) = (0, 1);
        for _ in 0..3 {
            step(2);
            yielder.suspend(a); // could also stand in a function that this one calls
            step(3);
            (a, b) = (b, a + b);
        }
        step(4);
    });
    iter::from_fn(move || if coroutine.done() { None } else { coroutine.resume(()).as_yield() })
}
// ANCHOR_END: stack
