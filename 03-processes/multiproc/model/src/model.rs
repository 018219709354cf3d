//! What one thread of the test runs: an execution of loom, with a mutant or without.
//!
//! All threads of an execution are coroutines on one thread of the system, so what belongs to the
//! execution is kept in a thread-local value.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use crate::mutant::{Change, Kind, Mutant, Operation, Site};

thread_local! {
    static MODEL: RefCell<Model> = RefCell::default();
}

/// A store that has yet to take effect, and its address.
type Late = (usize, Box<dyn FnOnce()>);

#[derive(Default)]
struct Model {
    scenario: &'static str,
    mutant: Option<Mutant>,
    /// Whether futexes have the operation that changes and wakes.
    has_wake_op: bool,
    sites: BTreeMap<Site, Operation>,
    /// How often the mutant's site was executed, in all executions.
    hits: u64,
    executions: u64,
    /// The addresses that the scenario uses, with what makes an atomic of loom for each.
    known: BTreeMap<usize, fn() -> Rc<dyn Any>>,
    /// Whether an address was used that is not known yet.
    is_incomplete: bool,
    /// Loom's atomics, by the address of the memory that they stand for.
    atomics: HashMap<usize, Rc<dyn Any>>,
    late: HashMap<loom::thread::ThreadId, Late>,
    sleepers: HashMap<usize, VecDeque<Sleeper>>,
}

struct Sleeper {
    thread: loom::thread::Thread,
    is_woken: Rc<Cell<bool>>,
}

fn with<T>(f: impl FnOnce(&mut Model) -> T) -> T {
    MODEL.with_borrow_mut(f)
}

/// Begins the exploration of the scenario of this name.
pub(crate) fn begin(scenario: &'static str, mutant: Option<Mutant>, has_wake_op: bool) {
    with(|model| {
        let mut known = std::mem::take(&mut model.known);
        if model.scenario != scenario {
            known.clear();
        }
        *model = Model { scenario, mutant, has_wake_op, known, ..Model::default() };
    });
}

/// Begins an execution: all memory is zero.
pub(crate) fn begin_execution() {
    let known = with(|model| {
        model.executions += 1;
        model.late.clear();
        model.sleepers.clear();
        model.known.clone()
    });
    // Loom wants to see them made before the threads that use them.
    let atomics = known.into_iter().map(|(address, new)| (address, new())).collect();
    with(|model| model.atomics = atomics);
    crate::sys::mmap::begin_execution();
}

/// Whether the exploration is to be begun again, since an address was used that was not known.
pub(crate) fn is_incomplete() -> bool {
    with(|model| std::mem::take(&mut model.is_incomplete))
}

/// Ends an exploration: the sites that were executed, how often the mutant's was, and how many
/// executions there were.
pub(crate) fn end() -> (BTreeMap<Site, Operation>, u64, u64) {
    with(|model| (std::mem::take(&mut model.sites), model.hits, model.executions))
}

/// The atomic that stands for the memory at `address`.
pub(crate) fn atomic<T: 'static>(address: usize, new: fn() -> Rc<dyn Any>) -> Rc<T> {
    let known = with(|model| model.atomics.get(&address).map(Rc::clone));
    let Some(object) = known else {
        with(|model| {
            model.known.insert(address, new);
            model.is_incomplete = true;
        });
        panic!("the address {address:#x} was not known");
    };
    object.downcast().expect("memory is used as one type")
}

/// Notes an operation, and has what the mutant changes in it.
#[track_caller]
pub(crate) fn visit(operation: Operation) -> Option<Change> {
    let location = Location::caller();
    let Some((_, file)) = location.file().rsplit_once("../src/") else {
        return None; // of the model itself, or of a scenario
    };
    let kind = match operation {
        Operation::Fence(_) | Operation::LightFence | Operation::Barrier => Kind::Fence,
        Operation::Wake => Kind::Wake,
        _ => Kind::Access,
    };
    let site = Site { file, line: location.line(), column: location.column(), kind };
    with(|model| match model.mutant {
        None => {
            let known = model.sites.insert(site, operation);
            assert!(known.is_none_or(|known| known == operation), "two operations at {site:?}");
            None
        }
        Some(mutant) => (mutant.site == site).then(|| {
            model.hits += 1;
            mutant.change
        }),
    })
}

/// The ordering that a mutant leaves of `ordering`.
pub(crate) fn ordering(ordering: Ordering, change: Option<Change>) -> Ordering {
    match change {
        Some(Change::Weaker(weaker)) => weaker,
        _ => ordering,
    }
}

/// Does a store, or puts it off until the thread's next write.
pub(crate) fn store(address: usize, change: Option<Change>, store: impl FnOnce() + 'static) {
    if change == Some(Change::Late) && !is_any_late() {
        let thread = loom::thread::current().id();
        with(|model| model.late.insert(thread, (address, Box::new(store))));
    } else {
        store();
        flush();
    }
}

fn is_any_late() -> bool {
    with(|model| !model.late.is_empty())
        && with(|model| model.late.contains_key(&loom::thread::current().id()))
}

/// Does the store that this thread has put off.
pub(crate) fn flush() {
    if with(|model| model.late.is_empty()) {
        return;
    }
    let thread = loom::thread::current().id();
    let late = with(|model| model.late.remove(&thread));
    if let Some((_, store)) = late {
        store();
    }
}

/// Does the store that this thread has put off if it is one to `address`, which it now reads.
pub(crate) fn flush_before_load(address: usize) {
    if with(|model| model.late.values().any(|(late, _)| *late == address)) {
        flush();
    }
}

/// Whether futexes have the operation that changes and wakes.
pub(crate) fn has_wake_op() -> bool {
    with(|model| model.has_wake_op)
}

/// Sleeps on the word at `address`.
pub(crate) fn sleep(address: usize) {
    let is_woken = Rc::new(Cell::new(false));
    let sleeper = Sleeper { thread: loom::thread::current(), is_woken: Rc::clone(&is_woken) };
    with(|model| model.sleepers.entry(address).or_default().push_back(sleeper));
    while !is_woken.get() {
        loom::thread::park();
    }
}

/// Wakes up to `count` that sleep on the word at `address`.
pub(crate) fn wake(address: usize, count: i32) {
    for _ in 0..count {
        let sleeper = with(|model| model.sleepers.get_mut(&address).and_then(VecDeque::pop_front));
        let Some(sleeper) = sleeper else { return };
        sleeper.is_woken.set(true);
        sleeper.thread.unpark();
    }
}
