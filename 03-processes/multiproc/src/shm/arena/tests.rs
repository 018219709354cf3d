//! Regions and their handles, within one process.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::shm::transit::export;

#[test]
fn a_process_with_an_arena_adopts_no_other() {
    let for_a_child = descriptor().unwrap().try_clone_to_owned().unwrap();
    assert_eq!(inherit(for_a_child).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_handle_to_a_range_nobody_holds_is_gone_and_never_another_range() {
    let region = Region::create(8192).unwrap();
    let id = region.id();
    region.map(0, 4096).unwrap().get::<AtomicU64>(0).store(7, Ordering::Relaxed);
    assert!(Region::open(id).unwrap().is_some());
    drop(region);
    let others: Vec<Region> = (0..40).map(|_| Region::create(8192).unwrap()).collect();
    assert!(Region::open(id).unwrap().is_none(), "gone, also when its slot is in use again");
    for other in &others {
        assert_eq!(
            other.map(0, 4096).unwrap().get::<AtomicU64>(0).load(Ordering::Relaxed),
            0,
            "new memory is zero"
        );
    }
}

#[test]
fn an_exported_range_waits_for_its_handle_to_arrive() {
    let region = Region::create(4096).unwrap();
    let (first, second) = (export(&region).unwrap(), export(&region).unwrap());
    drop(region);
    let opened = Region::open(first).unwrap().expect("kept while in flight");
    drop(opened);
    let opened = Region::open(second).unwrap().expect("kept for the second one");
    drop(opened);
    assert!(Region::open(first).unwrap().is_none(), "both have arrived and been dropped");
}

#[test]
fn a_second_decoding_of_the_same_bytes_ticks_off_no_other_handle() {
    let region = Region::create(4096).unwrap();
    let (first, second) = (export(&region).unwrap(), export(&region).unwrap());
    drop(region);
    for _ in 0..3 {
        assert!(Region::open(first).unwrap().is_some(), "kept for the second one");
    }
    // The word of the first one's token is another's by now.
    let others = Region::create(4096).unwrap();
    let ids: Vec<RegionId> = (0..2000).map(|_| export(&others).unwrap()).collect();
    drop(others);
    assert!(Region::open(first).unwrap().is_some());
    assert!(Region::open(second).unwrap().is_some());
    assert!(Region::open(second).unwrap().is_none(), "dropped after it arrived");
    for id in ids {
        assert!(Region::open(id).unwrap().is_some(), "each kept by its own token");
    }
}

#[test]
fn a_handle_that_is_taken_back_keeps_nothing() {
    let region = Region::create(4096).unwrap();
    let ids: Vec<RegionId> = (0..3).map(|_| region.issue().unwrap()).collect();
    ids.iter().for_each(|id| region.recall(*id));
    drop(region);
    assert!(Region::open(ids[0]).unwrap().is_none());
}

#[test]
fn a_descriptor_holds_a_range() {
    let region = Region::create(4096).unwrap();
    let id = region.id();
    let hold = Region::hold_by_descriptor(&[region.clone(), region]).unwrap();
    let copy = hold.try_clone().unwrap();
    drop(hold);
    assert!(Region::open(id).unwrap().is_some());
    drop(copy);
    // Held by nobody, it is freed by the next who holds it or looks for a slot.
    drop(Region::open(id).unwrap());
    assert!(Region::open(id).unwrap().is_none());
}

#[test]
fn numbers_that_name_no_range_are_gone() {
    let id = Region::create(4096).unwrap().id();
    assert!(Region::open(RegionId { arena: !id.arena, ..id }).unwrap().is_none());
    assert!(Region::open(RegionId { slot: u32::MAX, ..id }).unwrap().is_none());
    assert!(Region::open(RegionId { slot: 60_000, generation: 0, ..id }).unwrap().is_none());
}
