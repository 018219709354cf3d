//! What several cases and benchmarks share: [keeping a program on few cores](cores), [recording
//! when a thread really ran](slices), [taking turns](switches), and [advice] that follows from
//! figures.

pub mod advice;
pub mod cores;
pub mod slices;
pub mod switches;

/// How this program was built, as a line for its output: figures of a build without optimization
/// mislead.
///
/// ```
/// println!("build: {}", multitask::build());
/// ```
pub fn build() -> &'static str {
    if cfg!(debug_assertions) {
        "not optimized; for figures that count: cargo run --release --example …"
    } else {
        "optimized"
    }
}

/// So much work that it takes about as long in either build: `optimized` in an optimized one with
/// the usual tick of 100 ms, a sixteenth of it without optimization; and in proportion to the tick.
/// At least 1.
///
/// ```
/// let pieces = multitask::amount(1000);
/// assert!(pieces >= 1);
/// ```
pub fn amount(optimized: u32) -> u32 {
    let slower = if cfg!(debug_assertions) { 16.0 } else { 1.0 };
    let ticks_of_100_ms = util::tick::length().as_secs_f64() * 10.0;
    (f64::from(optimized) * ticks_of_100_ms / slower).max(1.0) as u32
}
