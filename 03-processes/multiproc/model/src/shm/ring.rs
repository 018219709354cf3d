//! The ring, but for its public constructors: here it may be small.

use super::arena::Region;
use crate::threads::spawn;

#[path = "../../../src/shm/ring/ends.rs"]
mod ends;
#[path = "../../../src/shm/ring/error.rs"]
mod error;
#[path = "../../../src/shm/ring/receiver.rs"]
mod receiver;
#[path = "../../../src/shm/ring/sender.rs"]
mod sender;

pub(crate) use ends::Closer;
pub(crate) use error::RingError;
pub(crate) use receiver::Receiver;
pub(crate) use sender::Sender;

/// A ring of just so many bytes.
pub(crate) fn create(capacity: usize) -> (Sender, Receiver) {
    let region = Region::create(capacity as u64).unwrap();
    let ends = ends::Ends::at(region, capacity, None, None).unwrap();
    (Sender::new(ends.clone()), Receiver::new(ends))
}

/// Three messages through a ring for two: either side may have to wait for the other.
pub(crate) fn fill() {
    let (mut sender, mut receiver) = create(32);
    let thread = spawn(move || {
        for number in 1..=3u64 {
            sender.send(&number.to_ne_bytes(), None).unwrap();
        }
    });
    for number in 1..=3u64 {
        assert_eq!(receiver.recv(None), Ok(&number.to_ne_bytes()[..]));
    }
    thread.join().unwrap();
}

/// A message that the ring holds only a part of.
pub(crate) fn pass_in_pieces() {
    let (mut sender, mut receiver) = create(32);
    let message: Vec<u8> = (1..=32).collect();
    let thread = spawn({
        let message = message.clone();
        move || sender.send(&message, None).unwrap()
    });
    assert_eq!(receiver.recv(None), Ok(&message[..]));
    thread.join().unwrap();
}

/// The end that receives is made only after something may have been sent.
pub(crate) fn come_later() {
    let region = Region::create(32).unwrap();
    let ends = ends::Ends::at(region, 32, None, None).unwrap();
    let mut sender = Sender::new(ends.clone());
    let thread = spawn(move || sender.send(&[7; 8], None).unwrap());
    let mut receiver = Receiver::new(ends);
    assert_eq!(receiver.recv(None), Ok(&[7; 8][..]));
    thread.join().unwrap();
}

/// What was sent before the end is received before it.
pub(crate) fn close_after_sending() {
    let (mut sender, mut receiver) = create(32);
    let thread = spawn(move || {
        sender.send(&[7; 8], None).unwrap();
        sender.close();
    });
    assert_eq!(receiver.recv(None), Ok(&[7; 8][..]));
    assert_eq!(receiver.recv(None), Err(RingError::Closed));
    thread.join().unwrap();
}

/// A third thread closes the ring, and both ends notice.
pub(crate) fn close_full() {
    let (mut sender, receiver) = create(16);
    let closer = receiver.closer();
    sender.send(&[7; 8], None).unwrap();
    let thread = spawn(move || closer.close());
    assert_eq!(sender.send(&[8; 8], None), Err(RingError::Closed));
    thread.join().unwrap();
}
