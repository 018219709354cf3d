//! The queue in one process, between processes, and with processes that are killed.
//!
//! This file has the tools: a child process is this test binary, started again to run the "test"
//! [`child`] only, with the arena as its standard input. What a child has done is in a [`Ledger`].
//! Each test has a deadline after which the whole run is aborted.

use std::collections::BTreeSet;
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

mod kill_points;
mod one_process;
mod processes;
mod random_kills;

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
