//! Scenarios: a few threads that use a protocol, and what must hold whatever the schedule is.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use crate::model;
use crate::mutant::{Mutant, Operation, Site};
use crate::shm::arena::Region;
use crate::shm::atomic::{AtomicU32, Ordering};
use crate::shm::event_count::word::EventWord;
use crate::shm::mapping::Mapping;
use crate::threads::spawn;
use crate::{pool, queue, shm};

/// A scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What happens in it.
    pub name: &'static str,
    run: fn(),
    /// How many times a running thread may be interrupted in one execution.
    preemptions: usize,
    /// Whether futexes have the operation that changes and wakes.
    has_wake_op: bool,
}

/// What became of an exploration.
#[derive(Debug)]
pub struct Outcome {
    /// The operations that were executed, if there was no mutant.
    pub sites: BTreeMap<Site, Operation>,
    /// How many times the mutant's site was executed.
    pub hits: u64,
    /// How many executions there were.
    pub executions: u64,
    /// What went wrong in the last one.
    pub failure: Option<String>,
}

const fn scenario(name: &'static str, preemptions: usize, run: fn()) -> Scenario {
    Scenario { name, run, preemptions, has_wake_op: true }
}

/// All scenarios.
pub const ALL: &[Scenario] = &[
    scenario("lock: two that take it", 3, exclude),
    scenario("event count: a waiter and a notifier", 4, || notify(1, 1)),
    scenario("event count: a waiter and two notifiers", 2, || notify(1, 2)),
    scenario("event count: two waiters and a notifier", 2, || notify(2, 1)),
    Scenario {
        has_wake_op: false,
        ..scenario("event count: without the system call that changes and wakes", 3, || {
            notify(1, 1);
        })
    },
    scenario("ring: more messages than it holds", 2, shm::ring::fill),
    scenario("ring: a message longer than it", 2, shm::ring::pass_in_pieces),
    scenario("ring: received by one that comes later", 3, shm::ring::come_later),
    scenario("ring: closed by the sender", 3, shm::ring::close_after_sending),
    scenario("ring: closed while the sender waits", 3, shm::ring::close_full),
    scenario("queue: a state read while it changes", 3, queue::side::read_while_changed),
    scenario("queue: one place", 2, queue::one_place),
    scenario("queue: any number of places", 2, queue::unbounded),
    scenario("queue: two getters", 1, queue::two_getters),
    scenario("queue: two putters", 2, queue::two_putters),
    scenario("queue: closed while a getter waits", 2, queue::close_empty),
    scenario("queue: closed while a putter waits", 2, queue::close_full),
    Scenario {
        has_wake_op: false,
        ..scenario("queue: closed, without the system call", 1, queue::close_empty)
    },
    scenario("claims: a batch claimed and reclaimed", 4, pool::claim_or_reclaim),
    scenario("claims: a batch offered and sent", 4, pool::offer_and_send),
    scenario("claims: a batch limited", 3, pool::limit),
    scenario("claims: a batch with a time limit limited", 3, pool::limit_timed),
    scenario("claims: the start of a task", 3, pool::started),
    scenario("claims: a log read while it is written", 2, pool::read_log),
    scenario("claims: the effects of tasks", 2, pool::see_effects),
];

impl Scenario {
    /// Runs the scenario in every interleaving, with the mutant if there is one, until one fails.
    #[must_use]
    pub fn explore(&self, mutant: Option<Mutant>) -> Outcome {
        loop {
            let outcome = self.explore_known(mutant);
            if !model::is_incomplete() {
                return outcome;
            }
        }
    }

    fn explore_known(&self, mutant: Option<Mutant>) -> Outcome {
        model::begin(self.name, mutant, self.has_wake_op);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(self.preemptions);
        builder.max_branches = 5000;
        let run = self.run;
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            builder.check(move || {
                model::begin_execution();
                run();
                model::flush();
            });
        }));
        let (sites, hits, executions) = model::end();
        let failure = result.err().map(|payload| {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
            text.unwrap_or("a panic without a text").to_owned()
        });
        Outcome { sites, hits, executions, failure }
    }
}

/// Each notifier changes a number of its own and notifies; each waiter sleeps until all numbers
/// have changed. The numbers order nothing: the event count alone must.
fn notify(waiters: usize, notifiers: usize) {
    const WORD: usize = 0;
    const NUMBERS: usize = 128;
    let memory = Arc::new(Region::create(4096).unwrap().map(0, 4096).unwrap());
    let number = |memory: &Mapping, at: usize| {
        memory.get::<AtomicU32>(NUMBERS + 4 * at).load(Ordering::Relaxed)
    };
    let threads: Vec<_> = (0..notifiers)
        .map(|notifier| {
            let memory = Arc::clone(&memory);
            spawn(move || {
                memory.get::<AtomicU32>(NUMBERS + 4 * notifier).store(1, Ordering::Relaxed);
                memory.get::<EventWord>(WORD).notify_all();
            })
        })
        .collect();
    let wait = move |memory: &Mapping| {
        let events = memory.get::<EventWord>(WORD);
        loop {
            let key = events.prepare();
            if (0..notifiers).all(|at| number(memory, at) == 1) {
                return;
            }
            events.wait(key, None);
        }
    };
    let others: Vec<_> = (1..waiters)
        .map(|_| {
            let memory = Arc::clone(&memory);
            spawn(move || wait(&memory))
        })
        .collect();
    wait(&memory);
    threads.into_iter().chain(others).for_each(|thread| thread.join().unwrap());
}

/// The model's own lock.
fn exclude() {
    use crate::shm::robust::RobustMutex;
    let memory = Arc::new(Region::create(4096).unwrap().map(0, 4096).unwrap());
    let add = |memory: &Mapping| {
        let _guard = memory.get::<RobustMutex>(0).lock();
        let number = memory.get::<AtomicU32>(128);
        number.store(number.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    };
    let threads = [0; 2].map(|_| {
        let memory = Arc::clone(&memory);
        spawn(move || add(&memory))
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(memory.get::<AtomicU32>(128).load(Ordering::Relaxed), 2);
}
