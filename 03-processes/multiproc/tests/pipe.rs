//! Pipes: messages, ends, and what happens when an end is gone.

use std::thread;
use std::time::{Duration, Instant};

use harness::wait_until;
use multiproc::pipe::{self, Duplex, Receiver, RecvError, SendError, Sender, wait};
use multiproc::spawn;
use serde::{Deserialize, Serialize, Serializer};

harness::tests!([
    simplex_goes_one_way,
    duplex_goes_both_ways,
    boundaries_are_kept,
    empty_messages,
    messages_of_any_size,
    end_of_file_after_the_last_message,
    end_of_file_when_the_sender_is_killed,
    a_broken_pipe,
    a_pipe_broken_by_a_death,
    a_receiver_closed_with_unread_messages,
    time_outs_are_kept,
    waiting_for_several,
    ends_as_arguments_and_results,
    ends_in_messages_and_to_grandchildren,
    an_end_sent_is_no_longer_here,
    an_end_out_of_place_is_an_error,
    what_cannot_be_encoded_or_decoded,
    a_sender_killed_in_the_middle_leaves_nothing_torn,
    many_processes_on_one_end,
    a_reader_and_a_writer_wait_for_each_other,
] helpers []);

fn simplex_goes_one_way() {
    let (sender, receiver) = pipe::simplex().unwrap();
    let child = spawn(
        |sender: Sender<(u32, String)>| {
            (0..100).for_each(|n| sender.send(&(n, "x".repeat(n as usize))).unwrap())
        },
        sender,
    )
    .unwrap();
    for n in 0..100 {
        assert_eq!(receiver.recv().unwrap(), (n, "x".repeat(n as usize)));
    }
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
    child.join().unwrap();
}

fn answer(end: Duplex<String, u32>) {
    while let Ok(n) = end.recv() {
        end.send(&n.to_string()).unwrap();
    }
}

fn duplex_goes_both_ways() {
    let (here, there) = pipe::duplex().unwrap();
    let child = spawn(answer, there).unwrap();
    for n in 0..1000 {
        here.send(&n).unwrap();
        assert_eq!(here.recv().unwrap(), n.to_string());
    }
    drop(here);
    child.join().unwrap();
}

fn boundaries_are_kept() {
    let (sender, receiver) = pipe::simplex::<Vec<u16>>().unwrap();
    let messages: Vec<Vec<u16>> = (0..50).map(|n| (0..n * 7).collect()).collect();
    messages.iter().for_each(|message| sender.send(message).unwrap());
    messages.iter().for_each(|message| assert_eq!(&receiver.recv().unwrap(), message));
}

fn empty_messages() {
    let (sender, receiver) = pipe::simplex::<()>().unwrap();
    (0..3).for_each(|_| sender.send(&()).unwrap());
    let (strings, received) = pipe::simplex::<String>().unwrap();
    strings.send(&String::new()).unwrap();
    drop((sender, strings));
    (0..3).for_each(|_| receiver.recv().unwrap());
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
    assert_eq!(received.recv().unwrap(), "");
    assert!(matches!(received.recv(), Err(RecvError::Closed)));
}

fn messages_of_any_size() {
    let (here, there) = pipe::duplex::<String, usize>().unwrap();
    let child = spawn(
        |end: Duplex<usize, String>| {
            while let Ok(text) = end.recv() {
                assert!(text.bytes().all(|byte| byte == b'x'));
                end.send(&text.len()).unwrap();
            }
        },
        there,
    )
    .unwrap();
    for size in [0, 1, (1 << 15) - 1, 1 << 15, (1 << 15) + 1, 1 << 20, 64 << 20, 3] {
        here.send(&"x".repeat(size)).unwrap();
        assert_eq!(here.recv().unwrap(), size);
    }
    drop(here);
    child.join().unwrap();
}

fn end_of_file_after_the_last_message() {
    let (sender, receiver) = pipe::simplex::<u32>().unwrap();
    let second = sender.try_clone().unwrap();
    sender.send(&1).unwrap();
    drop(sender);
    assert_eq!(receiver.recv().unwrap(), 1);
    assert!(matches!(receiver.recv_timeout(Duration::from_millis(5)), Err(RecvError::TimedOut)));
    second.send(&2).unwrap();
    drop(second);
    assert_eq!(receiver.recv().unwrap(), 2);
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
    assert!(matches!(receiver.recv_timeout(Duration::from_secs(60)), Err(RecvError::Closed)));
}

fn end_of_file_when_the_sender_is_killed() {
    let (sender, receiver) = pipe::simplex::<u32>().unwrap();
    let child = spawn(
        |sender: Sender<u32>| {
            sender.send(&1).unwrap();
            thread::sleep(Duration::from_secs(3600));
        },
        sender,
    )
    .unwrap();
    assert_eq!(receiver.recv().unwrap(), 1);
    child.kill().unwrap();
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
    child.join().unwrap_err();
}

fn a_broken_pipe() {
    let (sender, receiver) = pipe::simplex::<u32>().unwrap();
    sender.send(&1).unwrap();
    drop(receiver);
    assert!(matches!(sender.send(&2), Err(SendError::Closed)));
    assert!(matches!(sender.send_timeout(&2, Duration::from_secs(60)), Err(SendError::Closed)));
    let (a, b) = pipe::duplex::<u32, u32>().unwrap();
    drop(b);
    assert!(matches!(a.send(&2), Err(SendError::Closed)));
    assert!(matches!(a.recv(), Err(RecvError::Closed)));
}

fn a_pipe_broken_by_a_death() {
    let (sender, receiver) = pipe::simplex::<u32>().unwrap();
    let child = spawn(
        |receiver: Receiver<u32>| {
            receiver.recv().unwrap();
            thread::sleep(Duration::from_secs(3600));
        },
        receiver,
    )
    .unwrap();
    // The sender waits for room when its peer dies.
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        child.kill().unwrap();
        child.join().unwrap_err();
    });
    let error = (0..).find_map(|n| sender.send(&n).err()).unwrap();
    assert!(matches!(error, SendError::Closed), "{error}");
    killer.join().unwrap();
}

fn a_receiver_closed_with_unread_messages() {
    let (a, b) = pipe::duplex::<u32, u32>().unwrap();
    b.send(&7).unwrap();
    a.send(&1).unwrap();
    drop(b);
    // What the other end sent before it was closed is not lost, though it had not read everything
    // itself.
    let first = a.recv();
    assert!(matches!(first, Ok(7)), "{first:?}");
    assert!(matches!(a.recv(), Err(RecvError::Closed)));
}

fn time_outs_are_kept() {
    let (sender, receiver) = pipe::simplex::<u32>().unwrap();
    for time in [Duration::ZERO, Duration::from_millis(60)] {
        let start = Instant::now();
        assert!(matches!(receiver.recv_timeout(time), Err(RecvError::TimedOut)));
        assert!(start.elapsed() >= time && start.elapsed() < time + Duration::from_secs(2));
    }
    let sent = (0..).take_while(|n| sender.send_timeout(n, Duration::ZERO).is_ok()).count();
    assert!(sent > 100);
    let start = Instant::now();
    assert!(matches!(sender.send_timeout(&0, Duration::from_millis(60)), Err(SendError::TimedOut)));
    assert!(start.elapsed() >= Duration::from_millis(60));
    // Nothing of what timed out was sent.
    drop(sender);
    let received: Vec<u32> = std::iter::from_fn(|| receiver.recv().ok()).collect();
    assert_eq!(received, (0..sent as u32).collect::<Vec<_>>());
}

fn waiting_for_several() {
    let (first_sender, first) = pipe::simplex::<u32>().unwrap();
    let (second_sender, second) = pipe::simplex::<u32>().unwrap();
    let child = spawn(|()| thread::sleep(Duration::from_millis(100)), ()).unwrap();
    let start = Instant::now();
    assert!(wait(&[&first, &second], Duration::from_millis(30)).unwrap().is_empty());
    assert!(start.elapsed() >= Duration::from_millis(30));

    second_sender.send(&1).unwrap();
    assert_eq!(wait(&[&first, &second], Duration::MAX).unwrap(), [1]);
    first_sender.send(&1).unwrap();
    assert_eq!(wait(&[&first, &second], Duration::MAX).unwrap(), [0, 1]);
    first.recv().unwrap();
    second.recv().unwrap();
    assert_eq!(wait(&[&first, &child, &second], Duration::MAX).unwrap(), [1]);
    // The end of file counts as well.
    drop(first_sender);
    assert_eq!(wait(&[&first, &second], Duration::MAX).unwrap(), [0]);
    assert_eq!(wait(&[], Duration::ZERO).unwrap(), Vec::<usize>::new());
    child.join().unwrap();
}

fn ends_as_arguments_and_results() {
    let make = |()| {
        let (sender, receiver) = pipe::simplex::<String>().unwrap();
        sender.send(&format!("from {}", std::process::id())).unwrap();
        (sender, receiver)
    };
    let child = spawn(make, ()).unwrap();
    let (sender, receiver) = child.join().unwrap();
    assert_eq!(receiver.recv().unwrap(), format!("from {}", child.id()));
    sender.send(&"still open".to_owned()).unwrap();
    // Joining again gives handles of the same ends.
    let (_, again) = child.join().unwrap();
    assert_eq!(again.recv().unwrap(), "still open");

    let take = |ends: Vec<Option<Sender<u32>>>| {
        for (n, end) in ends.iter().flatten().enumerate() {
            end.send(&(n as u32)).unwrap();
        }
    };
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..100).map(|_| pipe::simplex::<u32>().unwrap()).unzip();
    let child = spawn(take, senders.into_iter().map(Some).chain([None]).collect()).unwrap();
    for (n, receiver) in receivers.iter().enumerate() {
        assert_eq!(receiver.recv().unwrap(), n as u32);
    }
    child.join().unwrap();
}

fn ends_in_messages_and_to_grandchildren() {
    fn pass_on(end: Duplex<(), Sender<u32>>) {
        let sender = end.recv().unwrap();
        spawn(|sender: Sender<u32>| sender.send(&5).unwrap(), sender).unwrap().join().unwrap();
        end.send(&()).unwrap();
    }
    let (here, there) = pipe::duplex().unwrap();
    let child = spawn(pass_on, there).unwrap();
    let (sender, receiver) = pipe::simplex().unwrap();
    here.send(&sender).unwrap();
    drop(sender);
    assert_eq!(receiver.recv().unwrap(), 5);
    here.recv().unwrap();
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
    child.join().unwrap();
}

fn an_end_sent_is_no_longer_here() {
    let (sender, receiver) = pipe::simplex::<u32>().unwrap();
    let child = spawn(|sender: Sender<u32>| drop(sender), sender).unwrap();
    // While the child's `Child` is kept, as its argument is not.
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
    child.join().unwrap();
    let (sender, receiver) = pipe::simplex::<u32>().unwrap();
    drop(receiver);
    let child = spawn(|sender: Sender<u32>| sender.send(&1).is_err(), sender).unwrap();
    assert_eq!(child.join(), Ok(true));
}

fn an_end_out_of_place_is_an_error() {
    let (sender, _receiver) = pipe::simplex::<u32>().unwrap();
    // In a pool's task there is no way for a descriptor.
    let pool = multiproc::Pool::builder().workers(1).build().unwrap();
    let error = pool.apply(|sender: Sender<u32>| drop(sender), sender).unwrap_err();
    assert!(error.to_string().contains("descriptor"), "{error}");
    let (ends, _receivers): (Vec<_>, Vec<_>) =
        (0..260).map(|_| pipe::simplex::<u32>().unwrap()).unzip();
    let error = spawn(|ends: Vec<Sender<u32>>| drop(ends), ends).unwrap_err();
    assert!(error.to_string().contains("more than 250"), "{error}");
}

#[derive(Debug, Deserialize)]
struct Never(#[allow(dead_code, reason = "it is for its `Serialize`")] u8);

impl Serialize for Never {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

fn what_cannot_be_encoded_or_decoded() {
    let (sender, receiver) = pipe::simplex::<Result<u32, Never>>().unwrap();
    assert!(matches!(sender.send(&Err(Never(0))), Err(SendError::Encode(_))));
    sender.send(&Ok(1)).unwrap();
    assert_eq!(receiver.recv().unwrap().unwrap(), 1);

    // The ends of one pipe with two ideas of its type: what one sends the other cannot decode, and
    // goes on.
    let (sender, receiver) = pipe::simplex::<Receiver<u8>>().unwrap();
    let (numbers, letters) = pipe::simplex::<u8>().unwrap();
    sender.send(&letters).unwrap();
    let confused = spawn(
        |receiver: Receiver<Receiver<u8>>| {
            let inner = receiver.recv().unwrap();
            (inner.recv().is_ok(), matches!(inner.recv(), Err(RecvError::Closed)))
        },
        receiver,
    )
    .unwrap();
    numbers.send(&200).unwrap();
    drop((numbers, letters));
    assert_eq!(confused.join(), Ok((true, true)));
}

fn a_sender_killed_in_the_middle_leaves_nothing_torn() {
    let (sender, receiver) = pipe::simplex::<String>().unwrap();
    for round in 0..10 {
        let child = spawn(
            |sender: Sender<String>| -> () {
                loop {
                    sender.send(&"x".repeat(300_000)).unwrap();
                }
            },
            sender.try_clone().unwrap(),
        )
        .unwrap();
        assert_eq!(receiver.recv().unwrap().len(), 300_000); // it is at it
        thread::sleep(Duration::from_millis(round));
        child.kill().unwrap();
        child.join().unwrap_err();
        while let Ok(message) = receiver.recv_timeout(Duration::ZERO) {
            assert_eq!(message.len(), 300_000);
        }
    }
    drop(sender);
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
}

fn many_processes_on_one_end() {
    fn send(((), from, sender): ((), u32, Sender<(u32, u32)>)) {
        (0..200).for_each(|n| sender.send(&(from, n)).unwrap());
    }
    let (sender, receiver) = pipe::simplex().unwrap();
    let children: Vec<_> =
        (0..4).map(|from| spawn(send, ((), from, sender.try_clone().unwrap())).unwrap()).collect();
    drop(sender);
    let mut next = [0; 4];
    while let Ok((from, n)) = receiver.recv() {
        assert_eq!(n, next[from as usize]);
        next[from as usize] += 1;
    }
    assert_eq!(next, [200; 4]);
    children.iter().for_each(|child| child.join().unwrap());
}

fn a_reader_and_a_writer_wait_for_each_other() {
    let (sender, receiver) = pipe::simplex::<u64>().unwrap();
    let child = spawn(
        |receiver: Receiver<u64>| std::iter::from_fn(|| receiver.recv().ok()).sum::<u64>(),
        receiver,
    )
    .unwrap();
    (0..20_000).for_each(|n| sender.send(&n).unwrap());
    drop(sender);
    assert!(wait_until(Duration::from_secs(60), || !child.is_alive()));
    assert_eq!(child.join(), Ok(19_999 * 20_000 / 2));
}
