//! 003 · 有迭代方法而无迭代器 · Iterable without an iterator: `into_iter` has to give something with a `next`.
//!
//! Python: `__iter__` may return anything; `iter() returned non-iterator of type 'NoneType'` comes
//! when the loop is reached.
//! Rust: the type that `into_iter` gives is named, and must be an `Iterator`. What is printed here
//! is what the compiler says to `compile_fail/iterable_without_iterator.rs`; 005_my_list does it
//! right.
//!
//! Run: `cargo run --example 003_iterable_without_iterator`
//! Notes: `notes/en/04-coroutines.md#iterable` · `notes/zh-CN/04-coroutines.md#iterable`
//!
//! ```output
//! the compiler refuses this program:
//! error[E0277]: `()` is not an iterator
//! ...
//! ```

use std::path::Path;
use util::compiler;

fn main() -> util::Result<()> {
    util::case!();
    let wrong = concat!(env!("CARGO_MANIFEST_DIR"), "/compile_fail/iterable_without_iterator.rs");
    let message = compiler::refusal(Path::new(wrong), "E0277")?;
    print!("the compiler refuses this program:\n{message}");
    Ok(())
}
