//! Values that are written once and read by many processes, and slices behind a lock.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;

use multiproc::encoding::{decode, encode};
use multiproc::shared::{Array, Shared};
use multiproc::sync::{Mutex, RwLock};
use multiproc::{Pool, Queue, spawn};

harness::tests! {
    [
        four_processes_read_one_copy,
        values_are_built_read_and_copied,
        a_handle_travels_by_every_way_and_outlives_its_maker,
        what_is_not_such_a_value_is_refused,
        nothing_is_left_of_what_killed_processes_made,
        a_slice_behind_a_lock_is_changed_by_all,
    ]
    helpers []
}

/// How many bytes the memory holds that this process shares with all it has started.
fn shared_memory() -> u64 {
    let memory = fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| {
        let path = entry.ok()?.path();
        let target = fs::read_link(&path).ok()?;
        target.to_string_lossy().starts_with("/memfd:").then_some(path)
    });
    512 * fs::metadata(memory.expect("there is shared memory")).unwrap().blocks()
}

/// The bytes that this process holds and does not share.
fn own_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

fn four_processes_read_one_copy() {
    const LEN: usize = 8 << 20; // 64 MiB
    let bytes = 8 * LEN as u64;
    drop(Queue::<u8>::bounded(1).unwrap());
    let before = shared_memory();
    let write =
        |values: &mut [f64]| values.iter_mut().zip(0..).for_each(|(v, n)| *v = f64::from(n));
    let values: Shared<[f64]> = Shared::build(LEN, write).unwrap();
    let read = |values: Shared<[f64]>| (values.iter().sum::<f64>(), own_memory());
    let children: Vec<_> = (0..4).map(|_| spawn(read, values.clone()).unwrap()).collect();
    for child in &children {
        let (sum, own) = child.join().unwrap();
        assert_eq!(sum, (LEN as f64 - 1.0) * LEN as f64 / 2.0);
        assert!(own < bytes / 2, "a reader holds {own} bytes of its own");
    }
    let held = shared_memory() - before;
    assert!(held >= bytes && held <= bytes + bytes / 20, "{held} of {bytes} bytes");
    drop(values);
    drop(Queue::<u8>::bounded(1).unwrap());
    assert!(shared_memory() <= before + (1 << 20), "it is given back");
}

fn values_are_built_read_and_copied() {
    let built: Shared<[u16]> = Shared::build(3, |values| values[1] = 7).unwrap();
    assert_eq!(*built, [0, 7, 0]);
    assert_eq!(*Shared::copy_of(&[[1_u64, 2], [3, 4]]).unwrap(), [[1, 2], [3, 4]]);
    assert_eq!(*Shared::<[u32]>::copy_of(&[]).unwrap(), []);
    let text = b"abcdefgh".as_slice();
    assert_eq!(*Shared::<[[u8; 2]]>::read_from(3, text).unwrap(), [*b"ab", *b"cd", *b"ef"]);
    let short = Shared::<[u8]>::read_from(9, text).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::UnexpectedEof);
    let mut file = unnamed_file();
    file.write_all(&vec![5; 100_000]).unwrap();
    assert_eq!(Shared::read_file(&file).unwrap().len(), 0, "it stands at its end");
    std::io::Seek::rewind(&mut file).unwrap();
    assert_eq!(*Shared::read_file(&file).unwrap(), vec![5; 100_000]);
    let many = Shared::<[u64]>::build(usize::MAX / 4, |_| ()).unwrap_err();
    assert_eq!(many.kind(), ErrorKind::InvalidInput);
    assert_eq!(format!("{built:?}"), "[0, 7, 0]");
}

/// A file without a name.
fn unnamed_file() -> fs::File {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    rustix::fs::memfd_create("a file of a test", flags).unwrap().into()
}

fn a_handle_travels_by_every_way_and_outlives_its_maker() {
    let make = |()| Shared::copy_of(&[1_u32, 2, 3]).unwrap();
    let values = spawn(make, ()).unwrap().join().unwrap();
    assert_eq!(*values, [1, 2, 3], "a result");
    let queue = Queue::unbounded().unwrap();
    queue.put(&values).unwrap();
    drop(values);
    let values: Shared<[u32]> = queue.get().unwrap();
    let pool = Pool::builder().workers(2).build().unwrap();
    let sums = pool.map(|values: Shared<[u32]>| values.iter().sum::<u32>(), vec![values; 8]);
    assert_eq!(sums.unwrap(), [6; 8]);
}

fn what_is_not_such_a_value_is_refused() {
    let values = Shared::copy_of(&[1_u32; 10]).unwrap();
    let bytes = || encode(&values).unwrap().into_bytes();
    assert!(decode::<Shared<[u32]>>(bytes()).is_ok());
    assert!(decode::<Shared<[i32]>>(bytes()).is_err());
    assert!(decode::<Array<std::sync::atomic::AtomicU32>>(bytes()).is_err());
    assert!(decode::<Mutex<[u32]>>(bytes()).is_err());
    // What others may change is never taken for what nobody changes.
    let mutex = Mutex::<[u32]>::zeroed(10).unwrap();
    let bytes = || encode(&mutex).unwrap().into_bytes();
    assert!(decode::<Mutex<[u32]>>(bytes()).is_ok());
    assert!(decode::<Shared<[u32]>>(bytes()).is_err());
    assert!(decode::<RwLock<[u32]>>(bytes()).is_err());
    let array = Array::<std::sync::atomic::AtomicU32>::new(10).unwrap();
    assert!(decode::<Shared<[u32]>>(encode(&array).unwrap().into_bytes()).is_err());
    // A handle with another length, more than there is or less, or to another region.
    for at in 0..bytes().len() {
        let mut forged = bytes();
        forged[at] = forged[at].wrapping_add(1);
        if let Ok(mutex) = decode::<Mutex<[u32]>>(forged) {
            mutex.lock().unwrap().fill(1);
        }
    }
}

fn nothing_is_left_of_what_killed_processes_made() {
    let makes = |queue: Queue<u32>| -> () {
        loop {
            let values = Shared::<[u8]>::build(3 << 20, |values| values.fill(1)).unwrap();
            queue.put(&u32::from(values[0])).unwrap();
        }
    };
    let mut held = Vec::new();
    for _ in 0..20 {
        let queue = Queue::bounded(1).unwrap();
        let child = spawn(makes, queue.clone()).unwrap();
        queue.get().unwrap();
        child.kill().unwrap();
        assert!(child.join().is_err());
        (0..20).for_each(|_| drop(Queue::<u8>::bounded(1).unwrap()));
        held.push(shared_memory());
    }
    assert!(held[19] <= held[3] + (8 << 20), "{held:?}");
}

fn a_slice_behind_a_lock_is_changed_by_all() {
    let (mutex, lock) = (Mutex::<[u64]>::zeroed(1000).unwrap(), RwLock::zeroed(1000).unwrap());
    let add = |(mutex, lock): (Mutex<[u64]>, RwLock<[u64]>)| {
        for _ in 0..50 {
            mutex.lock().unwrap().iter_mut().for_each(|value| *value += 1);
            lock.write().unwrap().iter_mut().for_each(|value| *value += 1);
            let values = lock.read().unwrap();
            assert!(values.iter().all(|value| *value == values[0]));
        }
    };
    let children: Vec<_> =
        (0..4).map(|_| spawn(add, (mutex.clone(), lock.clone())).unwrap()).collect();
    children.iter().for_each(|child| child.join().unwrap());
    assert_eq!(*mutex.lock().unwrap(), [200; 1000]);
    assert_eq!(*lock.read().unwrap(), [200; 1000]);
    assert!(Mutex::<[u64]>::zeroed(usize::MAX / 4).is_err());
    assert_eq!(Mutex::<[u64]>::zeroed(0).unwrap().lock().unwrap().len(), 0);
}
