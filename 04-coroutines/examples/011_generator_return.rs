//! 011 · 生成器的返回值 · A generator's return value: it yields one type and returns another.
//!
//! Python: the return value travels in the exception `StopIteration`, which `for` swallows; one has
//! to call `next` by hand and catch it.
//! Rust: each `resume` gives either `Yielded` or `Returned`, and the compiler makes sure that both
//! are handled. To resume it after that is an error. A generator that has started must not move in
//! memory, since its variables may refer to each other: `pin!` makes sure of that.
//!
//! Run: `cargo run --example 011_generator_return`
//! Notes: `notes/en/04-coroutines.md#generators` · `notes/zh-CN/04-coroutines.md#generators`
//!
//! ```output
//! yielded 0
//! yielded 1
//! yielded 1
//! yielded 2
//! returned "4 numbers, their sum is 4"
//! resumed again: the generator has ended: there is nothing to resume
//! ```

use coroutines::{Generator, Step, generator::Ended};
use std::pin::pin;

fn main() {
    util::case!();
    // ANCHOR: return
    // Yields numbers, returns text. `pin!` keeps it in its place and returns a reference to it.
    let mut generator = pin!(Generator::new(|co| async move {
        let (mut a, mut b, mut sum) = (0_u64, 1, 0);
        for _ in 0..4 {
            sum += a;
            co.yield_(a).await;
            (a, b) = (b, a + b);
        }
        format!("4 numbers, their sum is {sum}")
    }));

    let mut yielded = Vec::new();
    let returned = loop {
        // `as_mut` lends that reference to `resume`, which would otherwise take it.
        match generator.as_mut().resume(()).expect("it has not returned yet") {
            Step::Yielded(number) => {
                println!("yielded {number}");
                yielded.push(number);
            }
            Step::Returned(text) => break text,
        }
    };
    // ANCHOR_END: return
    println!("returned {returned:?}");

    let again = generator.as_mut().resume(());
    println!("resumed again: {}", again.clone().unwrap_err());
    assert_eq!(again, Err(Ended));
    assert_eq!((yielded, returned.as_str()), (vec![0, 1, 1, 2], "4 numbers, their sum is 4"));
}
