//! Technique 1: a state machine written by hand. Every place where it can stop is a state, and
//! every variable that lives across a stop is a field.

use crate::step::step;

// ANCHOR: by_hand
pub fn fibonacci() -> impl Iterator<Item = u64> {
    Fibonacci { at: At::Start, a: 0, b: 1, left: 3 }
}

struct Fibonacci {
    at: At,
    a: u64,
    b: u64,
    left: u32,
}

/// Where it stopped.
enum At {
    Start,
    Yield,
    End,
}

impl Iterator for Fibonacci {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        match self.at {
            At::Start => step(1),
            At::Yield => {
                step(3);
                (self.a, self.b) = (self.b, self.a + self.b);
                self.left -= 1;
            }
            At::End => return None,
        }
        if self.left == 0 {
            step(4);
            self.at = At::End;
            return None;
        }
        step(2);
        self.at = At::Yield;
        Some(self.a)
    }
}
// ANCHOR_END: by_hand
