//! 2_14_ordering under loom, which models what the memory model of C++ and Rust allows, not what
//! one kind of processor does: a load may return an older value, unless an ordering forbids it.

use crate::schedule::{Failure, failure, recorded, shown, step};
use loom::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{self, Acquire, Relaxed, Release},
        },
    },
    thread,
};

/// One thread publishes 42 by a flag; the other one reads it, if it sees the flag.
fn publish(store: Ordering, load: Ordering) {
    let shared = Arc::new((AtomicU32::new(0), AtomicBool::new(false)));
    let writer = Arc::clone(&shared);
    let writing = thread::spawn(move || {
        writer.0.store(42, Relaxed);
        step("writer", "data = 42, Relaxed");
        writer.1.store(true, store);
        step("writer", format_args!("ready = true, {store:?}"));
    });
    let ready = shared.1.load(load);
    step("reader", format_args!("ready: {ready}, {load:?}"));
    if ready {
        let data = shared.0.load(Relaxed);
        step("reader", format_args!("data: {data}, Relaxed"));
        assert_eq!(data, 42, "the flag without the data");
    }
    writing.join().unwrap();
}

/// Tries every execution that the memory model allows.
fn checked(store: Ordering, load: Ordering) -> Option<Failure> {
    failure(|| loom::model(recorded(move || publish(store, load))))
}

/// 2_14_ordering.
#[test]
fn release_and_acquire_pass() {
    assert_eq!(checked(Release, Acquire), None);
}

/// 2_14_ordering, got wrong: on either side, or on both.
#[test]
fn relaxed_is_found() {
    for (store, load) in [(Relaxed, Acquire), (Release, Relaxed)] {
        let failure = checked(store, load).expect("a wrong version passed");
        assert!(failure.said.contains("the flag without the data"), "{failure:?}");
    }
    let failure = checked(Relaxed, Relaxed).expect("a wrong version passed");
    assert!(failure.said.contains("the flag without the data"), "{failure:?}");
    shown("relaxed", &failure, "the reader sees the flag, and the data from before");
}
