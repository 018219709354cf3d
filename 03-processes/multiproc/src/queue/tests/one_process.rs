//! The queue in one process: order, limits, time-outs, closing, and values that cannot be encoded.

use super::*;

#[test]
fn items_come_out_in_order_through_all_ring_sizes() {
    let _deadline = deadline(60);
    let queue = Queue::unbounded().unwrap();
    let (mut put, mut got) = (0, 0);
    for round in 0..60 {
        for _ in 0..round * 7 % 90 {
            queue.put(&item(1, put, length(put))).unwrap();
            put += 1;
        }
        assert_eq!(queue.len(), (put - got) as usize);
        for _ in 0..round * 5 % 80 {
            match queue.try_get() {
                Ok(item) => assert_eq!(checked(&item), (1, got)),
                Err(GetError::Empty) => break,
                Err(error) => panic!("{error}"),
            }
            got += 1;
        }
    }
    while got < put {
        assert_eq!(checked(&queue.get().unwrap()), (1, got));
        got += 1;
    }
    assert!(queue.is_empty() && matches!(queue.try_get(), Err(GetError::Empty)));
    assert!(put > 2000, "{put} items");
}

#[test]
fn items_that_would_fill_a_ring_to_the_last_byte() {
    let _deadline = deadline(60);
    // With its length each takes 64, 1024, 65536 bytes: whole fractions of every ring.
    for (len, count) in [(48, 5000), (1008, 700), (65_520, 40)] {
        let queue = Queue::unbounded().unwrap();
        let mut got = 0;
        for number in 0..count {
            queue.put(&item(1, number, len)).unwrap();
            if number % 3 == 0 {
                assert_eq!(checked(&queue.try_get().unwrap()), (1, got));
                got += 1;
            }
        }
        for number in got..count {
            assert_eq!(checked(&queue.try_get().unwrap()), (1, number));
        }
        assert!(queue.is_empty());
    }
}

#[test]
fn full_and_empty_at_once_or_after_the_time_out() {
    let _deadline = deadline(30);
    let queue = Queue::bounded(2).unwrap();
    let wait = Duration::from_millis(80);
    let timed = |f: &dyn Fn()| {
        let start = Instant::now();
        f();
        start.elapsed()
    };
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    let took = timed(&|| assert!(matches!(queue.get_timeout(wait), Err(GetError::TimedOut))));
    assert!(took >= wait && took < Duration::from_secs(5), "{took:?}");
    queue.put(&1u8).unwrap();
    assert!(!queue.is_full() && !queue.is_empty());
    queue.put_timeout(&2, wait).unwrap();
    assert!(queue.is_full() && queue.capacity() == Some(2) && queue.len() == 2);
    assert!(matches!(queue.try_put(&3), Err(PutError::Full)));
    let took = timed(&|| assert!(matches!(queue.put_timeout(&3, wait), Err(PutError::TimedOut))));
    assert!(took >= wait && took < Duration::from_secs(5), "{took:?}");
    assert!(matches!(queue.put_timeout(&3, Duration::ZERO), Err(PutError::TimedOut)));
    assert_eq!((queue.get().unwrap(), queue.get_timeout(Duration::ZERO).unwrap()), (1, 2));
    assert!(matches!(queue.get_timeout(Duration::ZERO), Err(GetError::TimedOut)));
    assert_eq!(Queue::<u8>::unbounded().unwrap().capacity(), None);
}

#[test]
fn a_time_out_is_kept_behind_others_that_wait_longer() {
    let _deadline = deadline(30);
    let queue = Queue::<u8>::bounded(1).unwrap();
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..3).map(|_| scope.spawn(|| queue.get())).collect();
        thread::sleep(Duration::from_millis(50)); // so that they wait; it holds if not
        let start = Instant::now();
        assert!(matches!(queue.get_timeout(Duration::from_millis(100)), Err(GetError::TimedOut)));
        assert!(matches!(queue.try_get(), Err(GetError::Empty)), "at once, though others wait");
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(100) && took < Duration::from_secs(5), "{took:?}");
        for n in 0..3 {
            queue.put(&n).unwrap();
        }
        let got: BTreeSet<u8> =
            waiters.into_iter().map(|waiter| waiter.join().unwrap().unwrap()).collect();
        assert_eq!(got, BTreeSet::from([0, 1, 2]));

        queue.put(&9).unwrap();
        let waiters: Vec<_> = (0..3)
            .map(|n| {
                let queue = &queue;
                scope.spawn(move || queue.put(&n))
            })
            .collect();
        thread::sleep(Duration::from_millis(50));
        assert!(matches!(queue.try_put(&9), Err(PutError::Full)), "at once, though others wait");
        assert!(matches!(
            queue.put_timeout(&9, Duration::from_millis(100)),
            Err(PutError::TimedOut)
        ));
        assert_eq!(queue.get().unwrap(), 9);
        let got: BTreeSet<u8> = (0..3).map(|_| queue.get().unwrap()).collect();
        assert_eq!(got, BTreeSet::from([0, 1, 2]));
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap().unwrap());
    });
}

#[test]
fn nothing_and_eight_mebibytes_are_items_too() {
    let _deadline = deadline(60);
    let queue = Queue::unbounded().unwrap();
    let sizes = [0, 8 << 20, 1, 0, (8 << 20) + 1, 7, (70 << 20) - 3, 0];
    for (number, size) in sizes.into_iter().enumerate() {
        queue.put(&vec![number as u8; size]).unwrap();
    }
    assert_eq!(queue.len(), sizes.len());
    for (number, size) in sizes.into_iter().enumerate() {
        assert!(queue.get().unwrap() == vec![number as u8; size], "item {number} of {size} bytes");
    }
    let units = Queue::<()>::bounded(3).unwrap();
    units.put(&()).unwrap();
    units.get().unwrap();
}

#[test]
fn memory_follows_what_is_in_the_queue() {
    let _deadline = deadline(60);
    let queue = Queue::unbounded().unwrap();
    let memory = || queue.inner.used() >> 20;
    let item = vec![7u8; 1 << 20];
    (0..400).for_each(|_| queue.put(&item).unwrap());
    let full = memory();
    (0..400).for_each(|_| assert!(queue.get().unwrap() == item));
    assert!(matches!(queue.get_timeout(Duration::from_millis(1)), Err(GetError::TimedOut)));
    let empty = memory();
    assert!(full >= 400 && empty <= 32, "{full} MiB when full, {empty} MiB when empty");
    queue.put(&item).unwrap();
    assert!(queue.get().unwrap() == item, "and it works on");
}

#[test]
fn closed_putters_fail_and_getters_drain() {
    let _deadline = deadline(30);
    let queue = Queue::bounded(2).unwrap();
    queue.put(&1).unwrap();
    queue.put(&2).unwrap();
    let empty = Queue::<u8>::bounded(2).unwrap();
    thread::scope(|scope| {
        let putters: Vec<_> = (0..3).map(|_| scope.spawn(|| queue.put(&3))).collect();
        let getters: Vec<_> = (0..3).map(|_| scope.spawn(|| empty.get())).collect();
        thread::sleep(Duration::from_millis(50)); // so that they sleep; it holds if not
        queue.close();
        empty.close();
        for putter in putters {
            assert!(matches!(putter.join().unwrap(), Err(PutError::Closed)));
        }
        for getter in getters {
            assert!(matches!(getter.join().unwrap(), Err(GetError::Closed)));
        }
    });
    queue.close();
    assert!(queue.is_closed() && matches!(queue.try_put(&3), Err(PutError::Closed)));
    assert_eq!((queue.get().unwrap(), queue.try_get().unwrap()), (1, 2));
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    assert!(matches!(queue.try_get(), Err(GetError::Closed)));
    assert!(matches!(queue.get_timeout(Duration::from_secs(9)), Err(GetError::Closed)));
}

#[test]
fn a_value_that_cannot_be_encoded_leaves_the_queue_as_before() {
    let _deadline = deadline(30);
    struct Odd(bool);
    impl Serialize for Odd {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0 { Err(serde::ser::Error::custom("odd")) } else { serializer.serialize_u8(5) }
        }
    }
    let queue = Queue::<Odd>::bounded(2).unwrap();
    queue.put(&Odd(false)).unwrap();
    for _ in 0..5 {
        assert!(matches!(queue.put(&Odd(true)), Err(PutError::Encode(_))));
    }
    assert_eq!(queue.len(), 1);
    queue.put(&Odd(false)).unwrap();
    assert!(queue.is_full());

    let small = Builder::new().max_item_bytes(10).build::<String>().unwrap();
    assert!(matches!(small.put(&"x".repeat(11)), Err(PutError::TooLarge { len: 11, max: 10 })));
    small.put(&"x".repeat(10)).unwrap();
    assert_eq!((small.len(), small.get().unwrap()), (1, "x".repeat(10)));
}

#[test]
fn what_cannot_be_decoded_is_an_error_and_the_next_item_is_fine() {
    let _deadline = deadline(30);
    #[derive(Debug, PartialEq)]
    struct Even(u8);
    impl Serialize for Even {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_u8(self.0)
        }
    }
    impl<'de> Deserialize<'de> for Even {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Even, D::Error> {
            let value = u8::deserialize(deserializer)?;
            if value.is_multiple_of(2) {
                Ok(Even(value))
            } else {
                Err(serde::de::Error::custom("odd"))
            }
        }
    }
    let queue = Queue::bounded(3).unwrap();
    for value in [2, 3, 4] {
        queue.put(&Even(value)).unwrap();
    }
    assert_eq!(queue.get().unwrap(), Even(2));
    match queue.get() {
        Err(GetError::Decode(error)) => assert_eq!(error.bytes, [3]),
        other => panic!("{other:?}"),
    }
    // As after any get: counted, with room for two, open, and in order.
    assert_eq!((queue.len(), queue.inner.counts()), (1, (3, 2)));
    for value in [6, 8] {
        queue.try_put(&Even(value)).unwrap();
    }
    assert!(queue.is_full() && matches!(queue.try_put(&Even(9)), Err(PutError::Full)));
    for value in [4, 6, 8] {
        assert_eq!(queue.try_get().unwrap(), Even(value));
    }
    assert!(!queue.is_closed() && matches!(queue.try_get(), Err(GetError::Empty)));
}

#[test]
fn a_handle_that_comes_too_late_is_gone() {
    let _deadline = deadline(30);
    let handles = Queue::<Queue<u8>>::bounded(4).unwrap();
    let inner = Queue::<u8>::bounded(1).unwrap();
    inner.put(&7).unwrap();
    handles.put(&inner).unwrap();
    drop(inner);
    let inner = handles.get().expect("kept by the process that encoded it");
    assert_eq!(inner.get().unwrap(), 7);

    let stale = Wire { region: inner.inner.region().id(), items: fingerprint::<u8>() };
    let stale = postcard::to_allocvec(&stale).unwrap();
    drop(inner);
    handles.inner.put(&stale, Wait::Not).unwrap();
    assert!(matches!(handles.get(), Err(GetError::Gone)));

    let other = Queue::<u16>::bounded(1).unwrap();
    let other_type = postcard::to_allocvec(&other).unwrap();
    handles.inner.put(&other_type, Wait::Not).unwrap();
    assert!(matches!(handles.get(), Err(GetError::Decode(_))), "a queue of other items");
}

#[test]
fn putting_a_value_that_itself_puts() {
    let _deadline = deadline(30);
    struct Noisy(Queue<String>);
    impl Serialize for Noisy {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.put(&"encoding".to_owned()).map_err(serde::ser::Error::custom)?;
            serializer.serialize_u32(5)
        }
    }
    let log = Queue::unbounded().unwrap();
    let queue = Queue::<Noisy>::unbounded().unwrap();
    queue.put(&Noisy(log.clone())).unwrap();
    assert_eq!((queue.len(), log.get().unwrap()), (1, "encoding".to_owned()));
}
