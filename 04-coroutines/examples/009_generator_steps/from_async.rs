//! Technique 3: the state machine that the compiler makes of an `async` block, with this chapter's
//! `Generator` around it, which resumes it once per `next`.

use crate::step::step;
use coroutines::Generator;

// ANCHOR: from_async
pub fn fibonacci() -> impl Iterator<Item = u64> {
    // Pinned, so that it does not move: its variables may refer to each other.
    Box::pin(Generator::new(|co| async move {
        step(1);
        let (mut a, mut b) = (0, 1);
        for _ in 0..3 {
            step(2);
            co.yield_(a).await; // in a `gen` block, this will be `yield a;`
            step(3);
            (a, b) = (b, a + b);
        }
        step(4);
    }))
}
// ANCHOR_END: from_async
