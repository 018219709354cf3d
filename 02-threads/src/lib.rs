//! What several cases, tests or benchmarks of chapter 2 share. The lessons stand in `examples/`.

pub mod banker;
pub mod chat;
pub mod wait_for;

pub use util::threads::{alive, id, parent};
