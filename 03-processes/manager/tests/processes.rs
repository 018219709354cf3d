//! The manager in a program of many processes: forks, signals, handles of queues as items; values
//! that cannot be encoded or decoded; and every duration that there is.
#![allow(unsafe_code, reason = "a test forks")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use harness::wait_until;
use multiproc::Queue;
use multiproc_manager::{Client, Manager, ManagerError, RemoteQueue};
use nix::libc;
use nix::sys::signal::{self, SigSet, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use serde::de::DeserializeOwned;
use serde::ser::{Error, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

harness::tests!([
    a_fork_gets_errors_and_changes_nothing,
    its_thread_blocks_all_signals,
    a_lease_given_again_has_its_handle,
    what_cannot_be_decoded_is_taken_with_an_error,
    what_cannot_be_encoded_is_not_put,
    every_function_with_a_duration_is_tested,
    any_duration_is_taken,
    a_short_wait_for_nothing_ends,
    an_endless_wait_lasts_until_there_is_something,
] helpers [wait_for_signals]);

const KEY: &[u8] = b"key";

fn connect<T: Serialize + DeserializeOwned>(manager: &Manager, queue: &str) -> RemoteQueue<T> {
    Client::new(manager.address(), KEY).unwrap().queue(queue).unwrap()
}

/// What a copy of this process owns, to be dropped there.
fn owned<T>(value: &T) -> T {
    // SAFETY: only called in a fork, which exits without dropping the value another time.
    unsafe { std::ptr::read(value) }
}

fn is_about_forks(error: &dyn std::error::Error) -> bool {
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}").contains("forked")
}

fn a_fork_gets_errors_and_changes_nothing() {
    let manager = Manager::builder(KEY).queue("tasks", None).start().unwrap();
    let client = Client::new(manager.address(), KEY).unwrap();
    let mut tasks = client.queue::<u32>("tasks").unwrap();
    tasks.put(&8).unwrap();
    let lease = tasks.get().unwrap();
    let check = || {
        let refused = client.queue::<u32>("tasks").err().unwrap();
        assert!(matches!(refused, ManagerError::Disconnected(_)) && is_about_forks(&refused));
        drop(owned(&lease));
        drop(owned(&manager));
        assert!(Manager::builder(KEY).start().is_err_and(|error| is_about_forks(&error)));
    };
    // SAFETY: the copy runs code that takes locks only of this test, which no other thread of it
    // takes, and allocates, which the C library permits there.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
        ForkResult::Child => {
            nix::unistd::alarm::set(30); // seconds: long enough for anything that does not hang
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
            std::process::exit(if outcome.is_ok() { 0 } else { 101 });
        }
    }
    assert_eq!(lease.acknowledge().unwrap(), 8);
    assert_eq!(tasks.count().unwrap(), (0, 0));
}

/// A signal that is sent to the process goes to a thread that does not block it, so a program that
/// waits for signals misses some if another thread takes them.
fn its_thread_blocks_all_signals() {
    let status = harness::helper("wait_for_signals").status().unwrap();
    assert!(status.success(), "{status}");
}

fn wait_for_signals() {
    let _manager = Manager::builder(KEY).queue("tasks", None).start().unwrap();
    let blocked = || {
        fs::read_dir("/proc/self/task").unwrap().flatten().find_map(|thread| {
            let status = fs::read_to_string(thread.path().join("status")).ok()?;
            let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
            (field("Name:\t") == Some("manager")).then_some(())?;
            u64::from_str_radix(field("SigBlk:\t")?, 16).ok()
        })
    };
    // A thread gives itself its name, a moment after it has begun.
    assert!(wait_until(Duration::from_secs(20), || blocked().is_some()));
    let bit = |signal: i32| 1u64 << (signal - 1);
    let all: u64 = (1..=31).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).map(bit).sum();
    let all = all & !bit(libc::SIGKILL) & !bit(libc::SIGSTOP);
    assert_eq!(blocked().unwrap() & all, all);

    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGHUP];
    let set: SigSet = signals.into_iter().collect();
    set.thread_block().unwrap();
    for round in 0..200 {
        for wanted in signals {
            signal::kill(Pid::this(), wanted).unwrap();
            assert_eq!(set.wait().unwrap(), wanted, "in round {round}");
        }
    }
}

/// A queue with this number in it.
fn with(number: u32) -> Queue<u32> {
    let queue = Queue::bounded(1).unwrap();
    queue.put(&number).unwrap();
    queue
}

fn a_lease_given_again_has_its_handle() {
    let manager = Manager::builder(KEY).queue("handles", None).start().unwrap();
    let mut here = connect::<Queue<u32>>(&manager, "handles");
    let mut there = connect::<Queue<u32>>(&manager, "handles");
    let mailbox = Queue::<Queue<u32>>::bounded(4).unwrap();
    let queue = with(1);
    mailbox.put(&queue).unwrap();
    here.put(&queue).unwrap();
    drop(queue);
    for _ in 0..3 {
        // Dropped without being acknowledged, the item comes again.
        assert_eq!(there.get().unwrap().len(), 1);
    }
    let leased = there.get().unwrap().acknowledge().unwrap();
    drop(leased);
    // Whatever nobody holds is found and used again.
    drop((0..200).map(|_| Queue::bounded(1).unwrap()).collect::<Vec<Queue<u8>>>());
    assert_eq!(mailbox.get().unwrap().try_get().unwrap(), 1);
    here.close().unwrap();
    assert!(matches!(here.put(&with(2)), Err(ManagerError::Closed)));
}

/// Encoded as `WRITTEN` bytes, and decoded from `READ`.
#[derive(Debug)]
struct Lopsided<const WRITTEN: usize, const READ: usize>;

impl<const WRITTEN: usize, const READ: usize> Serialize for Lopsided<WRITTEN, READ> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if WRITTEN == 1 { serializer.serialize_u8(1) } else { (1u8, 1u8).serialize(serializer) }
    }
}

impl<'de, const WRITTEN: usize, const READ: usize> Deserialize<'de> for Lopsided<WRITTEN, READ> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if READ == 1 {
            u8::deserialize(deserializer).map(|_| Lopsided)
        } else {
            <(u8, u8)>::deserialize(deserializer).map(|_| Lopsided)
        }
    }
}

fn what_cannot_be_decoded_is_taken_with_an_error() {
    fn check<const WRITTEN: usize, const READ: usize>() {
        let manager = Manager::builder(KEY).queue("items", None).start().unwrap();
        let mut items = connect::<Lopsided<WRITTEN, READ>>(&manager, "items");
        items.put(&Lopsided).unwrap();
        let got = items.get_timeout(Duration::ZERO).map(drop);
        let is_error = matches!(&got, Err(ManagerError::Decode(e)) if e.bytes == [1; WRITTEN]);
        assert!(is_error, "{got:?}");
        assert_eq!(items.count().unwrap(), (0, 0));
    }
    check::<1, 2>();
    check::<2, 1>();
}

/// Announces one element and writes `WRITTEN`, or cannot be written at all.
#[derive(Debug, Deserialize)]
struct Wrong<const WRITTEN: usize>;

impl<const WRITTEN: usize> Serialize for Wrong<WRITTEN> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if WRITTEN == 1 {
            return Err(S::Error::custom("never"));
        }
        let mut elements = serializer.serialize_seq(Some(1))?;
        (0..WRITTEN).try_for_each(|n| elements.serialize_element(&(n as u8)))?;
        elements.end()
    }
}

fn what_cannot_be_encoded_is_not_put() {
    fn check<const WRITTEN: usize>() {
        let manager = Manager::builder(KEY).queue("items", None).start().unwrap();
        let mut items = connect::<Wrong<WRITTEN>>(&manager, "items");
        assert!(matches!(items.put(&Wrong), Err(ManagerError::Encode(_))));
        assert_eq!(items.count().unwrap(), (0, 0));
    }
    check::<0>();
    check::<1>();
    check::<2>();
}

/// Durations, from none to more than any clock can represent.
fn durations() -> Vec<Duration> {
    let limits = [i32::MAX as u64, u64::from(u32::MAX), i64::MAX as u64, u64::MAX];
    let units = [1, 1000, 1_000_000, 1_000_000_000];
    let around = |n: u64| [n.saturating_sub(1), n, n.saturating_add(1)];
    let seconds = limits.iter().flat_map(|limit| units.map(|unit| limit / unit)).flat_map(around);
    let mut all: Vec<Duration> = seconds.map(Duration::from_secs).collect();
    all.extend(units.map(|unit| Duration::from_nanos(unit - 1)));
    all.extend(limits.map(Duration::from_nanos));
    all.push(Duration::MAX);
    all
}

fn every_function_with_a_duration_is_tested() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = harness::functions_with_a_duration(&source);
    let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["connect_timeout", "get_timeout", "put_timeout", "handshake_timeout"]);
}

fn any_duration_is_taken() {
    for time in durations() {
        // Connecting takes its time, so this one is given some.
        let long = time.max(Duration::from_secs(60));
        let manager = Manager::builder(KEY).queue("tasks", Some(1));
        let manager = manager.handshake_timeout(long).start().unwrap();
        let client = Client::new(manager.address(), KEY).unwrap().connect_timeout(long);
        let mut tasks = client.queue::<u32>("tasks").unwrap();
        tasks.put_timeout(&7, time).unwrap();
        assert_eq!(tasks.get_timeout(time).unwrap().acknowledge().unwrap(), 7, "{time:?}");
    }
}

fn a_short_wait_for_nothing_ends() {
    let manager = Manager::builder(KEY).queue("full", Some(1)).queue("empty", None);
    let manager = manager.start().unwrap();
    let mut full = connect::<u32>(&manager, "full");
    let mut empty = connect::<u32>(&manager, "empty");
    full.put(&1).unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for time in [0, 1, 1000, 3_000_000].map(Duration::from_nanos) {
        assert!(matches!(full.put_timeout(&2, time), Err(ManagerError::Full)), "{time:?}");
        assert!(matches!(empty.get_timeout(time), Err(ManagerError::Empty)), "{time:?}");
        let nobody = Client::new(silent.local_addr().unwrap(), KEY).unwrap().connect_timeout(time);
        let refused = nobody.queue::<u32>("tasks");
        assert!(matches!(refused, Err(ManagerError::Disconnected(_))), "{time:?}");
    }
}

fn an_endless_wait_lasts_until_there_is_something() {
    let max = Duration::MAX;
    let manager = Manager::builder(KEY).queue("tasks", None).handshake_timeout(max).start();
    let manager = manager.unwrap();
    let client = Client::new(manager.address(), KEY).unwrap().connect_timeout(max);
    let mut producer = client.queue::<u32>("tasks").unwrap();
    let mut consumer = client.queue::<u32>("tasks").unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| consumer.get_timeout(max).unwrap().acknowledge().unwrap());
        thread::sleep(Duration::from_millis(200));
        assert!(!waiting.is_finished());
        producer.put(&6).unwrap();
        assert_eq!(waiting.join().unwrap(), 6);
    });
}
