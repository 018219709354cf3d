//! Locks that know who holds them and who waits for them, and so find a deadlock when it happens.
//!
//! The wait-for graph has an arrow from a thread to the lock it waits for, and from a lock to the
//! thread that holds it. A circle in it is a deadlock (E. G. Coffman, M. Elphick, A. Shoshani,
//! "System Deadlocks", Computing Surveys 3:2, 1971). A circle is closed by the last
//! thread that begins to wait, so looking once before each wait finds every one, at once.

use std::{
    collections::HashMap,
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, ThreadId},
};
use util::timeline::{self, Span};

/// One part of a circle: a thread that holds one lock and waits for the next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The thread's name.
    pub thread: String,
    /// The lock it holds, which the thread before it waits for.
    pub holds: String,
    /// The lock it waits for, which the next thread holds.
    pub waits_for: String,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} holds {} and waits for {}", self.thread, self.holds, self.waits_for)
    }
}

/// Who holds and who waits, for the locks made from it.
#[derive(Clone, Debug)]
pub struct Graph {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// By the number of the lock.
    locks: Vec<LockState>,
    waits: HashMap<ThreadId, usize>,
    circles: Sender<Vec<Link>>,
}

#[derive(Debug)]
struct LockState {
    name: String,
    holder: Option<(ThreadId, String)>,
}

impl Graph {
    /// A graph without locks, and where it reports the circles it finds. The receiver ends
    /// when the graph and all of its locks are gone.
    pub fn new() -> (Graph, Receiver<Vec<Link>>) {
        let (circles, found) = mpsc::channel();
        let state = State { locks: Vec::new(), waits: HashMap::new(), circles };
        (Graph { state: Arc::new(Mutex::new(state)) }, found)
    }

    /// A new lock around `value`, which reports call by `name`.
    pub fn lock<T>(&self, name: &str, value: T) -> Lock<T> {
        let mut state = self.state();
        state.locks.push(LockState { name: name.into(), holder: None });
        let number = state.locks.len() - 1;
        Lock { graph: self.clone(), number, name: name.into(), value: Mutex::new(value) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is only held for moments that cannot panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Follows the arrows from `me`: if they lead back to it, they are a circle.
    fn circle(&self, me: ThreadId) -> Option<Vec<Link>> {
        let mut links: Vec<Link> = Vec::new();
        let mut thread = me;
        loop {
            let lock = &self.locks[*self.waits.get(&thread)?];
            let (holder, name) = lock.holder.as_ref()?;
            let next = &self.locks[*self.waits.get(holder)?];
            links.push(Link {
                thread: name.clone(),
                holds: lock.name.clone(),
                waits_for: next.name.clone(),
            });
            thread = *holder;
            if thread == me {
                return Some(links);
            }
            if links.len() > self.waits.len() {
                return None; // a circle that `me` only waits for: it has been reported
            }
        }
    }
}

/// A mutex that is part of a [`Graph`]. It draws itself in the timeline: who waits, who holds.
///
/// ```
/// use threads::wait_for::Graph;
///
/// let (graph, circles) = Graph::new();
/// let lock = graph.lock("A", 1);
/// *lock.lock() += 1;
/// assert_eq!(*lock.lock(), 2);
/// assert!(circles.try_recv().is_err());
/// ```
#[derive(Debug)]
pub struct Lock<T> {
    graph: Graph,
    number: usize,
    name: String,
    value: Mutex<T>,
}

impl<T> Lock<T> {
    /// Waits until this thread has the lock. If that closes a circle, the graph reports it,
    /// and this thread waits all the same: for ever.
    pub fn lock(&self) -> Guard<'_, T> {
        let me = thread::current().id();
        {
            let mut state = self.graph.state();
            state.waits.insert(me, self.number);
            if let Some(circle) = state.circle(me) {
                let _ = state.circles.send(circle); // nobody may care to know
            }
        }
        let waiting = timeline::wait(&self.name);
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        drop(waiting);

        let mut state = self.graph.state();
        state.waits.remove(&me);
        let name = thread::current().name().map_or_else(|| format!("{me:?}"), String::from);
        state.locks[self.number].holder = Some((me, name));
        Guard { lock: self, value, _holding: timeline::hold(&self.name) }
    }
}

/// The right to use what the [`Lock`] owns, until it is dropped.
#[derive(Debug)]
pub struct Guard<'a, T> {
    lock: &'a Lock<T>,
    value: MutexGuard<'a, T>,
    _holding: Span,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // Struck out before the mutex opens (the fields are dropped after this), so that
        // nobody is ever taken for the holder of a lock that another one has got.
        self.lock.graph.state().locks[self.lock.number].holder = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    /// `count` threads, each with a lock of its own, that ask for their right neighbor's.
    fn philosophers(count: usize) -> Vec<Link> {
        let (graph, circles) = Graph::new();
        let locks: Arc<Vec<_>> =
            Arc::new((0..count).map(|i| graph.lock(&format!("L{i}"), ())).collect());
        let all_hold_one = Arc::new(Barrier::new(count));
        for i in 0..count {
            let (locks, all_hold_one) = (locks.clone(), all_hold_one.clone());
            let thread = thread::Builder::new().name(format!("T{i}"));
            let body = move || {
                let _own = locks[i].lock();
                all_hold_one.wait();
                locks[(i + 1) % locks.len()].lock();
            };
            thread.spawn(body).unwrap();
        }
        let mut circle = circles.recv().unwrap();
        circle.sort();
        circle
    }

    #[test]
    fn a_circle_of_any_size_is_found() {
        for count in [1, 2, 5] {
            let expected = (0..count).map(|i| Link {
                thread: format!("T{i}"),
                holds: format!("L{i}"),
                waits_for: format!("L{}", (i + 1) % count),
            });
            assert_eq!(philosophers(count), expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_waits_without_a_circle_is_not_accused() {
        let (graph, circles) = Graph::new();
        let lock = graph.lock("A", 0);
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| (0..1000).for_each(|_| *lock.lock() += 1));
            }
        });
        assert_eq!(*lock.lock(), 4000);
        drop((graph, lock));
        assert!(circles.recv().is_err());
    }

    #[test]
    fn a_panic_gives_the_lock_back() {
        let (graph, _circles) = Graph::new();
        let lock = graph.lock("A", 0);
        thread::scope(|s| {
            let panicked = s.spawn(|| {
                let _held = lock.lock();
                panic!("on purpose");
            });
            assert!(panicked.join().is_err());
        });
        assert_eq!(*lock.lock(), 0);
    }
}
