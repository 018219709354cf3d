//! `imap` and `imap_unordered`: an iterator over results, and a thread that draws the arguments.
//!
//! The arguments are drawn on a thread of their own ([`draw`]), because an iterator may take any
//! time for the next argument, or wait for a result of an earlier one: no result waits for that.
//! The thread draws ahead of the results that were fetched, but not further than a *window*. The
//! public iterator is in [`results`].

mod draw;
mod results;

pub use results::Results;
