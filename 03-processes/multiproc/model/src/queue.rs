//! The queue of bytes, with its scenarios.

use std::sync::Arc;

use crate::threads::spawn;

#[path = "../../src/queue/bytes/mod.rs"]
pub(crate) mod bytes;
pub(crate) mod side;

use bytes::{ByteQueue, GetFailure, PutFailure, Wait};

fn new(capacity: u64) -> Arc<ByteQueue> {
    Arc::new(ByteQueue::create(capacity, 64).unwrap())
}

fn put(queue: &ByteQueue, number: u64) -> Result<(), PutFailure> {
    queue.put(&number.to_ne_bytes(), Wait::Until(None))
}

fn get(queue: &ByteQueue) -> Result<u64, GetFailure> {
    let mut item = Vec::new();
    queue.get(&mut item, Wait::Until(None))?;
    Ok(u64::from_ne_bytes(item.try_into().expect("an item of eight bytes")))
}

/// Puts two items, of which the queue holds `capacity` at a time, while they are got.
fn pass(capacity: u64) {
    let queue = new(capacity);
    let thread = spawn({
        let queue = Arc::clone(&queue);
        move || (1..=2).for_each(|number| put(&queue, number).unwrap())
    });
    assert_eq!(get(&queue).unwrap(), 1);
    assert_eq!(get(&queue).unwrap(), 2);
    thread.join().unwrap();
    assert_eq!(queue.len(), 0);
}

pub(crate) fn one_place() {
    pass(1);
}

pub(crate) fn unbounded() {
    pass(0);
}

/// One of the getters holds the lock, and hands it on.
pub(crate) fn two_getters() {
    let queue = new(0);
    let getters = [0; 2].map(|_| {
        let queue = Arc::clone(&queue);
        spawn(move || assert!((1..=2).contains(&get(&queue).unwrap())))
    });
    put(&queue, 1).unwrap();
    put(&queue, 2).unwrap();
    getters.into_iter().for_each(|getter| getter.join().unwrap());
    assert_eq!(queue.len(), 0);
}

/// Neither overwrites what the other has put.
pub(crate) fn two_putters() {
    let queue = new(0);
    let thread = spawn({
        let queue = Arc::clone(&queue);
        move || put(&queue, 1).unwrap()
    });
    put(&queue, 2).unwrap();
    assert_eq!(get(&queue).unwrap() + get(&queue).unwrap(), 3);
    thread.join().unwrap();
}

pub(crate) fn close_empty() {
    let queue = new(0);
    let thread = spawn({
        let queue = Arc::clone(&queue);
        move || {
            put(&queue, 1).unwrap();
            queue.close();
        }
    });
    assert_eq!(get(&queue).unwrap(), 1);
    assert!(matches!(get(&queue), Err(GetFailure::Closed)));
    thread.join().unwrap();
}

pub(crate) fn close_full() {
    let queue = new(1);
    put(&queue, 1).unwrap();
    let thread = spawn({
        let queue = Arc::clone(&queue);
        move || queue.close()
    });
    assert!(matches!(put(&queue, 2), Err(PutFailure::Closed)));
    thread.join().unwrap();
    assert_eq!(get(&queue).unwrap(), 1);
    assert!(matches!(get(&queue), Err(GetFailure::Closed)));
}
