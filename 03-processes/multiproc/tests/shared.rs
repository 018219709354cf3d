//! Shared numbers: who may hold them, what becomes of them when holders die, and which handles are
//! refused.
#![allow(unsafe_code)]

use std::sync::atomic::{
    AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::SeqCst,
};
use std::thread;
use std::time::Duration;

use harness::wait_until;
use multiproc::encoding::{self, DecodeError};
use multiproc::queue::{GetError, Queue};
use multiproc::shared::{Array, Value};
use multiproc::{Pool, fork, ring, spawn};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::ForkResult;

harness::tests!([
    all_processes_see_one_number,
    numbers_outlive_the_processes_that_hold_them,
    a_handle_that_comes_too_late_is_an_error,
    a_handle_of_another_type_is_an_error,
    an_array_of_nothing_is_possible_and_one_too_large_is_an_error,
    a_new_array_is_zero_where_another_was,
    in_a_fork_numbers_are_seen_and_nothing_is_released,
] helpers []);

/// How long to wait for what happens soon.
const PATIENCE: Duration = Duration::from_secs(60);

fn all_processes_see_one_number() {
    let total = Value::<AtomicU64>::new(5).unwrap();
    let each = Array::<AtomicU16>::new(4).unwrap();
    let count = |(total, each): (Value<AtomicU64>, Array<AtomicU16>)| {
        for n in 0..1000 {
            total.fetch_add(1, SeqCst);
            each[n % 4].fetch_add(1, SeqCst);
        }
    };
    let handles = || (total.clone(), each.clone());
    let children: Vec<_> = (0..3).map(|_| spawn(count, handles()).unwrap()).collect();
    let pool = Pool::builder().workers(2).build().unwrap();
    pool.map(count, [handles(), handles()]).unwrap();
    children.iter().for_each(|child| child.join().unwrap());
    assert_eq!(total.load(SeqCst), 5005);
    assert_eq!(each.iter().map(|n| n.load(SeqCst)).collect::<Vec<_>>(), [1250; 4]);
    // Negative numbers, and the smallest ones.
    assert_eq!(Value::<AtomicI64>::new(-7).unwrap().load(SeqCst), -7);
    assert_eq!(Value::<AtomicU8>::new(u8::MAX).unwrap().fetch_add(1, SeqCst), u8::MAX);
}

fn numbers_outlive_the_processes_that_hold_them() {
    let number = Value::<AtomicU64>::new(0).unwrap();
    let hold = |number: Value<AtomicU64>| -> () {
        loop {
            number.fetch_add(1, SeqCst);
            thread::yield_now();
        }
    };
    let holders: Vec<_> = (0..3).map(|_| spawn(hold, number.clone()).unwrap()).collect();
    for holder in &holders {
        let before = number.load(SeqCst);
        assert!(wait_until(PATIENCE, || number.load(SeqCst) > before + 100), "somebody counts");
        holder.kill().unwrap();
        assert!(holder.join().is_err());
    }
    let last = number.load(SeqCst);
    thread::sleep(Duration::from_millis(5));
    assert_eq!(number.load(SeqCst), last, "all that counted are dead");

    // One that its creator holds no longer, and whose next holder is killed, is there for a third.
    let mailbox = Queue::<Value<AtomicU64>>::bounded(1).unwrap();
    let give = |mailbox: Queue<Value<AtomicU64>>| -> () {
        let number = Value::<AtomicU64>::new(41).unwrap();
        number.fetch_add(1, SeqCst);
        mailbox.put(&number).unwrap();
        loop {
            thread::park();
        }
    };
    let creator = spawn(give, mailbox.clone()).unwrap();
    let number = mailbox.get().unwrap();
    creator.kill().unwrap();
    assert!(creator.join().is_err());
    assert_eq!(number.load(SeqCst), 42);
}

fn a_handle_that_comes_too_late_is_an_error() {
    let number = Value::<AtomicU32>::new(1).unwrap();
    let array = Array::<AtomicU32>::new(10).unwrap();
    let bytes = (
        encoding::encode(&number).unwrap().into_bytes(),
        encoding::encode(&array).unwrap().into_bytes(),
    );
    drop((number, array));
    // The handles kept what they stand for; decoded and dropped, nobody holds it any more.
    assert_eq!(decode::<Value<AtomicU32>>(&bytes.0).unwrap().load(SeqCst), 1);
    assert_eq!(decode::<Array<AtomicU32>>(&bytes.1).unwrap().len(), 10);
    for error in [
        decode::<Value<AtomicU32>>(&bytes.0).unwrap_err(),
        decode::<Array<AtomicU32>>(&bytes.1).unwrap_err(),
    ] {
        assert!(error.to_string().contains("no process holds"), "{error}");
    }

    // In a queue, whose getter learns the same by an error of its own.
    let mailbox = Queue::<Value<AtomicU32>>::bounded(1).unwrap();
    let put = |mailbox: Queue<Value<AtomicU32>>| mailbox.put(&Value::new(1).unwrap()).unwrap();
    spawn(put, mailbox.clone()).unwrap().join().unwrap();
    // The process that put it has ended, and its tokens with it.
    drop((0..200).map(|_| Queue::<u8>::bounded(1).unwrap()).collect::<Vec<_>>());
    assert!(matches!(mailbox.get(), Err(GetError::Gone)));
}

fn decode<T: serde::de::DeserializeOwned + 'static>(bytes: &[u8]) -> Result<T, DecodeError> {
    encoding::decode(bytes.to_vec())
}

fn a_handle_of_another_type_is_an_error() {
    let array = Array::<AtomicU32>::new(3).unwrap();
    let bytes = encoding::encode(&array).unwrap().into_bytes();
    let wrong = [
        decode::<Array<AtomicU64>>(&bytes).map(drop),
        decode::<Array<AtomicI32>>(&bytes).map(drop),
        decode::<Value<AtomicU32>>(&bytes).map(drop),
    ];
    for error in wrong.map(Result::unwrap_err) {
        assert!(error.to_string().contains("another type"), "{error}");
        assert_eq!(error.bytes, bytes);
    }
    assert!(decode::<Queue<u32>>(&bytes).is_err());
    assert!(decode::<ring::Sender>(&bytes).is_err());
    assert_eq!(decode::<Array<AtomicU32>>(&bytes).unwrap().len(), 3);

    let number = Value::<AtomicU32>::new(3).unwrap();
    let bytes = encoding::encode(&number).unwrap().into_bytes();
    assert!(decode::<Array<AtomicU32>>(&bytes).is_err());
    assert_eq!(decode::<Value<AtomicU32>>(&bytes).unwrap().load(SeqCst), 3);
}

fn an_array_of_nothing_is_possible_and_one_too_large_is_an_error() {
    let nothing = Array::<AtomicU64>::new(0).unwrap();
    assert!(nothing.is_empty());
    let there = spawn(|nothing: Array<AtomicU64>| nothing.len(), nothing.clone()).unwrap();
    assert_eq!(there.join(), Ok(0));
    for len in [usize::MAX, usize::MAX / 8 + 1, usize::MAX / 16, 1 << 60, 1 << 48] {
        let error = Array::<AtomicU64>::new(len).unwrap_err();
        assert!(!error.to_string().is_empty(), "{len}");
    }
    // Memory is used only where it is touched.
    let large = Array::<AtomicU64>::new(1 << 30).unwrap();
    large[(1 << 30) - 1].store(9, SeqCst);
    let last = |large: Array<AtomicU64>| large[large.len() - 1].load(SeqCst);
    assert_eq!(spawn(last, large).unwrap().join(), Ok(9));
}

fn a_new_array_is_zero_where_another_was() {
    for _ in 0..50 {
        let array = Array::<AtomicU64>::new(3000).unwrap();
        assert!(array.iter().all(|n| n.load(SeqCst) == 0));
        array.iter().for_each(|n| n.store(u64::MAX, SeqCst));
    }
}

fn in_a_fork_numbers_are_seen_and_nothing_is_released() {
    let number = Value::<AtomicU64>::new(1).unwrap();
    // SAFETY: the copy uses numbers in memory and exits without running any destructor of the test.
    let copy = match unsafe { nix::unistd::fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            number.fetch_add(1, SeqCst);
            let is_right = fork::is_fork()
                && fork::check().is_err()
                && Value::<AtomicU64>::new(1).is_err()
                && Array::<AtomicU64>::new(1).is_err()
                && encoding::encode(&number).is_err();
            // SAFETY: the copy exits without dropping the value another time.
            drop(unsafe { std::ptr::read(&number) });
            std::process::exit(if is_right { 0 } else { 1 });
        }
    };
    assert_eq!(waitpid(copy, None).unwrap(), WaitStatus::Exited(copy, 0));
    // What the copy dropped is still held here: it is not another's.
    let others: Vec<_> = (0..50).map(|_| Array::<AtomicU64>::new(1).unwrap()).collect();
    others.iter().for_each(|other| other[0].store(7, SeqCst));
    assert_eq!(number.load(SeqCst), 2);
    let read = |number: Value<AtomicU64>| number.load(SeqCst);
    assert_eq!(spawn(read, number.clone()).unwrap().join(), Ok(2));
}
