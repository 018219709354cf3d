//! In place of `shm/spin.rs`: nobody spins, but a look that must be repeated lets others run.

pub(crate) const SOON: u32 = 1;

pub(crate) fn spins() -> u32 {
    0
}

pub(crate) fn spin_until(_spins: u32, _pauses: u32, _ready: impl FnMut() -> bool) -> bool {
    false
}

pub(crate) fn pause(pauses: u32) {
    if pauses > 0 {
        loom::thread::yield_now();
    }
}
