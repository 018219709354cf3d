//! What all chapters share. On Linux it depends on nothing but `std`, so that
//! a first `cargo run --example …` on a clean checkout is over in seconds.
//!
//! - [`tick`]: the unit of time the cases sleep in.
//! - [`timeline`]: who ran when, as a picture.
//! - [`work`]: the CPU-bound and the IO-bound work that cases and benchmarks share.
//! - [`measure`]: time, context switches and memory, and a table to print them in.
//! - [`heap`]: what a piece of work takes from the heap.
//! - [`held`]: what processes hold, in the kernel too.
//! - [`threads`]: which threads there are.
//! - [`case!`]: the first line of a case's `main`.
//! - [`needs_linux`]: what a case prints where it cannot be shown.
//! - [`args`]: the few flags a case takes.
//! - [`text`]: text from outside, made safe to print.
//! - [`Result`]: what `main` returns.
//! - [`output`]: a standard output that cannot be written ends the program.
//! - [`scratch`]: temporary files and directories.
//! - [`again()`] and [`printed_by`]: this program once more, as a child.
//! - [`compiler`]: what the compiler says to a program it refuses.

#[cfg(not(any(
    all(target_os = "linux", target_pointer_width = "64"),
    target_os = "macos",
    windows
)))]
compile_error!("these cases run on 64-bit Linux, macOS and Windows; build them there");

mod again;
pub mod args;
mod case;
pub mod compiler;
mod counted;
mod error;
pub mod heap;
pub mod held;
pub mod measure;
mod message;
pub mod output;
pub mod scratch;
mod sys;
pub mod text;
pub mod threads;
pub mod tick;
pub mod timeline;
pub mod work;

pub use again::{again, printed_by};
pub use case::needs_linux;
pub use error::{Error, Result};
pub use output::fail;

/// The name of this program's file, as it was started.
pub(crate) fn program() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&path).file_name().unwrap_or_default();
    text::visible(name).to_string()
}
