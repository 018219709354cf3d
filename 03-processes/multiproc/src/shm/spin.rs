//! Spinning for a moment before sleeping: a wake-up through the kernel takes 10 to 50 µs, and the
//! awaited change often comes sooner.

use std::sync::OnceLock;

/// How long to look before sleeping, in pauses of the processor (some 15 to 40 ns each): nothing on
/// one core, where looking only keeps the other process away.
pub(crate) fn spins() -> u32 {
    static SPINS: OnceLock<u32> = OnceLock::new();
    *SPINS.get_or_init(|| match std::thread::available_parallelism() {
        Ok(cores) if cores.get() > 1 => 2000,
        _ => 0,
    })
}

/// The pauses before a look, where what is waited for may come at any moment.
pub(crate) const SOON: u32 = 32;

/// Looks for up to `spins` pauses whether `ready` holds; returns whether it came to hold.
///
/// The first look comes after `pauses` pauses, each further one after twice as many. Each look
/// takes the cache line away from the process that is to change it, so looking seldom lets that
/// process do several changes in a row.
#[inline]
pub(crate) fn spin_until(spins: u32, pauses: u32, mut ready: impl FnMut() -> bool) -> bool {
    let (mut left, mut next) = (spins, pauses);
    while left > 0 {
        pause(next.min(left));
        if ready() {
            return true;
        }
        left = left.saturating_sub(next);
        next = pauses * 2;
    }
    ready()
}

/// Lets so many pauses of the processor pass.
#[inline]
pub(crate) fn pause(pauses: u32) {
    (0..pauses).for_each(|_| std::hint::spin_loop());
}
