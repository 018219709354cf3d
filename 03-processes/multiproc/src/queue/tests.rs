//! The queue's behavior, alone and with processes that are killed.
//!
//! The children are this very test binary, started again to run the "test" [`child`] only, with the
//! arena as standard input. Each test has a deadline after which the whole run is aborted.

use std::collections::{BTreeSet, HashMap};
use std::env;
use std::io;
use std::os::fd::AsFd;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::deadline;
use serde::{Deserialize, Serialize, Serializer};

use super::*;
use crate::shm::arena;
use crate::shm::mapping::Mapping;
use crate::sys::failpoint::{arm, on_failpoint, record, recorded};

// ---- tools ----

/// What a child has done, in shared memory, so that it is known whenever the child dies.
struct Ledger {
    region: Region,
    memory: Mapping,
}

const LEDGER_ENTRIES: usize = 1 << 18;

impl Ledger {
    const WORDS: usize = LEDGER_ENTRIES + 4;

    fn new() -> Ledger {
        Ledger::at(Region::create(Ledger::WORDS as u64 * 8).unwrap())
    }
    fn at(region: Region) -> Ledger {
        let memory = region.map(0, Ledger::WORDS * 8).unwrap();
        Ledger { region, memory }
    }
    fn word(&self, index: usize) -> &AtomicU64 {
        self.memory.get(index * 8)
    }
    /// How many operations were begun, and how many were finished.
    fn begun(&self) -> u64 {
        self.word(0).load(Ordering::SeqCst)
    }
    fn done(&self) -> u64 {
        self.word(1).load(Ordering::SeqCst)
    }
    /// How many changes of state were about to take effect, as noted right before each.
    fn about(&self) -> u64 {
        self.word(Ledger::WORDS - 2).load(Ordering::SeqCst)
    }
    /// How many changes of state took effect, as noted right after each.
    fn took_effect(&self) -> u64 {
        self.word(Ledger::WORDS - 1).load(Ordering::SeqCst)
    }
    fn begin(&self) {
        self.word(0).fetch_add(1, Ordering::SeqCst);
    }
    fn finish(&self, entry: u64) {
        let at = self.done();
        self.word(2 + at as usize).store(entry, Ordering::SeqCst);
        self.word(1).store(at + 1, Ordering::SeqCst);
    }
    fn entries(&self) -> Vec<u64> {
        (0..self.done() as usize).map(|at| self.word(2 + at).load(Ordering::SeqCst)).collect()
    }
}

/// A child process; killed and reaped when dropped.
struct Child {
    process: std::process::Child,
    ledger: Ledger,
}

#[derive(Serialize, Deserialize)]
struct Orders {
    role: String,
    queue: Queue<Vec<u8>>,
    ledger: RegionId,
    /// This child's number, for its items.
    number: u32,
    items: u32,
    kill_at: Option<(String, u32)>,
    report: Option<Queue<Vec<String>>>,
    handles: Option<Queue<Queue<String>>>,
}

impl Orders {
    fn new(role: &str, queue: &Queue<Vec<u8>>, number: u32, items: u32) -> Orders {
        Orders {
            role: role.to_owned(),
            queue: queue.clone(),
            ledger: RegionId::default(),
            number,
            items,
            kill_at: None,
            report: None,
            handles: None,
        }
    }

    fn start(mut self) -> Child {
        let ledger = Ledger::new();
        self.ledger = handle::export::<postcard::Error>(&ledger.region).unwrap();
        let orders: String = postcard::to_allocvec(&self)
            .unwrap()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let process = Command::new(env::current_exe().unwrap())
            .args(["queue::tests::child", "--exact", "--ignored", "--test-threads=1"])
            .env("QUEUE_TEST_ORDERS", orders)
            .stdin(Stdio::from(arena::descriptor().unwrap().try_clone_to_owned().unwrap()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Child { process, ledger }
    }
}

impl Child {
    fn wait(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
    fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }
    fn kill(&mut self) {
        let _ = self.process.kill();
        self.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What an item carries: who put it, its number, and bytes that follow from the two.
fn item(putter: u32, number: u32, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + len);
    bytes.extend_from_slice(&putter.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    let mut state = u64::from(putter) << 32 | u64::from(number) | 1;
    bytes.extend(
        std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(len),
    );
    bytes
}

/// Sizes that fill, wrap and leave rings.
fn length(number: u32) -> usize {
    match number % 64 {
        7 => 40_000,
        15 => 200_000,
        23 => 90_000,
        40 => 0,
        55 => 300_000,
        n => (number.wrapping_mul(2_654_435_761) >> 20) as usize % (20 * n as usize + 1),
    }
}

/// Who put it, and its number, as it says.
fn stated(bytes: &[u8]) -> (u32, u32) {
    let word = |at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    (word(0), word(4))
}

/// Who put it, and its number; panics if a bit of it is wrong.
#[track_caller]
fn checked(bytes: &[u8]) -> (u32, u32) {
    let (putter, number) = stated(bytes);
    assert!(bytes == item(putter, number, bytes.len() - 8), "item {number} of {putter} is torn");
    (putter, number)
}

fn pack(putter: u32, number: u32) -> u64 {
    u64::from(putter) << 32 | u64::from(number)
}

/// Not a test: what the children run.
#[test]
#[ignore = "the children of the other tests run this"]
fn child() {
    let orders = env::var("QUEUE_TEST_ORDERS").expect("started by a test");
    let parent = nix::unistd::getppid();
    thread::spawn(move || {
        while nix::unistd::getppid() == parent {
            thread::sleep(Duration::from_millis(50));
        }
        std::process::exit(9);
    });
    arena::inherit(io::stdin().as_fd().try_clone_to_owned().unwrap()).unwrap();
    let bytes: Vec<u8> = (0..orders.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&orders[at..at + 2], 16).unwrap())
        .collect();
    let orders: Orders = postcard::from_bytes(&bytes).unwrap();
    let ledger = Ledger::at(Region::open(orders.ledger).unwrap().expect("the ledger is there"));
    let queue = orders.queue;
    if let Some((name, hit)) = &orders.kill_at {
        arm(name, *hit);
    } else if orders.report.is_some() {
        record();
    }
    match orders.role.as_str() {
        "get and note" => {
            // Room for a name of its own: the ledger lives as long as the process.
            let noted = Ledger::at(ledger.region.clone());
            on_failpoint(move |name| {
                if name == "commit: before it takes effect" {
                    noted.word(Ledger::WORDS - 2).fetch_add(1, Ordering::SeqCst);
                } else if name.starts_with("commit: done") {
                    noted.word(Ledger::WORDS - 1).fetch_add(1, Ordering::SeqCst);
                }
            });
            get_all(&queue, &ledger, orders.items);
        }
        "put" => {
            for number in 0..orders.items {
                let item = item(orders.number, number, length(number));
                ledger.begin();
                queue.put(&item).unwrap();
                ledger.finish(pack(orders.number, number));
            }
        }
        "get" => get_all(&queue, &ledger, orders.items),
        "close" => queue.close(),
        "put and exit" => {
            queue.put(&item(orders.number, 0, 100)).unwrap();
            std::process::exit(0);
        }
        "grandchild" => {
            let mut orders = Orders::new("put", &queue, orders.number, orders.items);
            orders.number += 1;
            assert!(orders.start().wait().success());
        }
        "answer in handles" => {
            let handles = orders.handles.unwrap();
            for _ in 0..orders.items {
                let answers = handles.get().unwrap();
                answers.put(&format!("from {}", orders.number)).unwrap();
            }
        }
        "make and send handles" => {
            let handles = orders.handles.unwrap();
            // All kinds of encodings and decodings, and everything dropped in the end.
            for number in 0..orders.items {
                let queue = Queue::<String>::bounded(2).unwrap();
                ledger.finish(queue.inner.region().id().pack());
                queue.put(&format!("of child {number}")).unwrap();
                handles.put(&queue).unwrap();
                handles.put(&queue).unwrap();
                drop(queue);
                drop(handles.get().unwrap());
                let bytes = postcard::to_allocvec(&handles.get().unwrap()).unwrap();
                let again: Queue<String> = postcard::from_bytes(&bytes).unwrap();
                assert!(again.try_get().is_ok());
            }
        }
        role => panic!("no such role: {role}"),
    }
    if let Some(report) = orders.report {
        report.put(&recorded().into_iter().map(str::to_owned).collect()).unwrap();
    }
}

/// Gets up to `items` items, until the queue is closed.
fn get_all(queue: &Queue<Vec<u8>>, ledger: &Ledger, items: u32) {
    for _ in 0..items {
        ledger.begin();
        match queue.get() {
            Ok(item) => {
                // At once, and looked at afterwards: what is not in the ledger counts as lost.
                let (putter, number) = stated(&item);
                ledger.finish(pack(putter, number));
                checked(&item);
            }
            Err(GetError::Closed) => break,
            Err(error) => panic!("{error}"),
        }
    }
}

// ---- without other processes ----

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
        thread::sleep(Duration::from_millis(50)); // so that they wait already; it holds if they do not
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
        thread::sleep(Duration::from_millis(50)); // so that they are asleep; it holds if they are not
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

// ---- with processes that end as they should ----

#[test]
fn many_putters_and_getters_lose_and_double_nothing() {
    let _deadline = deadline(60);
    let queue = Queue::bounded(10).unwrap();
    let items = 300;
    let mut getters: Vec<_> =
        (0..3).map(|_| Orders::new("get", &queue, 0, u32::MAX).start()).collect();
    let mut putters: Vec<_> =
        (1..=3).map(|number| Orders::new("put", &queue, number, items).start()).collect();
    assert!(putters.iter_mut().all(|putter| putter.wait().success()));
    queue.close();
    assert!(getters.iter_mut().all(|getter| getter.wait().success()));
    let mut all: Vec<u64> = vec![];
    for getter in &getters {
        let got = getter.ledger.entries();
        for putter in 1..=3 {
            let of_one: Vec<u64> =
                got.iter().copied().filter(|entry| entry >> 32 == putter).collect();
            assert!(of_one.is_sorted(), "each putter's items in its order");
        }
        all.extend(got);
    }
    all.sort_unstable();
    let expected: Vec<u64> =
        (1..=3).flat_map(|putter| (0..items).map(move |number| pack(putter, number))).collect();
    assert!(all == expected, "each item once");
    assert_eq!(queue.inner.counts(), (900, 900));
}

#[test]
fn what_is_put_just_before_the_end_is_there() {
    let _deadline = deadline(30);
    let queue = Queue::unbounded().unwrap();
    for number in 0..5 {
        assert!(Orders::new("put and exit", &queue, number, 1).start().wait().success());
        assert_eq!(queue.len(), 1);
        assert_eq!(checked(&queue.try_get().unwrap()), (number, 0));
    }
}

#[test]
fn handles_work_in_messages_and_in_grandchildren() {
    let _deadline = deadline(30);
    let queue = Queue::unbounded().unwrap();
    assert!(Orders::new("grandchild", &queue, 1, 20).start().wait().success());
    for number in 0..20 {
        assert_eq!(checked(&queue.get().unwrap()), (2, number));
    }
    let mut orders = Orders::new("answer in handles", &queue, 3, 2);
    let handles = Queue::bounded(5).unwrap();
    orders.handles = Some(handles.clone());
    let mut child = orders.start();
    let answers = [Queue::<String>::bounded(1).unwrap(), Queue::bounded(1).unwrap()];
    answers.iter().for_each(|answers| handles.put(answers).unwrap());
    answers.iter().for_each(|answers| assert_eq!(answers.get().unwrap(), "from 3"));
    assert!(child.wait().success());
}

// ---- with processes that are killed ----

/// Waits for what must come to hold soon.
#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < give_up, "this should have happened by now: {what}");
        thread::sleep(Duration::from_micros(200));
    }
}

/// The failpoints a child passes while it does what `orders` says and `meanwhile` runs here.
fn failpoints(mut orders: Orders, meanwhile: impl FnOnce(&mut Child)) -> Vec<String> {
    let report = Queue::unbounded().unwrap();
    orders.report = Some(report.clone());
    let mut child = orders.start();
    meanwhile(&mut child);
    assert!(child.wait().success());
    report.get().unwrap()
}

/// The failpoints that `observe` saw, once those that are needed are among them: some are passed
/// only if the scheduler wills.
fn failpoints_with(needed: &[&str], observe: impl Fn() -> Vec<String>) -> Vec<String> {
    let mut seen = vec![];
    for _ in 0..100 {
        seen = observe();
        if needed.iter().all(|needed| seen.iter().any(|name| name == needed)) {
            return seen;
        }
    }
    panic!("not all of {needed:?} are among {seen:?}");
}

fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    assert!(status.success() || status.signal() == Some(9), "{status:?}");
    status.signal() == Some(9)
}

/// When somebody gets what the child puts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pace {
    /// So slowly that the queue is full and the putter asleep.
    Slow,
    Fast,
    /// Not before the child has ended: everything happens in one order.
    Afterwards,
}

#[test]
fn a_putter_killed_at_any_store_leaves_the_queue_whole() {
    let _deadline = deadline(240);
    const ITEMS: u32 = 64;
    let new_queue = |capacity| {
        let queue = Queue::bounded(capacity).unwrap();
        // Up to the end of the first ring, so that one of the first items lies across it.
        for _ in 0..3 {
            queue.put(&vec![0; 20_000]).unwrap();
            queue.get().unwrap();
        }
        queue
    };
    // Gets what the child puts, without a time-out: whatever the child does, it must not leave the
    // getter asleep over an item.
    let drain = |queue: &Queue<Vec<u8>>, child: &mut Child, pace: Pace| {
        thread::scope(|scope| {
            if pace == Pace::Afterwards {
                child.wait();
            }
            let getter = scope.spawn(|| {
                let mut got = vec![];
                while got.last() != Some(&(2, 0)) {
                    got.push(checked(&queue.get().unwrap()));
                    if pace == Pace::Slow {
                        thread::sleep(Duration::from_micros(300));
                    }
                }
                got
            });
            child.wait();
            wait_until("the items are got", || queue.is_empty());
            queue.put_timeout(&item(2, 0, 10), Duration::from_secs(20)).expect("the others go on");
            getter.join().unwrap()
        })
    };
    // Lets a child put, to be killed at a failpoint, and says whether it came there.
    let run = |name: &str, hit: u32, capacity: usize, pace: Pace| {
        let queue = new_queue(capacity);
        let mut orders = Orders::new("put", &queue, 1, ITEMS);
        orders.kill_at = Some((name.to_owned(), hit));
        let mut child = orders.start();
        let got = drain(&queue, &mut child, pace);
        let (begun, done) = (child.ledger.begun(), child.ledger.done());
        let put = (got.len() - 1) as u64;
        let expected: Vec<_> = (0..put as u32).map(|number| (1, number)).chain([(2, 0)]).collect();
        assert_eq!(got, expected, "each once and in order");
        assert_eq!(queue.inner.counts(), (put + 4, put + 4));
        let killed = was_killed(child.wait());
        if killed {
            let took_effect = name.starts_with("commit: done") || name == "put: unlocked";
            assert_eq!(
                (begun, put),
                (done + 1, done + u64::from(took_effect)),
                "killed at {name:?}"
            );
        }
        killed
    };
    let paces: [(usize, Pace, &[&str]); 3] = [
        (3, Pace::Slow, &["wait: woken"]),
        (1000, Pace::Fast, &["commit: done, woken"]),
        (1000, Pace::Afterwards, &["put: first piece written", "put: marker written"]),
    ];
    for (capacity, pace, needed) in paces {
        let names = failpoints_with(needed, || {
            let queue = new_queue(capacity);
            failpoints(Orders::new("put", &queue, 1, ITEMS), |child| {
                drain(&queue, child, pace);
            })
        });
        sweep(&names, |name, attempt| run(name, [1, 2, 7, 25][attempt % 4], capacity, pace));
    }
}

/// Has a child killed at each of these failpoints: `run` gets the name and the number of the
/// attempt, and says whether the child came there. Where it comes only if the scheduler wills, it
/// is tried again, so that each has been tried for certain.
fn sweep(names: &[String], run: impl Fn(&str, usize) -> bool) {
    for name in names {
        let mut kills = 0;
        for attempt in 0..200 {
            kills += u32::from(run(name, attempt));
            if attempt >= 3 && kills > 0 {
                break;
            }
        }
        assert!(kills > 0, "no child died at {name:?}");
    }
}

#[test]
fn a_getter_killed_at_any_store_loses_nothing_but_what_it_took() {
    let _deadline = deadline(240);
    const ITEMS: u32 = 64;
    // Puts items, at times faster and at times slower than they are got.
    let fill = |queue: &Queue<Vec<u8>>| {
        for number in 0..ITEMS {
            queue
                .put_timeout(&item(1, number, length(number)), Duration::from_secs(20))
                .expect("the others go on");
            if number % 16 < 4 {
                thread::sleep(Duration::from_micros(700));
            }
        }
    };
    // The child is alone until it has ended or got everything, then somebody else gets the rest.
    let needed = [
        "get: marker followed",
        "get: memory given back",
        "get: item read",
        "wait: announced",
        "wait: woken",
    ];
    let names = failpoints_with(&needed, || {
        let queue = Queue::bounded(1000).unwrap();
        failpoints(Orders::new("get", &queue, 0, ITEMS), |child| {
            while child.ledger.begun() == 0 {
                thread::yield_now();
            }
            fill(&queue);
        })
    });
    sweep(&names, |name, attempt| {
        let (hit, rival) = [(1, false), (1, true), (3, false), (5, true)][attempt % 4];
        let queue = Queue::bounded(1000).unwrap();
        let mut orders = Orders::new("get", &queue, 0, ITEMS);
        orders.kill_at = Some((name.to_owned(), hit));
        let mut child = orders.start();
        while child.ledger.begun() == 0 && child.is_running() {
            thread::yield_now();
        }
        let got = thread::scope(|scope| {
            let get_all = || {
                let mut got = vec![];
                loop {
                    match queue.get() {
                        Ok(item) => got.push(checked(&item)),
                        Err(GetError::Closed) => return got,
                        Err(error) => panic!("{error}"),
                    }
                }
            };
            // A rival waits behind the child: whatever wakes the child must, if that one dies,
            // reach the rival.
            let rival = rival.then(|| scope.spawn(get_all));
            fill(&queue);
            let give_up = Instant::now() + Duration::from_secs(20);
            while child.is_running() && !queue.is_empty() {
                assert!(Instant::now() < give_up, "stuck after a kill at {name:?}");
                thread::yield_now();
            }
            queue.close();
            rival.map_or_else(get_all, |rival| rival.join().unwrap())
        });
        let killed_here = was_killed(child.wait());
        let mut all: Vec<u32> = got.iter().map(|(_, number)| *number).collect();
        assert!(all.is_sorted());
        let taken: Vec<u32> = child.ledger.entries().iter().map(|entry| *entry as u32).collect();
        assert!(taken.is_sorted());
        all.extend(taken);
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "nothing twice: {all:?}");
        let missing = ITEMS as usize - all.len();
        if killed_here {
            let took_effect = name.starts_with("commit: done") || name == "get: unlocked";
            assert_eq!(missing, usize::from(took_effect), "killed at {name:?}");
        } else {
            assert_eq!(missing, 0);
        }
        assert_eq!(queue.inner.counts(), (ITEMS.into(), ITEMS.into()));
        killed_here
    });
}

#[test]
fn a_getter_killed_after_it_made_room_leaves_no_putter_asleep() {
    let _deadline = deadline(120);
    let full = || {
        let queue = Queue::bounded(1).unwrap();
        queue.put(&item(1, 0, 10)).unwrap();
        queue
    };
    // Starts the child when this process's putter is asleep.
    let run = |queue: &Queue<Vec<u8>>, orders: Orders| {
        thread::scope(|scope| {
            let putter = scope.spawn(|| queue.put(&item(1, 1, 10)).unwrap());
            wait_until("the putter is asleep", || queue.inner.putter_is_waiting());
            let mut child = orders.start();
            let status = child.wait();
            let (_, got) = queue.inner.counts();
            if got == 0 {
                assert_eq!(checked(&queue.try_get().unwrap()), (1, 0), "not taken by the dead");
            }
            wait_until("the putter goes on", || putter.is_finished());
            assert_eq!(checked(&queue.try_get().unwrap()), (1, 1));
            (status, got)
        })
    };
    let queue = full();
    let report = Queue::unbounded().unwrap();
    let mut orders = Orders::new("get", &queue, 0, 1);
    orders.report = Some(report.clone());
    assert!(run(&queue, orders).0.success());
    let names: Vec<String> = report.get().unwrap();
    assert!(names.iter().any(|name| name == "commit: done, woken"), "{names:?}");
    for name in names {
        let queue = full();
        let mut orders = Orders::new("get", &queue, 0, 1);
        orders.kill_at = Some((name.clone(), 1));
        let (status, got) = run(&queue, orders);
        assert!(was_killed(status));
        let took_effect = name.starts_with("commit: done") || name == "get: unlocked";
        assert_eq!(got, u64::from(took_effect), "killed at {name:?}");
    }
}

#[test]
fn one_killed_while_closing_stops_nobody() {
    let _deadline = deadline(120);
    let queue = Queue::bounded(1).unwrap();
    let names = failpoints(Orders::new("close", &queue, 0, 0), |_| {});
    assert!(names.len() >= 3, "{names:?}");
    for name in &names {
        let queue = Queue::bounded(1).unwrap();
        queue.put(&item(1, 0, 10)).unwrap();
        let empty = Queue::<Vec<u8>>::bounded(1).unwrap();
        thread::scope(|scope| {
            let putter = scope.spawn(|| queue.put(&item(1, 1, 10)));
            let getter = scope.spawn(|| empty.get());
            thread::sleep(Duration::from_millis(20)); // so that they are asleep; it holds if they are not
            for queue in [&queue, &empty] {
                let mut orders = Orders::new("close", queue, 0, 0);
                orders.kill_at = Some((name.clone(), 1));
                assert!(was_killed(orders.start().wait()));
                // Closed or not, but whole: it can be closed (again).
                queue.close();
            }
            assert!(matches!(putter.join().unwrap(), Err(PutError::Closed)));
            assert!(matches!(getter.join().unwrap(), Err(GetError::Closed)));
        });
        assert_eq!(checked(&queue.get().unwrap()), (1, 0));
        assert!(matches!(queue.get(), Err(GetError::Closed)));
    }
}

#[test]
fn one_killed_while_it_sends_handles_takes_none_of_others_and_leaves_nothing() {
    let _deadline = deadline(120);
    // The child gets these, and each queue's other handle stays in `kept`.
    let prepare = || {
        let (handles, kept) = (Queue::unbounded().unwrap(), Queue::unbounded().unwrap());
        for number in 0..4 {
            let queue = Queue::<String>::bounded(2).unwrap();
            (0..2).for_each(|_| queue.put(&format!("ours {number}")).unwrap());
            handles.put(&queue).unwrap();
            kept.put(&queue).unwrap();
        }
        (handles, kept)
    };
    let unused = Queue::unbounded().unwrap();
    let orders = |handles: &Queue<Queue<String>>| {
        let mut orders = Orders::new("make and send handles", &unused, 0, 3);
        orders.handles = Some(handles.clone());
        orders
    };
    let names = failpoints(orders(&prepare().0), |_| {});
    for part in ["create:", "free:", "open:", "token:"] {
        assert!(names.iter().any(|name| name.starts_with(part)), "{part} is not in {names:?}");
    }
    for name in &names {
        for hit in [1, 2, 5] {
            let (handles, kept) = prepare();
            let mut orders = orders(&handles);
            orders.kill_at = Some((name.clone(), hit));
            let mut child = orders.start();
            let killed = was_killed(child.wait());
            // A block is counted only where no dead process has left one.
            let is_rare = name == "token: block counted";
            assert!(killed || hit > 1 || is_rare, "no child died at {name:?}");
            for number in 0..4 {
                let queue = kept.try_get().expect("kept by this process");
                assert_eq!(queue.get().unwrap(), format!("ours {number}"), "killed at {name:?}");
            }
            // What the dead child made is nobody's, whatever is in the mailbox.
            for id in child.ledger.entries() {
                wait_until("its queues are freed", || {
                    Region::sweep();
                    !RegionId::is_live(id)
                });
            }
            let ours = Queue::<u8>::bounded(1).unwrap();
            ours.put(&1).unwrap();
            assert_eq!(ours.get().unwrap(), 1);
        }
    }
}

/// How many kills: a few hundred, or what `QUEUE_KILLS` says. The long run:
/// `QUEUE_KILLS=10000 cargo test --release killed_at_random -- --nocapture`.
fn kills() -> u32 {
    env::var("QUEUE_KILLS").map_or(200, |kills| kills.parse().expect("QUEUE_KILLS is a number"))
}

#[test]
fn killed_at_random_instants_every_item_is_accounted_for() {
    let kills = kills();
    let _deadline = deadline(60 + u64::from(kills) / 8);
    let queue = Queue::bounded(8).unwrap();
    let mut random = RandomState::new();
    let mut accounts = Accounts::default();
    let mut next_number = 0;
    let mut start = |slot: usize| {
        next_number += 1;
        let role = if slot < 2 { "put" } else { "get and note" };
        (next_number, Orders::new(role, &queue, next_number, LEDGER_ENTRIES as u32).start())
    };
    let mut children: Vec<(u32, Child)> = (0..4).map(&mut start).collect();
    let mut killed = 0;
    while killed < kills {
        let slot = random.below(4) as usize;
        let (number, child) = &mut children[slot];
        let stuck = Instant::now() + Duration::from_secs(20);
        // A child counts once it has done something; with all others alive, every child gets on.
        while child.ledger.done() == 0 && child.is_running() {
            assert!(Instant::now() < stuck, "child {number} gets nowhere: {queue:?}");
            thread::sleep(Duration::from_micros(100));
        }
        let pause = random.below(1500);
        let until = Instant::now() + Duration::from_micros(pause);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        child.process.kill().unwrap();
        killed += u32::from(was_killed(child.wait()));
        accounts.add(slot < 2, *number, &child.ledger);
        children[slot] = start(slot);
    }
    for (slot, (number, child)) in children.iter_mut().enumerate() {
        child.kill();
        accounts.add(slot < 2, *number, &child.ledger);
    }
    let left = queue.len();
    queue.close();
    let mut drained = 0;
    loop {
        match queue.get_timeout(Duration::from_secs(20)) {
            Ok(item) => {
                let (putter, number) = checked(&item);
                accounts.deliver(putter, number);
                drained += 1;
            }
            Err(GetError::Closed) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(left, drained, "len is exact");
    accounts.check(queue.inner.counts());
    eprintln!(
        "{killed} kills: {} items, {} died with their getters: {} noted as taken, {} getters killed in the act",
        queue.inner.counts().0,
        accounts.lost,
        accounts.taken,
        accounts.in_the_act
    );
}

/// Who put what and who got what.
#[derive(Default)]
struct Accounts {
    /// Of each putter: how many puts had begun, and were done, when it died.
    putters: HashMap<u32, (u64, u64)>,
    /// Of each putter, the items that were delivered.
    delivered: HashMap<u32, Vec<u32>>,
    /// Items that getters had taken, by their own notes, and not yet written down when they died.
    taken: u64,
    /// Getters that died in the very step that takes the item (a system call, if it wakes a
    /// putter): before or after, nobody knows.
    in_the_act: u64,
    deliveries: u64,
    lost: u64,
}

impl Accounts {
    fn add(&mut self, is_putter: bool, child: u32, ledger: &Ledger) {
        if is_putter {
            self.putters.insert(child, (ledger.begun(), ledger.done()));
            return;
        }
        let mut last = HashMap::new();
        for entry in ledger.entries() {
            let (putter, number) = ((entry >> 32) as u32, entry as u32);
            if let Some(before) = last.insert(putter, number) {
                assert!(before < number, "a getter sees each putter's items in order");
            }
            self.deliver(putter, number);
        }
        let taken = ledger.took_effect() - ledger.done();
        let in_the_act = ledger.about() - ledger.took_effect();
        assert!(taken + in_the_act <= ledger.begun() - ledger.done() && taken + in_the_act <= 1);
        self.taken += taken;
        self.in_the_act += in_the_act;
    }

    fn deliver(&mut self, putter: u32, number: u32) {
        self.delivered.entry(putter).or_default().push(number);
        self.deliveries += 1;
    }

    fn check(&mut self, (put, got): (u64, u64)) {
        assert_eq!(put, got, "the queue is empty");
        let (mut at_least, mut at_most) = (0, 0);
        for (putter, (begun, done)) in &self.putters {
            assert!(begun - done <= 1);
            at_least += done;
            at_most += begun;
            let numbers = self.delivered.entry(*putter).or_default();
            numbers.sort_unstable();
            assert!(
                numbers.windows(2).all(|pair| pair[0] != pair[1]),
                "nothing is delivered twice"
            );
            assert!(
                numbers.last().is_none_or(|last| u64::from(*last) < *begun),
                "nothing comes from nowhere"
            );
        }
        assert!(self.delivered.keys().all(|putter| self.putters.contains_key(putter)));
        assert!(at_least <= put && put <= at_most, "{at_least} <= {put} <= {at_most}");
        self.lost = put - self.deliveries;
        // What died with a getter is what that getter had taken. A getter that died waiting,
        // reading, or anywhere else, took nothing.
        let most = self.taken + self.in_the_act;
        assert!(
            self.taken <= self.lost && self.lost <= most,
            "{} <= {} <= {most}",
            self.taken,
            self.lost
        );
    }
}

/// A small generator: SplitMix64, by S. Vigna.
struct RandomState(u64);

impl RandomState {
    fn new() -> RandomState {
        use std::hash::{BuildHasher, RandomState as Seed};
        let seed = env::var("QUEUE_SEED")
            .map_or_else(|_| Seed::new().hash_one(0), |seed| seed.parse().unwrap());
        eprintln!("QUEUE_SEED={seed}");
        RandomState(seed)
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % bound
    }
}
