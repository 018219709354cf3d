//! The queue of byte strings under [`Queue`](super::Queue): what happens in shared memory.
//!
//! # The protocol
//!
//! There are two *sides*, each with a robust lock of its own: putters share one, getters the other.
//! So one putter and one getter never wait for each other's lock, and between the holders of the
//! two locks the queue is a ring with a single writer and a single reader.
//!
//! Each side publishes a *state*: how many items it has passed, and the position where it goes on.
//! The state is kept twice; the side's `word` holds a sequence number whose parity says which copy
//! counts. A put writes the item behind the last one, then the new state into the copy that does
//! not count, and then takes effect by one atomic change of `word`. A get reads the item, and takes
//! effect the same way. Killed at any instruction before that change, a process has done nothing
//! that counts, and after it everything. The kernel hands its lock to the next, who has nothing to
//! repair.
//!
//! # Sleeping
//!
//! Only the holder of a side's lock waits for the other side (the rest wait for the lock), by
//! setting `WAITING` in the *other* side's word and sleeping on that word. The other side's next
//! change sees the bit in the very word it changes. It then makes the change by one system call
//! that adds to the word, clears the bit and wakes: so a process killed there has either changed
//! nothing or woken the sleeper too. A sleeper killed after it was woken held its side's lock, so
//! the kernel wakes the next, who looks first. No wake-up between the sides is lost, without a
//! single time-out. (For waiters of one side's lock see [`robust`](crate::shm::robust).)
//!
//! # Positions
//!
//! Items lie in *rings* of doubling size, ring `k` in the bytes `FIRST << k .. FIRST << (k + 1)` of
//! a sparse region; a position is an offset in that region, so it tells its ring. The queue lives in
//! the smallest ring; a putter that finds no room writes a marker and goes on in a larger one that
//! no getter can be in, and comes back when the queue is empty. Memory follows what is in the
//! queue: a large ring is given back when its last item is read.
//!
//! Source of the two locks: M. Michael, M. Scott, "Simple, Fast, and Practical Non-Blocking and
//! Blocking Concurrent Queue Algorithms" (1996). The rest is our own.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use crate::shm::arena::Region;
use crate::shm::futex;
use crate::shm::mapping::{Line, Mapping, shared_struct};
use crate::shm::robust::{Guard, RobustMutex};
use crate::sys::failpoint::failpoint;

/// In a side's word: a process of the other side sleeps until the word changes.
const WAITING: u32 = 1;
/// In the putters' word: the queue is closed. In the getters' word: a putter that sleeps shall look
/// up.
const CLOSED: u32 = 2;
/// What a change of state adds to the word.
const STEP: u32 = 4;

/// The size of the smallest ring, and where it begins.
const FIRST: u64 = 64 << 10;
const RINGS: usize = 20;
const RANGE_LEN: u64 = FIRST << RINGS;
const CONTROL_LEN: usize = 4096;
/// Rings up to this one (16 MiB) keep their memory when the queue leaves them. In tests only the
/// first two do.
const KEPT: usize = if cfg!(test) { 1 } else { 8 };
/// How far ahead of an item, in bytes, the cache lines to write next are asked for.
const AHEAD: usize = 256;
/// A getter that found fewer items than this when it last looked is close behind the putters; it
/// gives them so many pauses' lead.
const CLOSE: u32 = 32;
const LEAD: u32 = 64;
/// A putter that waits for room looks for a quarter of the capacity, but not for more than this.
const ROOM: u64 = 256;
/// An item begins with its length, a marker is a word too.
const PREFIX: u64 = 8;
/// Set in a marker, whose other bits are the ring where the queue goes on.
const MARKER: u64 = 1 << 63;
/// The longest item: alone in the largest ring, with its prefix and room for a marker.
pub(super) const MAX_LEN: u64 = (size(RINGS - 1)) - 2 * PREFIX;

shared_struct! {
    struct Control {
        settings: Line<Settings>,
        put: Line<Side>,
        get: Line<Side>,
        put_lock: Line<RobustMutex>,
        get_lock: Line<RobustMutex>,
    }
}

shared_struct! {
    /// Written once, or once and at close.
    struct Settings {
        /// Zero is unbounded.
        capacity: AtomicU64,
        max_len: AtomicU64,
        /// Somebody wants the queue closed; the next to hold the putters' lock does it.
        closing: AtomicU32,
        unused: AtomicU32,
    }
}

shared_struct! {
    struct Side {
        /// Sequence number (from bit 2), `CLOSED`, `WAITING`.
        word: AtomicU32,
        /// How many items the getters found when they last looked. A hint.
        found: AtomicU32,
        /// The state, twice: which counts is the sequence number's parity.
        position: [AtomicU64; 2],
        count: [AtomicU64; 2],
        /// The other side's state as this side's lock holders last saw it: never ahead of it.
        seen_position: AtomicU64,
        seen_count: AtomicU64,
    }
}

/// A side's state, and the word it was read with.
#[derive(Debug, Clone, Copy)]
struct State {
    word: u32,
    position: u64,
    count: u64,
}

impl Side {
    /// The state as the holder of this side's lock, who alone changes it, sees it.
    #[inline]
    fn mine(&self) -> State {
        let word = self.word.load(Ordering::Acquire);
        let copy = (word / STEP) as usize & 1;
        let (position, count) =
            (self.position[copy].load(Ordering::Relaxed), self.count[copy].load(Ordering::Relaxed));
        State { word, position, count }
    }

    /// The state as anyone else sees it. The copy that counts is not written before the next change
    /// but one; if none came in between, the two halves belong together.
    #[inline]
    fn theirs(&self) -> State {
        loop {
            let state = self.mine();
            fence(Ordering::Acquire);
            if self.word.load(Ordering::Relaxed) / STEP == state.word / STEP {
                return state;
            }
            std::hint::spin_loop();
        }
    }

    /// Publishes a new state. The caller holds this side's lock and read `old` under it.
    #[inline]
    fn commit(&self, old: State, position: u64, count: u64) {
        let copy = (old.word / STEP) as usize & 1 ^ 1;
        // Whoever reads this copy's new value also sees the word that made the copy the one not to
        // read.
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
        futex::add_and_wake(&self.word, STEP - WAITING);
        failpoint("commit: done, woken");
    }

    /// Sleeps until this side's state is no longer the one of `seen`, or `give_up` holds, or the
    /// deadline. The caller holds the other side's lock, so there is one sleeper at the most.
    /// Before it sleeps it looks for a while whether there have been `worth` changes, or at the end
    /// of that one; if there was none, it does `before_sleep`.
    fn wait_for_change(
        &self,
        seen: State,
        worth: u32,
        deadline: Option<Instant>,
        give_up: impl Fn(u32) -> bool,
        before_sleep: impl FnOnce(),
    ) {
        let changes = |word: u32| word.wrapping_sub(seen.word & !(STEP - 1)) / STEP;
        let changed = |word: u32, worth| changes(word) >= worth || give_up(word);
        let look = || changed(self.word.load(Ordering::Relaxed), worth);
        if futex::spin_until(futex::spins(), worth.max(futex::SOON), look) {
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

/// Why bytes could not be put.
#[derive(Debug)]
pub(super) enum PutFailure {
    Full,
    Closed,
    System(io::Error),
}

/// Why no bytes could be got.
#[derive(Debug)]
pub(super) enum GetFailure {
    Empty,
    Closed,
    System(io::Error),
}

/// How long to wait for the other side.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    Not,
    Until(Option<Instant>),
}

/// One process's view of a queue of byte strings.
#[derive(Debug)]
pub(super) struct ByteQueue {
    region: Region,
    control: Mapping,
    rings: [OnceLock<Mapping>; RINGS],
}

/// Where ring `ring` begins; also how long it is.
const fn size(ring: usize) -> u64 {
    FIRST << ring
}

/// The ring a position lies in.
#[inline]
fn ring_of(position: u64) -> usize {
    (position / FIRST).ilog2() as usize
}

/// The position `by` bytes further on in the same ring.
#[inline]
fn advance(position: u64, by: u64) -> u64 {
    let size = size(ring_of(position));
    size + (position - size + by) % size
}

/// What an item takes up.
#[inline]
fn footprint(len: usize) -> u64 {
    PREFIX + (len as u64).next_multiple_of(8)
}

impl ByteQueue {
    /// A new queue for at most `capacity` items (zero: any number), each of at most `max_len`
    /// bytes.
    pub(super) fn create(capacity: u64, max_len: u64) -> io::Result<ByteQueue> {
        let queue = ByteQueue::at(Region::create_split(RANGE_LEN)?)?;
        let control = queue.control();
        control.put_lock.initialize()?;
        control.get_lock.initialize()?;
        control.settings.capacity.store(capacity, Ordering::Relaxed);
        control.settings.max_len.store(max_len.min(MAX_LEN), Ordering::Relaxed);
        for side in [&*control.put, &*control.get] {
            side.position[0].store(size(0), Ordering::Relaxed);
            side.seen_position.store(size(0), Ordering::Relaxed);
        }
        // Whoever comes to know the region's numbers got them by some message, after this.
        fence(Ordering::Release);
        Ok(queue)
    }

    /// The queue in `region`.
    pub(super) fn at(region: Region) -> io::Result<ByteQueue> {
        let control = region.map(0, CONTROL_LEN)?;
        Ok(ByteQueue { region, control, rings: Default::default() })
    }

    pub(super) fn region(&self) -> &Region {
        &self.region
    }

    #[inline]
    fn control(&self) -> &Control {
        self.control.get(0)
    }

    /// Zero is unbounded.
    #[inline]
    pub(super) fn capacity(&self) -> u64 {
        self.control().settings.capacity.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn max_len(&self) -> u64 {
        self.control().settings.max_len.load(Ordering::Relaxed)
    }

    pub(super) fn len(&self) -> u64 {
        // In this order the difference is never negative.
        let got = self.control().get.theirs().count;
        let len = self.control().put.theirs().count - got;
        // Gets between the two looks make room for puts: then it is more than there ever were at
        // once.
        if self.capacity() == 0 { len } else { len.min(self.capacity()) }
    }

    /// The bytes of memory it takes.
    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.region.used().unwrap()
    }

    /// How many items were ever put, and got.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.control().put.theirs().count, self.control().get.theirs().count)
    }

    /// Whether a putter has announced that it goes to sleep, and no item has been got since.
    #[cfg(test)]
    pub(super) fn putter_is_waiting(&self) -> bool {
        self.control().get.word.load(Ordering::SeqCst) & WAITING != 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.capacity() != 0 && self.len() >= self.capacity()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.control().put.word.load(Ordering::Acquire) & CLOSED != 0
    }

    #[inline]
    fn ring(&self, ring: usize) -> io::Result<&Mapping> {
        if let Some(mapping) = self.rings[ring].get() {
            return Ok(mapping);
        }
        let mapping = self.region.map(size(ring), size(ring) as usize)?;
        Ok(self.rings[ring].get_or_init(|| mapping))
    }

    /// Puts an item of at most `max_len` bytes.
    pub(super) fn put(&self, bytes: &[u8], wait: Wait) -> Result<(), PutFailure> {
        let control = self.control();
        let closing = || control.settings.closing.load(Ordering::SeqCst) != 0;
        if self.is_closed() {
            return Err(PutFailure::Closed);
        }
        let Some(guard) = self.side_lock(&control.put_lock, wait, || {
            // A putter that sleeps for want of room holds the lock: then there is none.
            self.is_full() || control.get.word.load(Ordering::Relaxed) & WAITING != 0
        }) else {
            return Err(PutFailure::Full);
        };
        failpoint("put: locked");
        if !closing()
            && let Ok(()) = self.put_locked(bytes)?
        {
            drop(guard);
            failpoint("put: unlocked");
            return Ok(());
        }
        self.put_patiently(guard, bytes, wait)
    }

    /// Puts under the putters' lock as soon as there is room.
    #[cold]
    fn put_patiently(&self, guard: Guard<'_>, bytes: &[u8], wait: Wait) -> Result<(), PutFailure> {
        let control = self.control();
        let closing = || control.settings.closing.load(Ordering::SeqCst) != 0;
        // As long as much is in the queue, nobody misses an item: so look seldom, and then put
        // many.
        let worth = (self.capacity() / 4).clamp(1, ROOM) as u32;
        loop {
            if closing() {
                self.finish_closing(&guard);
                return Err(PutFailure::Closed);
            }
            let full = match self.put_locked(bytes)? {
                Ok(()) => {
                    drop(guard);
                    failpoint("put: unlocked");
                    return Ok(());
                }
                Err(full) => full,
            };
            match wait {
                Wait::Until(deadline) if !futex::is_past(deadline) => {
                    control.get.wait_for_change(full, worth, deadline, |_| closing(), || {});
                }
                _ => return Err(PutFailure::Full),
            }
        }
    }

    /// A side's lock; `None` if it cannot be had by the deadline or, without waiting, while
    /// `hopeless` says there is no use in it.
    #[inline]
    fn side_lock<'a>(
        &self,
        lock: &'a RobustMutex,
        wait: Wait,
        hopeless: impl Fn() -> bool,
    ) -> Option<Guard<'a>> {
        match wait {
            Wait::Until(deadline) => lock.lock_until(deadline),
            Wait::Not => loop {
                if let Some(guard) = lock.try_lock() {
                    return Some(guard);
                }
                if hopeless() {
                    return None;
                }
                // Its holder is at work, for as long as it takes to copy an item.
                if let Some(guard) =
                    lock.lock_until(Some(Instant::now() + Duration::from_millis(1)))
                {
                    return Some(guard);
                }
            },
        }
    }

    /// Puts under the putters' lock; when there is no room, the getters' state that says so.
    #[inline]
    fn put_locked(&self, bytes: &[u8]) -> Result<Result<(), State>, PutFailure> {
        let control = self.control();
        let side = &*control.put;
        let state = side.mine();
        let capacity = self.capacity();
        let needed = footprint(bytes.len());

        let mut getters = State {
            word: 0,
            position: side.seen_position.load(Ordering::Relaxed),
            count: side.seen_count.load(Ordering::Relaxed),
        };
        // In a large ring always look, to leave it as soon as it is empty.
        let mut fresh = ring_of(state.position) > KEPT;
        if fresh {
            getters = self.look_at_getters(side);
        }
        let place = loop {
            let may_put = capacity == 0 || state.count - getters.count < capacity;
            if may_put && let Some(place) = place(state, getters, needed, fresh) {
                break place;
            }
            if fresh {
                return Ok(Err(getters));
            }
            getters = self.look_at_getters(side);
            fresh = true;
        };

        let ring = ring_of(place);
        let memory = self.ring(ring).map_err(PutFailure::System)?;
        let size = size(ring);
        let offset = (place - size) as usize;
        memory.get::<AtomicU64>(offset).store(bytes.len() as u64, Ordering::Relaxed);
        failpoint("put: length written");
        let at = (advance(place, PREFIX) - size) as usize;
        let until_end = size as usize - at;
        if bytes.len() <= until_end {
            memory.write(at, bytes);
        } else {
            let (first, second) = bytes.split_at(until_end);
            memory.write(at, first);
            failpoint("put: first piece written");
            memory.write(0, second);
        }
        failpoint("put: item written");
        // The getters have read there, a round ago: a put to come would wait for the lines.
        let next = offset + AHEAD;
        memory.will_write(next..next + (needed as usize).min(AHEAD));
        if ring != ring_of(state.position) {
            let old = ring_of(state.position);
            let memory = self.ring(old).map_err(PutFailure::System)?;
            let offset = (state.position - self::size(old)) as usize;
            memory.get::<AtomicU64>(offset).store(MARKER | ring as u64, Ordering::Relaxed);
            failpoint("put: marker written");
        }
        side.commit(state, advance(place, needed), state.count + 1);
        Ok(Ok(()))
    }

    /// The getters' state, kept for the next putter.
    fn look_at_getters(&self, side: &Side) -> State {
        let getters = self.control().get.theirs();
        // Either may stay behind the other if this process is killed here: each is a bound of its
        // own.
        side.seen_position.store(getters.position, Ordering::Relaxed);
        failpoint("put: between seen position and count");
        side.seen_count.store(getters.count, Ordering::Relaxed);
        failpoint("put: seen");
        getters
    }

    /// Gets the oldest item, appending it to `to`.
    pub(super) fn get(&self, to: &mut Vec<u8>, wait: Wait) -> Result<(), GetFailure> {
        let control = self.control();
        let Some(guard) = self.side_lock(&control.get_lock, wait, || self.len() == 0) else {
            return Err(if self.is_closed() && self.len() == 0 {
                GetFailure::Closed
            } else {
                GetFailure::Empty
            });
        };
        failpoint("get: locked");
        if let Ok(()) = self.get_locked(to, wait)? {
            drop(guard);
            failpoint("get: unlocked");
            return Ok(());
        }
        self.get_patiently(guard, to, wait)
    }

    /// Gets under the getters' lock as soon as there is an item.
    #[cold]
    fn get_patiently(
        &self,
        guard: Guard<'_>,
        to: &mut Vec<u8>,
        wait: Wait,
    ) -> Result<(), GetFailure> {
        loop {
            let putters = match self.get_locked(to, Wait::Not)? {
                Ok(()) => {
                    drop(guard);
                    failpoint("get: unlocked");
                    return Ok(());
                }
                Err(putters) => putters,
            };
            // The word that says "closed" also says that no item came before that.
            if putters.word & CLOSED != 0 {
                return Err(GetFailure::Closed);
            }
            match wait {
                Wait::Until(deadline) if !futex::is_past(deadline) => {
                    self.control().put.wait_for_change(
                        putters,
                        1,
                        deadline,
                        |word| word & CLOSED != 0,
                        || self.give_back_if_empty(),
                    );
                }
                _ => return Err(GetFailure::Empty),
            }
        }
    }

    /// Gets under the getters' lock; when there is nothing, the putters' state that says so.
    #[inline]
    fn get_locked(&self, to: &mut Vec<u8>, wait: Wait) -> Result<Result<(), State>, GetFailure> {
        let control = self.control();
        let side = &*control.get;
        let state = side.mine();
        if state.count == side.seen_count.load(Ordering::Relaxed) {
            // Items come, but few at each look, and every look keeps a putter waiting for the line:
            // let some more come.
            let is_close = (2..CLOSE).contains(&side.found.load(Ordering::Relaxed));
            if is_close && matches!(wait, Wait::Until(_)) {
                futex::pause(LEAD.min(futex::spins()));
            }
            let putters = control.put.theirs();
            side.found.store((putters.count - state.count) as u32, Ordering::Relaxed);
            if putters.count == state.count {
                return Ok(Err(putters));
            }
            side.seen_count.store(putters.count, Ordering::Relaxed);
            failpoint("get: seen");
        }

        let mut position = state.position;
        let (memory, size, len) = loop {
            let ring = ring_of(position);
            let memory = self.ring(ring).map_err(GetFailure::System)?;
            let offset = (position - size(ring)) as usize;
            let word = memory.get::<AtomicU64>(offset).load(Ordering::Relaxed);
            if word & MARKER == 0 {
                break (memory, size(ring), word as usize);
            }
            if ring > KEPT {
                self.give_back(ring, position);
                failpoint("get: memory given back");
            }
            failpoint("get: marker followed");
            position = size((word & !MARKER) as usize);
        };
        let at = (advance(position, PREFIX) - size) as usize;
        let until_end = size as usize - at;
        memory.read(at, len.min(until_end), to);
        if len > until_end {
            memory.read(0, len - until_end, to);
        }
        failpoint("get: item read");
        side.commit(state, advance(position, footprint(len)), state.count + 1);
        Ok(Ok(()))
    }

    /// Gives back the memory of a ring whose items are all read, but for the page of the marker at
    /// `marker`: no getter has left the ring yet as far as the state says, so no putter writes
    /// there, and if this one is killed the next must find the marker.
    fn give_back(&self, ring: usize, marker: u64) {
        const PAGE: u64 = 4096;
        let page = marker - marker % PAGE;
        // If it fails the memory stays in use until the queue comes by again.
        let _ = self.region.discard(size(ring), page - size(ring));
        let _ = self.region.discard(page + PAGE, size(ring + 1) - page - PAGE);
    }

    /// Gives back the memory of a large ring that is empty, unless a putter is at work. The caller
    /// holds the getters' lock.
    fn give_back_if_empty(&self) {
        let control = self.control();
        let mine = control.get.mine();
        let ring = ring_of(mine.position);
        if ring <= KEPT {
            return;
        }
        // With both locks held and no item left, nothing in the ring means anything.
        if let Some(_guard) = control.put_lock.try_lock()
            && control.put.mine().count == mine.count
        {
            let _ = self.region.discard(size(ring), size(ring));
        }
    }

    /// Closes the queue: what is in it can still be got.
    pub(super) fn close(&self) {
        let control = self.control();
        if self.is_closed() {
            return;
        }
        control.settings.closing.store(1, Ordering::SeqCst);
        failpoint("close: wanted");
        // A putter asleep holds the lock; it does the closing itself.
        futex::set_and_wake(&control.get.word, CLOSED);
        failpoint("close: putter woken");
        let guard = control.put_lock.lock();
        self.finish_closing(&guard);
        failpoint("close: done");
    }

    /// Makes "closed" true. Under the putters' lock, so that no item comes after it.
    fn finish_closing(&self, _: &Guard<'_>) {
        if !self.is_closed() {
            futex::set_and_wake(&self.control().put.word, CLOSED);
        }
    }
}

/// Where a putter whose state is `state` can write `needed` bytes, when the getters' state is (or
/// was) `getters`.
///
/// In the present ring, or at the beginning of one no getter can be in. Only if `may_move`: the
/// getters' state is fresh.
#[inline]
fn place(state: State, getters: State, needed: u64, may_move: bool) -> Option<u64> {
    let (here, theirs) = (ring_of(state.position), ring_of(getters.position));
    let size_here = size(here);
    // Getters behind in another ring come to this one at its beginning, where its first item lies.
    let oldest = if here == theirs { getters.position } else { size_here };
    let used = (state.position + size_here - oldest) % size_here;
    let alone = here == theirs && state.count == getters.count;
    if may_move && alone && here > KEPT && needed <= size(KEPT) / 32 {
        // Empty, this ring is large and the item is not: go back to a small one.
        return Some(size(KEPT));
    }
    // Always room for a marker, so `used` is never the whole ring.
    if needed + PREFIX <= size_here - used {
        return Some(state.position);
    }
    if !may_move {
        return None;
    }
    // The rings in use are the getters', this one, and between them only smaller ones than this.
    let larger = here.max(theirs) + 1..RINGS;
    let mut fitting = larger.filter(|ring| needed + PREFIX <= size(*ring));
    fitting.next().map(size)
}
