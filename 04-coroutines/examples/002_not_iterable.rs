//! 002 · 不可迭代 · Not iterable: a struct that holds a list is not a list.
//!
//! Python: a class without `__iter__` fails when the loop is reached: `TypeError: 'Classmate'
//! object is not iterable`.
//! Rust: the loop asks for `IntoIterator`, the struct has none, and there is no program. What is
//! printed here is what the compiler says to `compile_fail/not_iterable.rs`; 005_my_list does it
//! right.
//!
//! Run: `cargo run --example 002_not_iterable`
//! Notes: `notes/en/04-coroutines.md#iterable` · `notes/zh-CN/04-coroutines.md#iterable`
//!
//! ```output
//! the compiler refuses this program:
//! error[E0277]: `Classmates` is not an iterator
//! ...
//! ```

use std::path::Path;
use util::compiler;

fn main() -> util::Result<()> {
    util::case!();
    let wrong = concat!(env!("CARGO_MANIFEST_DIR"), "/compile_fail/not_iterable.rs");
    let message = compiler::refusal(Path::new(wrong), "E0277")?;
    print!("the compiler refuses this program:\n{message}");
    Ok(())
}
