//! One side of a queue, putters or getters: its state, and how a change of the state takes effect
//! and wakes a sleeper.

use super::layout::Side;
use crate::shm::atomic::{Ordering, fence};
use crate::shm::{futex, spin};
use crate::sys::failpoint::failpoint;
use crate::sys::sync::Deadline;

/// In a side's word: a process of the other side sleeps until the word changes.
pub(super) const WAITING: u32 = 1;
/// In the putters' word: the queue is closed. In the getters' word: a putter that sleeps has to
/// check whether the queue is to be closed.
pub(super) const CLOSED: u32 = 2;
/// What a change of state adds to the word.
pub(super) const STEP: u32 = 4;

/// A side's state, and the word it was read with.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) word: u32,
    pub(super) position: u64,
    pub(super) count: u64,
}

impl Side {
    /// The state as the holder of this side's lock, who alone changes it, sees it.
    #[inline]
    pub(super) fn mine(&self) -> State {
        let word = self.word.load(Ordering::Acquire);
        let copy = (word / STEP) as usize & 1;
        let (position, count) =
            (self.position[copy].load(Ordering::Relaxed), self.count[copy].load(Ordering::Relaxed));
        State { word, position, count }
    }

    /// The state as anyone else sees it. The copy that counts is not written before the next change
    /// but one; if none came in between, the two halves belong together.
    #[inline]
    pub(super) fn theirs(&self) -> State {
        loop {
            let state = self.mine();
            fence(Ordering::Acquire);
            if self.word.load(Ordering::Relaxed) / STEP == state.word / STEP {
                return state;
            }
            spin::pause(1);
        }
    }

    /// Publishes a new state. The caller holds this side's lock and read `old` under it.
    #[inline]
    pub(super) fn commit(&self, old: State, position: u64, count: u64) {
        let copy = (old.word / STEP) as usize & 1 ^ 1;
        // A process that reads this copy's new value also sees the earlier change of the word that
        // made this copy invalid.
        fence(Ordering::Release);
        failpoint("commit: before the position");
        self.position[copy].store(position, Ordering::Relaxed);
        failpoint("commit: between position and count");
        self.count[copy].store(count, Ordering::Relaxed);
        failpoint("commit: before it takes effect");
        let mut word = self.word.load(Ordering::Relaxed);
        // Only this process changes the number; others may set a bit meanwhile, once each.
        while word & WAITING == 0 {
            match self.word.compare_exchange_weak(
                word,
                word.wrapping_add(STEP),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return failpoint("commit: done, nobody asleep"),
                Err(now) => word = now,
            }
        }
        futex::add_and_wake(&self.word, STEP - WAITING, 1);
        failpoint("commit: done, woken");
    }

    /// Sleeps until this side's state is no longer the one of `seen`, or `give_up` holds, or the
    /// deadline. The caller holds the other side's lock, so there is one sleeper at the most.
    /// Before it sleeps it looks for a while whether there have been `worth` changes, or at the end
    /// of that one; if there was none, it does `before_sleep`.
    pub(super) fn wait_for_change(
        &self,
        seen: State,
        worth: u32,
        deadline: Deadline,
        give_up: impl Fn(u32) -> bool,
        before_sleep: impl FnOnce(),
    ) {
        let changes = |word: u32| word.wrapping_sub(seen.word & !(STEP - 1)) / STEP;
        let changed = |word: u32, worth| changes(word) >= worth || give_up(word);
        let look = || changed(self.word.load(Ordering::Relaxed), worth);
        if spin::spin_until(spin::spins(), worth.max(spin::SOON), look) {
            return;
        }
        before_sleep();
        let word = self.word.fetch_or(WAITING, Ordering::SeqCst) | WAITING;
        failpoint("wait: announced");
        // The bit stays set if this process is killed or gives up: it costs the next change a
        // system call, no more.
        if !changed(word, 1) {
            futex::wait(&self.word, word, deadline);
            failpoint("wait: woken");
        }
    }
}
