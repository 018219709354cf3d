//! 11.003.2 · 生成器：for · The same by a loop: `for` sends nothing, and stops when it likes.
//!
//! Python: `for` over an endless generator needs a `break`.
//! Rust: the same; `take(3)` says it before the loop begins.
//!
//! Run: `cargo run --example 11_003_2_generator_for`
//! Notes: `notes/en/04-coroutines.md#send` · `notes/zh-CN/04-coroutines.md#send`
//!
//! ```output
//! starting ...
//! loop got 4
//! res: ()
//! loop got 4
//! res: ()
//! loop got 4
//! ```

use coroutines::Generator;
use std::pin::pin;

fn main() {
    util::case!();
    // ANCHOR: for
    let four = pin!(Generator::new(|co| async move {
        println!("starting ...");
        loop {
            let res = co.yield_(4).await;
            println!("res: {res:?}");
        }
    }));

    let mut sum = 0;
    for value in four.take(3) {
        println!("loop got {value}");
        sum += value;
    }
    // ANCHOR_END: for
    assert_eq!(sum, 12);
}
