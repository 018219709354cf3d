//! Limits on what a process may have: open files, and the length of a file. What they forbid is an
//! error, and nothing is lost by it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use harness::{helper, wait_until};
use multiproc::pipe::{self, RecvError, SendError};
use multiproc::queue::{PutError, Queue};
use multiproc::{Descriptor, JoinError, Pool, SpawnError, ring, spawn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

harness::tests!([
    a_message_waits_until_there_is_room_for_its_descriptors,
    a_large_message_waits_until_there_is_room,
    a_message_waits_for_all_of_its_descriptors,
    nothing_is_sent_when_there_is_no_room,
    a_result_waits_until_there_is_room,
    a_limit_on_file_sizes_is_an_error_and_no_signal,
] helpers [
    file_size_of_nothing,
    file_size_of_a_mebibyte,
    file_size_of_a_gibibyte,
]);

const LARGE: usize = 100_000;

/// Every descriptor that this process may open, but for `left` of them.
struct Starved {
    before: Rlimit,
    open: Vec<OwnedFd>,
}

impl Starved {
    fn new(left: usize) -> Starved {
        let before = getrlimit(Resource::Nofile);
        let first = File::open("/dev/null").unwrap();
        let limit = first.as_raw_fd() as u64 + 100;
        setrlimit(Resource::Nofile, Rlimit { current: Some(limit), ..before }).unwrap();
        let mut open = vec![OwnedFd::from(first)];
        while let Ok(another) = open[0].try_clone() {
            open.push(another);
        }
        open.truncate(open.len() - left);
        Starved { before, open }
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        self.open.clear();
        setrlimit(Resource::Nofile, self.before).unwrap();
    }
}

/// A file with this text, read from its beginning.
fn file(text: &str) -> Descriptor {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    Descriptor::new(reader)
}

fn text(file: Descriptor) -> String {
    let mut text = String::new();
    File::from(file.into_inner()).read_to_string(&mut text).unwrap();
    text
}

#[track_caller]
fn assert_waits<T: std::fmt::Debug>(received: Result<T, RecvError>) {
    match received {
        Err(RecvError::Io(error)) if error.kind() == ErrorKind::QuotaExceeded => {
            assert!(error.to_string().contains("too many open files"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

fn a_message_waits_until_there_is_room_for_its_descriptors() {
    let (sender, receiver) = pipe::simplex::<(u32, Option<Descriptor>)>().unwrap();
    sender.send(&(0, None)).unwrap();
    sender.send(&(1, Some(file("one")))).unwrap();
    sender.send(&(2, None)).unwrap();
    sender.send(&(3, Some(file("three")))).unwrap();
    drop(sender);
    let starved = Starved::new(0);
    assert_eq!(receiver.recv().unwrap().0, 0, "there is nothing in it to make room for");
    for _ in 0..3 {
        assert_waits(receiver.recv());
        assert_waits(receiver.recv_timeout(Duration::ZERO));
        assert_waits(receiver.recv_timeout(Duration::from_secs(60)));
    }
    drop(starved);
    let (number, one) = receiver.recv().unwrap();
    assert_eq!((number, text(one.unwrap())), (1, "one".to_owned()));
    let starved = Starved::new(0);
    assert_eq!(receiver.recv().unwrap().0, 2);
    assert_waits(receiver.recv());
    drop(starved);
    let (number, three) = receiver.recv().unwrap();
    assert_eq!((number, text(three.unwrap())), (3, "three".to_owned()));
    let _starved = Starved::new(0);
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
}

fn a_large_message_waits_until_there_is_room() {
    let (sender, receiver) = pipe::simplex::<String>().unwrap();
    sender.send(&"x".repeat(LARGE)).unwrap();
    sender.send(&"small".to_owned()).unwrap();
    let starved = Starved::new(0);
    (0..3).for_each(|_| assert_waits(receiver.recv()));
    drop(starved);
    assert_eq!(receiver.recv().unwrap(), "x".repeat(LARGE));
    assert_eq!(receiver.recv().unwrap(), "small");
}

fn a_message_waits_for_all_of_its_descriptors() {
    let (sender, receiver) = pipe::simplex::<(String, Vec<Descriptor>, Queue<u32>)>().unwrap();
    let queue = Queue::bounded(1).unwrap();
    queue.put(&7).unwrap();
    // Three in the value, one for its length, one that holds the queue.
    let files = vec![file("a"), file("b"), file("c")];
    sender.send(&("x".repeat(LARGE), files, queue)).unwrap();
    for left in 0..5 {
        let starved = Starved::new(left);
        assert_waits(receiver.recv());
        // The ones that could be had are given back.
        let had: Vec<_> = (0..left).map(|_| starved.open[0].try_clone().unwrap()).collect();
        assert!(starved.open[0].try_clone().is_err());
        drop(had);
    }
    let _starved = Starved::new(5);
    let (long, files, queue) = receiver.recv().unwrap();
    assert_eq!((long.len(), queue.try_get().unwrap()), (LARGE, 7));
    assert_eq!(files.into_iter().map(text).collect::<String>(), "abc");
}

fn nothing_is_sent_when_there_is_no_room() {
    let (sender, receiver) = pipe::simplex::<(String, Option<Descriptor>)>().unwrap();
    let one = file("one");
    let message = (String::new(), Some(one));
    let starved = Starved::new(0);
    for _ in 0..3 {
        let large = sender.send(&("x".repeat(LARGE), None));
        assert!(matches!(large, Err(SendError::Io(_))), "{large:?}");
        let with_descriptor = sender.send(&message);
        assert!(matches!(with_descriptor, Err(SendError::Encode(_))), "{with_descriptor:?}");
        let child = spawn(|text: String| text, String::new());
        assert!(matches!(child, Err(SpawnError::Io(_))), "{child:?}");
    }
    sender.send(&("small".to_owned(), None)).unwrap();
    drop(starved);
    sender.send(&message).unwrap();
    assert_eq!(receiver.recv().unwrap().0, "small");
    assert_eq!(text(receiver.recv().unwrap().1.unwrap()), "one");
}

fn a_result_waits_until_there_is_room() {
    let large = spawn(|()| "x".repeat(LARGE), ()).unwrap();
    let descriptor = spawn(|()| file("from the child"), ()).unwrap();
    let queue = |()| {
        let queue = Queue::bounded(1).unwrap();
        queue.put(&7u32).unwrap();
        queue
    };
    let queue = spawn(queue, ()).unwrap();
    let small = spawn(|()| 1u32, ()).unwrap();
    let pool = Pool::builder().workers(1).build().unwrap();
    let task = pool.apply_async(|()| "x".repeat(LARGE), ()).unwrap();
    let is_over = || ![large.is_alive(), descriptor.is_alive(), queue.is_alive()].contains(&true);
    assert!(wait_until(Duration::from_secs(60), is_over));
    // A result that has been received gives the descriptor of its socket back.
    assert_eq!(small.join(), Ok(1));
    let starved = Starved::new(0);
    let waits = Some(JoinError::Io(ErrorKind::QuotaExceeded));
    for _ in 0..3 {
        assert_eq!(large.join().err(), waits);
        assert_eq!(descriptor.join().err(), waits);
        assert_eq!(descriptor.join_timeout(Duration::ZERO).err(), waits);
        assert_eq!(queue.join().err(), waits);
        assert_eq!(small.join(), Ok(1));
    }
    assert_eq!(task.get().unwrap().len(), LARGE, "it needs no descriptor");
    drop(starved);
    assert_eq!(large.join().unwrap().len(), LARGE);
    assert_eq!(text(descriptor.join().unwrap()), "from the child");
    assert_eq!(queue.join().unwrap().try_get().unwrap(), 7);
    // Once received, a result is copied for each who joins: that needs room as well.
    let starved = Starved::new(0);
    assert_eq!(descriptor.join().err(), waits);
    assert_eq!(large.join().unwrap().len(), LARGE);
    drop(starved);
    assert_eq!(text(descriptor.join().unwrap()), "");
}

fn a_limit_on_file_sizes_is_an_error_and_no_signal() {
    for name in ["file_size_of_nothing", "file_size_of_a_mebibyte", "file_size_of_a_gibibyte"] {
        let status = helper(name).status().unwrap();
        assert!(status.success(), "{name}: {status} (signal {:?})", status.signal());
    }
}

/// Limits the length of files from here on; the hard limit stays, so that it is the caller's to
/// lift.
fn limit_file_size(bytes: u64) {
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), ..before }).unwrap();
}

#[track_caller]
fn assert_too_large<T>(result: std::io::Result<T>) {
    let error = result.err().expect("more than the limit");
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    assert!(error.to_string().contains("limit on file sizes"), "{error}");
}

fn file_size_of_nothing() {
    limit_file_size(0);
    assert_too_large(Queue::<u32>::bounded(1));
    assert_too_large(ring::create(4096));
    match spawn(|()| (), ()) {
        Err(SpawnError::Io(error)) => assert_too_large::<()>(Err(error)),
        other => panic!("{other:?}"),
    }
    assert!(Pool::builder().workers(1).build().is_err());
    // A pipe needs no shared memory for small messages.
    let (sender, receiver) = pipe::simplex::<String>().unwrap();
    match sender.send(&"x".repeat(LARGE)) {
        Err(SendError::Io(error)) => assert_too_large::<()>(Err(error)),
        other => panic!("{other:?}"),
    }
    sender.send(&"small".to_owned()).unwrap();
    assert_eq!(receiver.recv().unwrap(), "small");
    // When the limit is lifted all of it works.
    setrlimit(Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
    assert_eq!(spawn(|n: u32| n + 1, 1).unwrap().join(), Ok(2));
    assert!(Queue::<u32>::bounded(1).is_ok());
}

fn file_size_of_a_mebibyte() {
    limit_file_size(1 << 20);
    assert_eq!(spawn(|n: u32| n + 1, 1).unwrap().join(), Ok(2));
    assert_eq!(spawn(|text: String| text.len(), "x".repeat(LARGE)).unwrap().join(), Ok(LARGE));
    assert!(matches!(spawn(|text: String| text, "x".repeat(2 << 20)), Err(SpawnError::Io(_))));
    // A child has the limit too, and its result is an error there.
    let result = spawn(|()| "x".repeat(2 << 20), ()).unwrap().join();
    assert!(
        matches!(&result, Err(JoinError::Encode(error)) if error.to_string().contains("limit")),
        "{result:?}"
    );
    assert_too_large(Queue::<u32>::bounded(1));
    assert_too_large(ring::create(4096));
    assert!(Pool::builder().workers(1).build().is_err());
}

fn file_size_of_a_gibibyte() {
    limit_file_size(1 << 30);
    let queue = Queue::<Vec<u8>>::unbounded().unwrap();
    queue.put(&vec![1; 1 << 20]).unwrap();
    // In the larger part of a queue there is no memory to be had: the item is not put, and the
    // queue is as before.
    match queue.put(&vec![2; 20 << 20]) {
        Err(PutError::System(error)) => assert_too_large::<()>(Err(error)),
        other => panic!("{other:?}"),
    }
    queue.put(&vec![3; 1000]).unwrap();
    let take = |queue: Queue<Vec<u8>>| (queue.get().unwrap().len(), queue.get().unwrap().len());
    assert_eq!(spawn(take, queue.clone()).unwrap().join(), Ok((1 << 20, 1000)));
    // Small items until there is no room: the queue says so, and goes on when there is room again.
    let mut put = 0;
    let error = loop {
        match queue.try_put(&vec![4; 100_000]) {
            Ok(()) => put += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, PutError::System(_)) && put > 10, "{put}: {error:?}");
    (0..put).for_each(|_| assert_eq!(queue.get().unwrap().len(), 100_000));
    queue.put(&vec![5; 100_000]).unwrap();
    assert_eq!(queue.get().unwrap(), vec![5; 100_000]);
    assert_too_large(ring::create(1 << 30));
    let pool = Pool::builder().workers(2).build().unwrap();
    assert_eq!(pool.map(|n: u64| n * n, 0..100).unwrap()[99], 99 * 99);
    assert_eq!(pool.apply(|text: String| text, "x".repeat(2 << 20)).unwrap().len(), 2 << 20);
}
