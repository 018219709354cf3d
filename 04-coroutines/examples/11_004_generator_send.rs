//! 11.004 · 生成器：send · Resumed with a value: it goes in where the last one came out.
//!
//! Python: `g.send(7)` makes the `yield` that stands still give 7. The first one must be `next`:
//! there is no `yield` yet to receive anything.
//! Rust: the first value is the generator's argument, each later one is what the `await` gives. All
//! are of one type, which the compiler checks.
//!
//! Run: `cargo run --example 11_004_generator_send`
//! Notes: `notes/en/04-coroutines.md#send` · `notes/zh-CN/04-coroutines.md#send`
//!
//! ```output
//! starting with 1
//! sent 1, the average is 1
//! sent 7, the average is 4
//! sent 10, the average is 6
//! sent 2, the average is 5
//! ```

use coroutines::{Generator, Step};
use std::pin::pin;

fn main() {
    util::case!();
    // ANCHOR: send
    // The sum and the count are plain local variables: that is what a generator is for.
    let mut average = pin!(Generator::with_input(|co, first: f64| async move {
        println!("starting with {first}");
        let (mut sum, mut count) = (first, 1.0);
        loop {
            sum += co.yield_(sum / count).await;
            count += 1.0;
        }
    }));

    let mut last = 0.0;
    for value in [1.0, 7.0, 10.0, 2.0] {
        let step = average.as_mut().resume(value).expect("it never returns");
        let Step::<_, ()>::Yielded(now) = step else { unreachable!("its loop has no end") };
        println!("sent {value}, the average is {now}");
        last = now;
    }
    // ANCHOR_END: send
    assert_eq!(last, 5.0);
}
