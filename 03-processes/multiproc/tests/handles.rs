//! Handles of shared memory on their way from process to process: each keeps what it stands for
//! until it has arrived, by whatever way it goes, and no longer.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

use harness::wait_until;
use multiproc::pipe::{self, SendError};
use multiproc::queue::{Builder, GetError, PutError, Queue};
use multiproc::ring;
use multiproc::{Descriptor, Pool, SpawnError, TaskError, encoding, spawn};
use serde::{Deserialize, Serialize, Serializer};

harness::tests!([
    a_handle_in_a_mailbox_outlives_one_that_passes_through_a_child,
    a_handle_arrives_by_every_way,
    each_of_many_handles_of_one_queue_counts_by_itself,
    a_result_holds_its_queue_until_it_is_joined,
    a_message_holds_its_queue_when_its_sender_has_ended,
    a_result_holds_its_queue_when_its_worker_has_ended,
    an_argument_holds_its_queue_until_its_task_has_ended,
    queues_in_queues_in_queues,
    bytes_decoded_twice_tick_off_no_other_handle,
    what_never_arrives_is_released,
    failed_puts_pin_nothing,
    the_end_of_memory_does_not_move_with_the_sizes,
    encoded_bytes_keep_a_queue_until_they_are_dropped_or_decoded,
] helpers []);

/// A queue with this number in it.
fn with(number: u32) -> Queue<u32> {
    let queue = Queue::bounded(1).unwrap();
    queue.put(&number).unwrap();
    queue
}

/// Makes queues and drops them, so that whatever nobody holds is found and used again.
fn sweep() {
    let queues: Vec<Queue<u8>> = (0..200).map(|_| Queue::bounded(1).unwrap()).collect();
    drop(queues);
}

/// What is in the queue, or what became of it.
fn content(queue: &Queue<u32>) -> Result<u32, String> {
    queue.try_get().map_err(|error| error.to_string())
}

fn a_handle_in_a_mailbox_outlives_one_that_passes_through_a_child() {
    let mailbox = Queue::<Queue<u32>>::bounded(4).unwrap();
    let queue = with(7);
    mailbox.put(&queue).unwrap();
    let child = spawn(|queue: Queue<u32>| queue, queue.clone()).unwrap();
    drop(child.join().unwrap());
    drop((child, queue));
    sweep();
    assert_eq!(content(&mailbox.get().unwrap()), Ok(7));

    // Two children decode another handle each, and more than once.
    let queue = with(8);
    mailbox.put(&queue).unwrap();
    let take = |queues: Vec<Queue<u32>>| queues.iter().map(Queue::len).sum::<usize>();
    let children: Vec<_> = (0..2).map(|_| spawn(take, vec![queue.clone(); 3]).unwrap()).collect();
    assert!(children.iter().all(|child| child.join() == Ok(3)));
    drop(queue);
    sweep();
    assert_eq!(content(&mailbox.get().unwrap()), Ok(8));
}

/// Somebody who keeps no handle sends one, and it arrives.
fn a_handle_arrives_by_every_way() {
    let pool = Pool::builder().workers(1).build().unwrap();

    let items = Queue::bounded(1).unwrap();
    items.put(&with(1)).unwrap();
    sweep();
    assert_eq!(content(&items.get().unwrap()), Ok(1), "a queue's item");

    let (sender, receiver) = pipe::simplex().unwrap();
    sender.send(&with(2)).unwrap();
    sweep();
    assert_eq!(content(&receiver.recv().unwrap()), Ok(2), "a pipe's message");

    let child = spawn(|queue: Queue<u32>| content(&queue), with(3)).unwrap();
    sweep();
    assert_eq!(child.join().unwrap(), Ok(3), "a process's argument");

    let child = spawn(with, 4).unwrap();
    assert!(wait_until(Duration::from_secs(60), || !child.is_alive()));
    sweep();
    assert_eq!(content(&child.join().unwrap()), Ok(4), "a process's result");

    assert_eq!(pool.apply(|queue: Queue<u32>| content(&queue), with(5)).unwrap(), Ok(5));
    let result = pool.apply_async(with, 6).unwrap();
    assert!(wait_until(Duration::from_secs(60), || result.is_ready()));
    sweep();
    assert_eq!(content(&result.get().unwrap()), Ok(6), "a task's result");

    let (mut sender, mut receiver) = ring::create(4096).unwrap();
    sender.send(&postcard::to_stdvec(&with(7)).unwrap(), None).unwrap();
    sweep();
    let queue: Queue<u32> = postcard::from_bytes(receiver.recv(None).unwrap()).unwrap();
    assert_eq!(content(&queue), Ok(7), "a ring's message");

    // The ends of rings are handles as well, of up to three pieces of memory.
    let events = ring::EventCount::new().unwrap();
    let (mut sender, receiver) = ring::create_with(4096, Some(&events), Some(&events)).unwrap();
    let (ends, arrived) = pipe::simplex().unwrap();
    sender.send(b"8", None).unwrap();
    ends.send(&receiver).unwrap();
    drop((sender, receiver, events));
    sweep();
    assert_eq!(arrived.recv().unwrap().recv(None), Ok(&b"8"[..]), "a ring's end");
}

fn each_of_many_handles_of_one_queue_counts_by_itself() {
    const HANDLES: usize = 3000;
    let queue = Queue::<u32>::unbounded().unwrap();
    let mailbox = Queue::<Queue<u32>>::unbounded().unwrap();
    (0..HANDLES).for_each(|_| mailbox.put(&queue).unwrap());
    queue.put(&0).unwrap();
    drop(queue);
    let decode = |mailbox: Queue<Queue<u32>>| {
        for _ in 0..HANDLES / 4 {
            let queue = mailbox.get().unwrap();
            let number = queue.get().unwrap();
            queue.put(&(number + 1)).unwrap();
        }
    };
    for _ in 0..3 {
        let children: Vec<_> = (0..1).map(|_| spawn(decode, mailbox.clone()).unwrap()).collect();
        children.iter().for_each(|child| child.join().unwrap());
        sweep();
    }
    for _ in 0..HANDLES / 4 - 1 {
        drop(mailbox.get().unwrap());
    }
    let last = mailbox.get().unwrap();
    assert_eq!(content(&last), Ok(HANDLES as u32 / 4 * 3));
    drop(last);
    assert!(mailbox.is_empty());
}

fn a_result_holds_its_queue_until_it_is_joined() {
    let children: Vec<_> = (0..4).map(|number| spawn(with, number).unwrap()).collect();
    assert!(wait_until(Duration::from_secs(60), || !children.iter().any(|child| child.is_alive())));
    sweep();
    for (number, child) in children.iter().enumerate() {
        // Joining again gives another handle of the same queue.
        let first = child.join().unwrap();
        assert_eq!(content(&first), Ok(number as u32));
        first.put(&100).unwrap();
        drop(first);
        sweep();
        assert_eq!(content(&child.join().unwrap()), Ok(100));
    }
}

fn a_message_holds_its_queue_when_its_sender_has_ended() {
    let (sender, receiver) = pipe::simplex::<(String, Queue<u32>)>().unwrap();
    let send = |sender: pipe::Sender<(String, Queue<u32>)>| {
        sender.send(&("short".to_owned(), with(1))).unwrap();
        sender.send(&("x".repeat(100_000), with(2))).unwrap();
    };
    let child = spawn(send, sender).unwrap();
    child.join().unwrap();
    sweep();
    for number in 1..=2 {
        let (_, queue) = receiver.recv().unwrap();
        assert_eq!(content(&queue), Ok(number));
    }
}

fn a_result_holds_its_queue_when_its_worker_has_ended() {
    let pool = Pool::builder().workers(2).max_tasks_per_worker(1).build().unwrap();
    let results: Vec<_> = (0..6).map(|number| pool.apply_async(with, number).unwrap()).collect();
    assert!(wait_until(Duration::from_secs(60), || results.iter().all(|one| one.is_ready())));
    pool.join();
    sweep();
    for (number, result) in results.into_iter().enumerate() {
        assert_eq!(content(&result.get().unwrap()), Ok(number as u32));
    }

    // In chunks, with and without handles, one by one, and in any order.
    type Maybe = Option<Queue<u32>>;
    let make = |number: u32| -> Maybe { number.is_multiple_of(3).then(|| with(number)) };
    let check = |number: u32, made: Maybe| {
        assert_eq!(made.is_some(), number.is_multiple_of(3));
        made.into_iter().for_each(|queue| assert_eq!(content(&queue), Ok(number)));
    };
    let pool = Pool::builder().workers(2).max_tasks_per_worker(20).build().unwrap();
    let made = pool.options().chunk(10).map(make, 0..100).unwrap();
    sweep();
    made.into_iter().zip(0..).for_each(|(made, number)| check(number, made));
    let mut made = pool.imap(make, 0..100);
    for number in 0..100 {
        if number % 10 == 0 {
            sweep();
        }
        check(number, made.next().unwrap().unwrap());
    }
    drop(made);
    let mut numbers: Vec<u32> = pool
        .imap_unordered(make, 0..100)
        .filter_map(|made| Some(content(&made.unwrap()?).unwrap()))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).step_by(3).collect::<Vec<_>>());
}

fn an_argument_holds_its_queue_until_its_task_has_ended() {
    // The task's first worker is killed, and the argument decoded again; nobody else has it.
    let pool = Pool::builder().workers(2).build().unwrap();
    let deaths = with(0);
    let task = |(queue, deaths): (Queue<u32>, Queue<u32>)| {
        let before = deaths.get().unwrap();
        deaths.put(&(before + 1)).unwrap();
        if before < 2 {
            std::process::abort();
        }
        content(&queue)
    };
    let result = pool.options().retry_lost().apply(task, (with(1), deaths.clone()));
    assert_eq!((result.unwrap(), content(&deaths)), (Ok(1), Ok(3)));

    // Far ahead of the worker, in chunks.
    let pool = Pool::builder().workers(1).build().unwrap();
    for chunk in [1, 16] {
        let numbers = pool.options().chunk(chunk).map(|queue| content(&queue), (0..200).map(with));
        assert!(numbers.unwrap().into_iter().eq((0..200).map(Ok)));
        let numbers = pool.options().chunk(chunk).imap(|queue| content(&queue), (0..200).map(with));
        assert!(numbers.map(Result::unwrap).eq((0..200).map(Ok)));
    }
}

fn queues_in_queues_in_queues() {
    type One = Queue<u32>;
    type Two = Queue<One>;
    type Three = Queue<Two>;
    fn nested(number: u32) -> Three {
        let (two, three) = (Two::bounded(2).unwrap(), Three::bounded(2).unwrap());
        two.put(&with(number)).unwrap();
        three.put(&two).unwrap();
        three
    }
    fn innermost(three: &Three) -> Result<u32, String> {
        content(&three.get().unwrap().get().unwrap())
    }
    let outermost = Queue::<Three>::bounded(2).unwrap();
    outermost.put(&nested(1)).unwrap();
    let child = spawn(|three: Three| innermost(&three), nested(2)).unwrap();
    let pool = Pool::builder().workers(1).build().unwrap();
    sweep();
    assert_eq!(child.join().unwrap(), Ok(2));
    assert_eq!(pool.apply(|three: Three| innermost(&three), nested(3)).unwrap(), Ok(3));
    assert_eq!(innermost(&outermost.get().unwrap()), Ok(1));

    // What the items of a result stand for was put by the child: its end is theirs.
    let three = spawn(nested, 4).unwrap().join().unwrap();
    sweep();
    assert!(matches!(three.get(), Err(GetError::Gone)));
}

fn bytes_decoded_twice_tick_off_no_other_handle() {
    // A task that is run again decodes its argument again.
    let mailbox = Queue::<Queue<u32>>::bounded(4).unwrap();
    let (queue, deaths) = (with(1), with(0));
    mailbox.put(&queue).unwrap();
    let pool = Pool::builder().workers(2).build().unwrap();
    let task = |(queue, deaths): (Queue<u32>, Queue<u32>)| {
        let before = deaths.get().unwrap();
        deaths.put(&(before + 1)).unwrap();
        if before < 2 {
            std::process::abort();
        }
        queue.len()
    };
    let result = pool.options().retry_lost().apply(task, (queue.clone(), deaths.clone()));
    assert_eq!((result, content(&deaths)), (Ok(1), Ok(3)));
    drop(queue);
    sweep();
    assert_eq!(content(&mailbox.get().unwrap()), Ok(1));

    // So does whoever keeps the bytes, as long as somebody holds the queue.
    let queue = with(2);
    let bytes = postcard::to_stdvec(&queue).unwrap();
    mailbox.put(&queue).unwrap();
    drop(queue);
    for _ in 0..3 {
        let again: Queue<u32> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(again.len(), 1);
    }
    sweep();
    assert_eq!(content(&mailbox.get().unwrap()), Ok(2));
    assert!(postcard::from_bytes::<Queue<u32>>(&bytes).is_err(), "nobody holds it any more");
}

/// The shared memory of this process and its descendants: how much is used, and where it ends.
fn memory() -> (u64, u64) {
    let arena = fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let target = fs::read_link(&path).ok()?;
        target.to_str()?.contains("memfd:multiproc").then_some(path)
    });
    let memory = fs::metadata(arena.expect("it is there")).unwrap();
    (memory.blocks() * 512, memory.len())
}

fn what_never_arrives_is_released() {
    const BIG: usize = 4 << 20;
    let big = || {
        let queue = Queue::<Vec<u8>>::unbounded().unwrap();
        queue.put(&vec![1; BIG]).unwrap();
        queue
    };
    sweep();
    let (before, _) = memory();
    let is_released = |what: &str| {
        sweep();
        let (now, _) = memory();
        assert!(now < before + BIG as u64 / 2, "{what}: {before} bytes before, {now} bytes after");
    };

    let (sender, receiver) = pipe::simplex().unwrap();
    sender.send(&big()).unwrap();
    drop((sender, receiver));
    is_released("a pipe's message that nobody received");

    let end = |_: Queue<Vec<u8>>| -> Queue<Vec<u8>> { std::process::exit(3) };
    spawn(end, big()).unwrap().join().unwrap_err();
    is_released("the argument of a process that exited");

    let child = spawn(|()| big_in_child(), ()).unwrap();
    assert!(wait_until(Duration::from_secs(60), || !child.is_alive()));
    drop(child);
    is_released("a result that nobody joined");

    let pool = Pool::builder().workers(1).build().unwrap();
    let result = pool.apply_async(|()| big_in_child(), ()).unwrap();
    assert!(wait_until(Duration::from_secs(60), || result.is_ready()));
    drop(result);
    is_released("a task's result that nobody fetched");
    let results = pool.imap(|()| big_in_child(), [(), ()]);
    drop(results);
    pool.terminate();
    assert!(matches!(pool.apply(|_: Queue<Vec<u8>>| (), big()), Err(TaskError::Terminated)));
    pool.join();
    is_released("what is left of a pool");

    // A token belongs to the process that encoded the handle: it ends with it.
    let mailbox = Queue::<Queue<Vec<u8>>>::bounded(2).unwrap();
    let put = |mailbox: Queue<Queue<Vec<u8>>>| mailbox.put(&big_in_child()).unwrap();
    spawn(put, mailbox.clone()).unwrap().join().unwrap();
    is_released("an item whose putter has ended");
    assert!(matches!(mailbox.get(), Err(GetError::Gone)));

    // Killed while it holds, and while it has handles in flight.
    let hold = |mailbox: Queue<Queue<Vec<u8>>>| -> () {
        let queue = big_in_child();
        mailbox.put(&queue).unwrap();
        loop {
            thread::park();
        }
    };
    let child = spawn(hold, mailbox.clone()).unwrap();
    let held = mailbox.get().unwrap();
    child.kill().unwrap();
    child.join().unwrap_err();
    assert_eq!(held.len(), 1, "held by this process meanwhile");
    drop(held);
    is_released("a queue of a process that was killed");
}

fn big_in_child() -> Queue<Vec<u8>> {
    let queue = Queue::unbounded().unwrap();
    queue.put(&vec![1; 4 << 20]).unwrap();
    queue
}

/// Cannot be encoded, but what comes before it can.
#[derive(Deserialize)]
struct Never(#[allow(dead_code, reason = "it is for its `Serialize`")] u8);

impl Serialize for Never {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

/// Many queues are each put where they cannot be put. Each that stayed would keep a page at least,
/// and 65,536 of them leave no place for another.
fn failed_puts_pin_nothing() {
    const ROUNDS: u32 = 500;
    type Handle = Queue<u8>;
    let full = Queue::<Handle>::bounded(1).unwrap();
    full.put(&Queue::bounded(1).unwrap()).unwrap();
    let closed = Queue::<Handle>::bounded(1).unwrap();
    closed.close();
    let small = Builder::new().max_item_bytes(4).build::<Handle>().unwrap();
    let never = Queue::<(Handle, Never)>::bounded(1).unwrap();
    let (broken, receiver) = pipe::simplex::<Handle>().unwrap();
    drop(receiver);
    let (refusing, _receiver) = pipe::simplex::<(Handle, Never)>().unwrap();
    let pool = Pool::builder().workers(1).build().unwrap();
    pool.terminate();
    let take = |_: Handle| ();
    let take_two = |_: (Handle, Never)| ();
    let queue = || Queue::<u8>::bounded(1).unwrap();
    let (before, _) = memory();
    for _ in 0..ROUNDS {
        assert!(matches!(full.try_put(&queue()), Err(PutError::Full)));
        assert!(matches!(full.put_timeout(&queue(), Duration::ZERO), Err(PutError::TimedOut)));
        assert!(matches!(closed.put(&queue()), Err(PutError::Closed)));
        assert!(matches!(small.put(&queue()), Err(PutError::TooLarge { .. })));
        assert!(matches!(never.put(&(queue(), Never(0))), Err(PutError::Encode(_))));
        assert!(matches!(broken.send(&queue()), Err(SendError::Closed)));
        assert!(matches!(refusing.send(&(queue(), Never(0))), Err(SendError::Encode(_))));
        assert!(matches!(spawn(take_two, (queue(), Never(0))), Err(SpawnError::Encode(_))));
        assert!(matches!(pool.apply(take, queue()), Err(TaskError::Terminated)));
        assert!(pool.apply(take_two, (queue(), Never(0))).is_err());
    }
    let (after, _) = memory();
    assert!(after < before + u64::from(ROUNDS) * 4096, "{before} bytes before, {after} after");
    assert!(never.is_empty());
    assert_eq!(full.get().unwrap().len(), 0);
}

fn the_end_of_memory_does_not_move_with_the_sizes() {
    let mut rounds = Vec::new();
    for round in 0..40 {
        let mut kept = Vec::new();
        for size in 0..60 {
            // Of nearly every round other sizes, from one page to 16 MiB.
            let capacity = 4096 << ((size * 7 + round * 3) % 13);
            kept.push(ring::create(capacity).unwrap());
        }
        let queues: Vec<Queue<u32>> = (0..20).map(|_| Queue::unbounded().unwrap()).collect();
        for (number, queue) in queues.iter().enumerate() {
            queue.put(&(number as u32)).unwrap();
        }
        for (sender, receiver) in &mut kept {
            assert_eq!(receiver.try_recv(), Ok(None), "new memory is zero");
            sender.send(b"something", None).unwrap();
        }
        // Some of both stay until the next round has begun, so that they are in each other's way.
        rounds.push((kept, queues));
        if rounds.len() > 2 {
            rounds.remove(0);
        }
        if round == 10 {
            rounds.clear();
        }
    }
    rounds.clear();
    // A place of its own for each of some hundreds of slots, and no more however long this goes on.
    let (_, end) = memory();
    assert!(end < (1 << 40) + (400 << 36), "{end}");
}

fn encoded_bytes_keep_a_queue_until_they_are_dropped_or_decoded() {
    let name = |bytes: &[u8]| encoding::decode::<(String, Queue<u32>)>(bytes.to_vec());
    let value = || ("seven".to_owned(), with(7));

    // Dropped, or given up: nobody is to decode them, and nothing is kept.
    let made = value();
    let encoded = encoding::encode(&made).unwrap();
    let bytes = encoded.as_bytes().to_vec();
    drop(encoded);
    drop(made);
    sweep();
    let error = name(&bytes).unwrap_err();
    assert!(error.to_string().contains("no process holds"), "{error}");
    assert_eq!(error.bytes, bytes);

    // Sent, by either method: kept until the first decoding, whoever has dropped the queue.
    for by_bytes in [false, true] {
        let made = value();
        let encoded = encoding::encode(&made).unwrap();
        let bytes = if by_bytes {
            encoded.into_bytes()
        } else {
            let bytes = encoded.as_bytes().to_vec();
            encoded.sent();
            bytes
        };
        drop(made);
        sweep();
        let (seven, queue) = name(&bytes).unwrap();
        assert_eq!((&*seven, content(&queue)), ("seven", Ok(7)));
        drop(queue);
        sweep();
        assert!(name(&bytes).is_err(), "decoded once, and dropped");
    }

    // A value that is refused half-way keeps nothing, and its own bytes need no copy.
    let made = (with(8), Never(0));
    assert!(encoding::encode(&made).is_err());
    let text = "text".to_owned();
    assert!(std::ptr::eq(encoding::encode(&text).unwrap().as_bytes(), text.as_bytes()));
    assert_eq!(encoding::decode::<String>(text.clone().into_bytes()), Ok(text));
    let error = encoding::decode::<String>(vec![0xff]).unwrap_err();
    assert!(error.bytes == [0xff] && error.to_string().contains("UTF-8"), "{error}");

    // A descriptor needs a packet.
    let (reader, _writer) = std::io::pipe().unwrap();
    let error = encoding::encode(&Descriptor::new(reader)).unwrap_err();
    assert!(error.to_string().contains("descriptor"), "{error}");
}
