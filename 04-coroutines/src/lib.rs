//! What several cases, tests or benchmarks of chapter 4 share. The lessons stand in `examples/`.
//!
//! - [`generator`]: a stackless generator, made from an `async` block.
//! - [`switch`]: coroutines with stacks of their own that switch to each other.

pub mod generator;
pub mod switch;

pub use generator::{Generator, Step};
