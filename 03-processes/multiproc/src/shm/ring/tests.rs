//! The ring between two threads.

use std::thread;
use std::time::{Duration, Instant};

use super::*;

fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (seed.wrapping_mul(31) + at) as u8).collect()
}

#[test]
fn messages_of_every_size_pass_in_order() {
    let sizes: Vec<usize> =
        (0..300).chain([4000, 4087, 4088, 4089, 4096, 5000, 100_000, 3 << 20, 0, 1]).collect();
    let (mut sender, mut receiver) = create(4096).unwrap();
    let expected = sizes.clone();
    let writer = thread::spawn(move || {
        for (seed, len) in sizes.into_iter().enumerate() {
            sender.send(&pattern(seed, len), None).unwrap();
        }
        sender.close();
    });
    for (seed, len) in expected.into_iter().enumerate() {
        assert!(
            receiver.recv(None).unwrap() == pattern(seed, len),
            "message {seed} of {len} bytes"
        );
    }
    assert_eq!(receiver.recv(None), Err(RingError::Closed));
    writer.join().unwrap();
}

#[test]
fn a_full_ring_takes_the_rest_of_a_message_later() {
    let (mut sender, mut receiver) = create(4096).unwrap();
    let long = pattern(1, 10_000);
    assert!(!sender.try_send(&long).unwrap());
    assert_eq!(receiver.try_recv().unwrap(), None);
    assert!(!sender.try_send(&long).unwrap());
    assert_eq!(receiver.try_recv().unwrap(), None);
    assert!(sender.try_send(&long).unwrap());
    assert_eq!(receiver.try_recv().unwrap(), Some(&long[..]));
    assert_eq!(receiver.try_recv().unwrap(), None);
}

#[test]
fn time_outs_are_kept() {
    let (mut sender, mut receiver) = create(4096).unwrap();
    let soon = || crate::sys::sync::deadline_after(Duration::from_millis(60));
    let start = Instant::now();
    assert_eq!(receiver.recv(soon()), Err(RingError::TimedOut));
    assert_eq!(sender.send(&[0; 9000], soon()), Err(RingError::TimedOut));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(120) && took < Duration::from_millis(2000), "{took:?}");
}

#[test]
fn closing_from_outside_wakes_both_ends() {
    let (mut sender, mut receiver) = create(4096).unwrap();
    let closer = sender.closer();
    sender.try_send(&[0; 9000]).unwrap();
    let (mut empty_sender, mut empty) = create(4096).unwrap();
    let empty_closer = empty.closer();
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(sender.send(&[0; 9000], None), Err(RingError::Closed)));
        scope.spawn(|| assert_eq!(empty.recv(None), Err(RingError::Closed)));
        thread::sleep(Duration::from_millis(30)); // so that both are asleep
        closer.close();
        empty_closer.close();
    });
    assert_eq!(empty_sender.try_send(b"x"), Err(RingError::Closed));
    assert_eq!(receiver.recv(None), Err(RingError::Closed), "a message cut off is not a message");
}

#[test]
fn one_event_count_serves_several_rings() {
    let data = EventCount::new().unwrap();
    let (senders, mut receivers): (Vec<_>, Vec<_>) =
        (0..3).map(|_| create_with(4096, Some(&data), None).unwrap()).unzip();
    let writers: Vec<_> = senders
        .into_iter()
        .map(|mut sender| {
            thread::spawn(move || {
                (0..2000u32).for_each(|n| sender.send(&n.to_le_bytes(), None).unwrap())
            })
        })
        .collect();
    let mut next = [0u32; 3];
    while next != [2000; 3] {
        let key = data.prepare();
        let before = next;
        for (receiver, next) in receivers.iter_mut().zip(&mut next) {
            while let Some(message) = receiver.try_recv().unwrap() {
                assert_eq!(message, next.to_le_bytes());
                *next += 1;
            }
        }
        if next == before {
            data.wait(key, None);
        }
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
}
