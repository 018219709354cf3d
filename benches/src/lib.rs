//! What the benchmarks of this package found, and what follows from it.
//!
//! - [`sample`]: the same thing measured several times; [`files`]: where samples are kept.
//! - [`results`]: all samples, as criterion and the other measuring programs of this package left
//!   them in the target folder.
//! - [`rounds`]: how they are measured for the report: again and again, with an eye on what else
//!   the machine does.
//! - [`questions`]: what is asked, in which ways it was answered.
//! - [`claims`]: what the notes claim, how it is measured, and by which rule it holds or does not.
//! - [`python`]: the same work by Python.
//! - [`curves`]: the same over 1, 10, 100, … units, to where it breaks.
//! - [`advice`]: which way to use when; it follows from the figures.
//! - [`machine`]: where it was measured.
//! - [`page`]: all of that as one page; [`figures`]: a few of them for the README.

pub mod advice;
pub mod chart;
pub mod claims;
pub mod curves;
pub mod figures;
pub mod files;
pub mod language;
pub mod machine;
pub mod page;
pub mod python;
pub mod questions;
pub mod results;
pub mod rounds;
pub mod sample;
