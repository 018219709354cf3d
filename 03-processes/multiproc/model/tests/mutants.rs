//! Every scenario holds in every interleaving, and every mutant is found by one of them, but for
//! those in the table below, each with the reason why nothing finds it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::thread;

use multiproc_model::mutant::{Change, Kind, Mutant, Site};
use multiproc_model::scenarios::{ALL, Scenario};

/// A fence with a full effect stands right before or behind it, in the same thread.
const FENCED: &str = "a full fence next to it orders it already";
/// Only one thread can be there: it is before others know the memory, or under a lock.
const ALONE: &str = "nobody else reads it before a later release store, or its lock is released";
/// The word itself decides.
const ONE_WORD: &str = "the atomicity of one word decides, and nothing else depends on its order";
/// It is looked at again, with an ordering, before anything depends on it.
const HINT: &str = "a hint: what depends on it is read again, with an ordering";
/// The system call's change of the word is a release operation by the fence before it.
const RELEASE: &str = "the change of the word only has to be a release operation";
/// A read-modify-write of a word continues what the release operations on it before have begun.
const SEQUENCE: &str = "the change continues the release sequence of the commits before it";
/// The closer changes the word behind this load by a release operation, and a putter that goes to
/// sleep changes the same word by an acquire operation before it loads.
const CLOSING: &str = "the operations on the getters' word before it order it";
/// The reader finds 0 instead.
const STARTING: &str = "until it is seen, the task is taken for one that is just beginning";
/// A load that takes its value from a store which is executed later, as ARM permits. The ordering
/// is needed there, and loom does not have such executions.
const LATER_STORE: &str =
    "needed against a load that sees a later store, which loom does not model";

/// Mutants that nothing finds: the file, the line, what is changed, and why.
#[rustfmt::skip]
const SURVIVORS: &[(&str, &str, &[&str], &str)] = &[
    ("pool/claims/claim.rs", "self.claim_word(seq).store(seq, Ordering::Release);", &["Relaxed"], ONE_WORD),
    ("pool/claims/claim.rs", "self.words().received.store(seq, Ordering::Relaxed);", &["late"], ONE_WORD),
    ("pool/claims/claim.rs", ".compare_exchange(seq, seq | CLAIMED, Ordering::AcqRel, Ordering::Acquire)", &["Acquire", "Release", "relaxed failure"], ONE_WORD),
    ("pool/claims/claim.rs", "self.claim_word(seq).compare_exchange(seq, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()", &["Acquire", "Release", "relaxed failure"], ONE_WORD),
    ("pool/claims/claim.rs", "self.claim_word(seq).load(Ordering::Acquire) == seq", &["Relaxed"], ONE_WORD),
    ("pool/claims/limit.rs", "self.words().has_barriers.store(1, Ordering::Release);", &["Relaxed", "late"], ONE_WORD),
    ("pool/claims/limit.rs", "let has_barriers = words.has_barriers.load(Ordering::Acquire) != 0;", &["Relaxed"], ONE_WORD),
    ("pool/claims/limit.rs", "words.limit.store(confirmed | PROPOSED, Ordering::SeqCst);", &["Relaxed"], FENCED),
    ("pool/claims/limit.rs", "match words.limit.compare_exchange(", &["Acquire", "Release", "relaxed failure"], ONE_WORD),
    ("pool/claims/limit.rs", "let word = limit.load(Ordering::Acquire);", &["Relaxed"], ONE_WORD),
    ("pool/claims/limit.rs", "if limit.compare_exchange(word, confirmed, Ordering::AcqRel, Ordering::Acquire).is_ok()", &["Acquire", "Release", "relaxed failure"], ONE_WORD),
    ("pool/claims/log_writer.rs", "words.log_batch.store(seq, Ordering::Relaxed);", &["late"], ALONE),
    ("pool/claims/log_writer.rs", "words.log_first.store(first as u64, Ordering::Relaxed);", &["late"], ALONE),
    ("pool/claims/log_writer.rs", "words.log[self.len].store(head(RUN, 1), Ordering::Release);", &["Relaxed"], ALONE),
    ("pool/claims/start.rs", "words.started.store(seq << 32 | position as u64, Ordering::Release);", &["late"], STARTING),
    ("queue/bytes/get.rs", "side.found.store((putters.count - state.count) as u32, Ordering::Relaxed);", &["late"], ALONE),
    ("queue/bytes/get.rs", "side.seen_count.store(putters.count, Ordering::Relaxed);", &["late"], ALONE),
    ("queue/bytes/mod.rs", "control.settings.capacity.store(capacity, Ordering::Relaxed);", &["late"], ALONE),
    ("queue/bytes/mod.rs", "control.settings.max_len.store(max_len.min(MAX_LEN), Ordering::Relaxed);", &["late"], ALONE),
    ("queue/bytes/mod.rs", "side.position[0].store(size(0), Ordering::Relaxed);", &["late"], ALONE),
    ("queue/bytes/mod.rs", "side.seen_position.store(size(0), Ordering::Relaxed);", &["late"], ALONE),
    ("queue/bytes/mod.rs", "fence(Ordering::Release);", &["no fence"], ALONE),
    ("queue/bytes/mod.rs", "self.control().put.word.load(Ordering::Acquire) & CLOSED != 0", &["Relaxed"], HINT),
    ("queue/bytes/mod.rs", "control.settings.closing.store(1, Ordering::SeqCst);", &["Relaxed"], FENCED),
    ("queue/bytes/mod.rs", "futex::set_and_wake(&control.get.word, CLOSED, 1);", &["Acquire", "Release"], FENCED),
    ("queue/bytes/mod.rs", "futex::set_and_wake(&control.get.word, CLOSED, 1);", &["fence AcqRel"], RELEASE),
    ("queue/bytes/mod.rs", "futex::set_and_wake(&self.control().put.word, CLOSED, 1);", &["Acquire", "Release"], FENCED),
    ("queue/bytes/mod.rs", "futex::set_and_wake(&self.control().put.word, CLOSED, 1);", &["fence AcqRel", "no fence"], SEQUENCE),
    ("queue/bytes/put.rs", "let closing = || control.settings.closing.load(Ordering::SeqCst) != 0;", &["Relaxed"], CLOSING),
    ("queue/bytes/put.rs", "side.seen_position.store(getters.position, Ordering::Relaxed);", &["late"], ALONE),
    ("queue/bytes/put.rs", "side.seen_count.store(getters.count, Ordering::Relaxed);", &["late"], ALONE),
    ("queue/bytes/put.rs", "memory.get::<AtomicU64>(offset).store(bytes.len() as u64, Ordering::Relaxed);", &["late"], ALONE),
    ("queue/bytes/side.rs", "self.position[copy].store(position, Ordering::Relaxed);", &["late"], ALONE),
    ("queue/bytes/side.rs", "match self.word.compare_exchange_weak(", &["Release"], RELEASE),
    ("queue/bytes/side.rs", "futex::add_and_wake(&self.word, STEP - WAITING, 1);", &["Acquire", "Release"], FENCED),
    ("queue/bytes/side.rs", "futex::add_and_wake(&self.word, STEP - WAITING, 1);", &["fence AcqRel"], RELEASE),
    ("queue/bytes/side.rs", "let word = self.word.fetch_or(WAITING, Ordering::SeqCst) | WAITING;", &["Acquire"], ONE_WORD),
    ("shm/event_count/word.rs", "let seen = self.word.fetch_or(1, Ordering::SeqCst) | 1;", &["Acquire", "Release"], FENCED),
    ("shm/event_count/word.rs", "futex::add_and_wake(&self.word, 1, i32::MAX);", &["Acquire", "Release", "fence AcqRel", "no fence"], FENCED),
    ("shm/ring/ends.rs", "self.header().closed.store(1, Ordering::Release);", &["Relaxed"], FENCED),
    ("shm/ring/receiver.rs", "let head = header.head.load(Ordering::Acquire);", &["Relaxed"], ALONE),
    ("shm/ring/receiver.rs", "self.ends.header().tail.load(Ordering::Acquire) != self.head", &["Relaxed"], HINT),
    ("shm/ring/receiver.rs", "self.ends.header().head.store(self.head, Ordering::Release);", &["Relaxed"], LATER_STORE),
    ("shm/ring/sender.rs", "let tail = header.tail.load(Ordering::Acquire);", &["Relaxed"], ALONE),
    ("shm/ring/sender.rs", "let head_seen = header.head.load(Ordering::Acquire);", &["Relaxed"], LATER_STORE),
    ("shm/ring/sender.rs", "self.head_seen = self.ends.header().head.load(Ordering::Acquire);", &["Relaxed"], LATER_STORE),
    ("shm/ring/sender.rs", "self.ends.memory.get::<AtomicU64>(at).store(message.len() as u64, Ordering::Relaxed);", &["late"], ALONE),
];

/// Runs the jobs on as many threads as there are cores.
fn in_parallel<T: Sync, R: Send>(jobs: &[T], run: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = Mutex::new(0..jobs.len());
    let results = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(jobs.len()) {
            scope.spawn(|| {
                loop {
                    let Some(job) = next.lock().unwrap().next() else { return };
                    let result = run(&jobs[job]);
                    results.lock().unwrap().insert(job, result);
                }
            });
        }
    });
    results.into_inner().unwrap().into_values().collect()
}

/// A scenario that visits a site, and how many executions it has.
type Visit = (u64, &'static Scenario);

/// The line of a site.
fn line(site: Site) -> String {
    let path = format!("{}/../src/{}", env!("CARGO_MANIFEST_DIR"), site.file);
    let source = fs::read_to_string(path).unwrap();
    source.lines().nth(site.line as usize - 1).unwrap().trim().to_owned()
}

/// A change as the table names it.
fn name(mutant: &Mutant) -> String {
    match mutant.change {
        Change::Weaker(ordering) if mutant.site.kind == Kind::Fence => {
            format!("fence {ordering:?}")
        }
        Change::Without if mutant.site.kind == Kind::Fence => "no fence".to_owned(),
        Change::Without => "no wake-up".to_owned(),
        Change::Weaker(ordering) => format!("{ordering:?}"),
        Change::RelaxedFailure => "relaxed failure".to_owned(),
        Change::Late => "late".to_owned(),
    }
}

#[test]
fn every_scenario_holds_and_every_mutant_is_found() {
    // Panics are how scenarios fail. They are printed below.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let originals = in_parallel(ALL, |scenario| scenario.explore(None));
    let mut sites: BTreeMap<Site, (Vec<Mutant>, Vec<Visit>)> = BTreeMap::new();
    for (scenario, outcome) in ALL.iter().zip(&originals) {
        for (site, operation) in &outcome.sites {
            let (mutants, scenarios) = sites.entry(*site).or_default();
            let mutant = |change| Mutant { site: *site, change };
            *mutants = operation.changes().into_iter().map(mutant).collect();
            scenarios.push((outcome.executions, scenario));
        }
    }
    let mut jobs = Vec::new();
    let mut excused = vec![0; SURVIVORS.len()];
    for (mutants, mut scenarios) in sites.into_values() {
        scenarios.sort_by_key(|(executions, _)| *executions);
        for mutant in mutants {
            let (line, name) = (line(mutant.site), name(&mutant));
            let excuse = SURVIVORS.iter().position(|(file, of, changes, _)| {
                *file == mutant.site.file && *of == line && changes.contains(&name.as_str())
            });
            match excuse {
                Some(excuse) => excused[excuse] += 1,
                None => jobs.push((mutant, scenarios.clone())),
            }
        }
    }
    let found = in_parallel(&jobs, |(mutant, scenarios)| {
        scenarios.iter().find_map(|(_, scenario)| {
            let outcome = scenario.explore(Some(*mutant));
            Some((scenario.name, outcome.failure?))
        })
    });
    std::panic::set_hook(hook);

    for (scenario, outcome) in ALL.iter().zip(&originals) {
        println!("{}: {} executions", scenario.name, outcome.executions);
        assert_eq!(outcome.failure, None, "{}", scenario.name);
        assert!(outcome.executions > 1, "{} has no interleavings", scenario.name);
    }
    let mut survivors = String::new();
    for ((mutant, _), found) in jobs.iter().zip(&found) {
        match found {
            Some((scenario, failure)) => {
                let failure = failure.lines().next().unwrap_or_default();
                println!("{mutant}: found by \"{scenario}\": {failure}");
            }
            None => {
                let (line, name) = (line(mutant.site), name(mutant));
                survivors += &format!("    (\"{}\", {line:?}, &[{name:?}], ),\n", mutant.site.file);
            }
        }
    }
    assert!(survivors.is_empty(), "these mutants survive:\n{survivors}");
    let stale: Vec<_> =
        SURVIVORS.iter().zip(&excused).filter(|(row, count)| row.2.len() > **count).collect();
    assert!(stale.is_empty(), "no such mutants: {stale:#?}");
    assert!(jobs.len() >= 40, "only {} mutants", jobs.len());
}
