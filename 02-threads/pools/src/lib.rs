//! Chapter 2's cases that need `rayon` or `crossbeam` stand in `examples/` here. Cargo compiles all
//! that any example of a package needs, so in a package of their own they cost the first case
//! of the chapter nothing.
