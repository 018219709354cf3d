//! When a thread really ran: its time slices.
//!
//! A thread cannot feel that the kernel takes its core away, but the kernel counts it. So a busy
//! thread looks at that count after each small piece of work. As long as it does not change, the
//! thread has been running on one core from the first look to the last: that is a [`Slice`], and it
//! is exact. Two slices on one core never overlap, not by a nanosecond; two that overlap ran on two
//! cores.

use std::time::Instant;
use util::measure::thread_switches;

/// A time in which a thread ran without a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// It ran then,
    pub from: Instant,
    /// and from then until now.
    pub to: Instant,
}

/// Records the slices of the thread that it was started on.
///
/// ```
/// use multitask::slices::{self, Recorder};
///
/// let Some(mut recorder) = Recorder::start() else { return }; // not counted here
/// for _ in 0..100 {
///     util::work::count_primes(0..1000); // a piece of work
///     recorder.look();
/// }
/// let slices = recorder.finish();
/// assert_eq!(slices::most_at_once(&slices), 1);
/// ```
#[derive(Debug)]
pub struct Recorder {
    done: Vec<Slice>,
    /// The slice under way, and the kernel's count while it lasts.
    open: Slice,
    switches: u64,
}

impl Recorder {
    /// The first slice of this thread begins. `None`, if this system does not count how often it
    /// switches away from a thread.
    pub fn start() -> Option<Recorder> {
        // Before the clock: a switch between the two ends the slice at the first look.
        let switches = thread_switches()?;
        let now = Instant::now();
        Some(Recorder { done: Vec::new(), open: Slice { from: now, to: now }, switches })
    }

    /// A piece of work is done: was this thread running all the while?
    pub fn look(&mut self) {
        let now = Instant::now();
        // After the clock: a switch between the two counts as before it.
        let switches = thread_switches().unwrap_or(self.switches);
        if switches == self.switches {
            self.open.to = now;
        } else {
            self.close();
            let now = Instant::now();
            self.open = Slice { from: now, to: now };
            self.switches = switches;
        }
    }

    /// How many slices there are so far.
    pub fn count(&self) -> usize {
        self.done.len() + usize::from(self.open.from < self.open.to)
    }

    /// All slices, the earliest first.
    pub fn finish(mut self) -> Vec<Slice> {
        self.close();
        self.done
    }

    fn close(&mut self) {
        if self.open.from < self.open.to {
            self.done.push(self.open);
        }
    }
}

/// How many of `slices` there were at one instant, at the most.
pub fn most_at_once<'a>(slices: impl IntoIterator<Item = &'a Slice>) -> usize {
    let mut edges: Vec<(Instant, bool)> =
        slices.into_iter().flat_map(|slice| [(slice.from, true), (slice.to, false)]).collect();
    edges.sort(); // at one instant, ends come before beginnings
    let (mut now, mut most) = (0, 0);
    for (_, begins) in edges {
        if begins {
            now += 1;
            most = most.max(now);
        } else {
            now -= 1;
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread, time::Duration};

    fn slice(from: u64, to: u64) -> Slice {
        static ORIGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        let at = |n| *ORIGIN + Duration::from_nanos(n);
        Slice { from: at(from), to: at(to) }
    }

    #[test]
    fn slices_that_only_touch_are_not_at_once() {
        assert_eq!(most_at_once(&[slice(0, 5), slice(5, 9), slice(12, 13)]), 1);
        assert_eq!(most_at_once(&[slice(0, 6), slice(5, 9), slice(12, 13)]), 2);
        assert_eq!(most_at_once(&[slice(0, 20), slice(5, 9), slice(8, 13)]), 3);
        assert_eq!(most_at_once(&[]), 0);
    }

    #[test]
    fn a_sleep_ends_a_slice() {
        let Some(mut recorder) = Recorder::start() else { return };
        let mut slept = Vec::new();
        for _ in 0..3 {
            let from = Instant::now();
            thread::sleep(Duration::from_millis(1));
            slept.push(Slice { from, to: from + Duration::from_millis(1) });
            recorder.look();
            util::work::count_primes(0..1000);
            recorder.look();
        }
        let slices = recorder.finish();
        assert!(slices.iter().all(|slice| slice.from < slice.to));
        assert_eq!(most_at_once(slices.iter().chain(&slept)), 1, "{slices:?} {slept:?}");
    }
}
