//! 11.003.1 · 生成器：next · Resumed with nothing: `yield` has a value, and nobody sends one.
//!
//! Python: `res = yield 4`: with `next`, `res` is `None`, and only running it tells.
//! Rust: what a generator is resumed with is a type. Here it is `()`, so what the `await` gives is
//! `()`: there is nothing to forget to look at.
//!
//! Run: `cargo run --example 11_003_1_generator_steps`
//! Notes: `notes/en/04-coroutines.md#send` · `notes/zh-CN/04-coroutines.md#send`
//!
//! ```output
//! starting ...
//! main got 4
//! res: ()
//! main got 4
//! res: ()
//! main got 4
//! ```

use coroutines::{Generator, Step};
use std::pin::pin;

fn main() {
    util::case!();
    // ANCHOR: next
    let mut four = pin!(Generator::new(|co| async move {
        println!("starting ...");
        loop {
            let res: () = co.yield_(4).await;
            println!("res: {res:?}");
        }
    }));

    for _ in 0..3 {
        // The code behind the `yield` runs at the next resume, not before: so there are three
        // values, and two lines of "res".
        let step = four.as_mut().resume(()).expect("it never returns");
        let Step::<_, ()>::Yielded(value) = step else { unreachable!("its loop has no end") };
        println!("main got {value}");
        assert_eq!(value, 4);
    }
    // ANCHOR_END: next
}
