//! What the three techniques call at each step.

/// Prints that this place in a generator was passed.
pub fn step(number: u32) {
    print!(" {number}");
}
