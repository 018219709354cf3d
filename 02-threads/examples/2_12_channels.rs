//! 2.12 · 通道 · Channels: what each of Python's queues is in Rust.
//!
//! Python: `SimpleQueue`, `Queue(maxsize)`, `PriorityQueue`, `LifoQueue`; a consumer learns of the
//! end by a sentinel value, or by `shutdown` since 3.13.
//! Rust: `mpsc::channel` is unbounded, `sync_channel(n)` holds n messages, `sync_channel(0)` hands
//! each message over in person. The end is part of a channel: receiving fails when all senders are
//! gone, sending when the receiver is. std has no priority channel: a heap behind a `Mutex` and a
//! `Condvar` is one; a `Vec` in its place is a LIFO queue.
//!
//! Run: `cargo run --example 2_12_channels`
//! Notes: `notes/en/02-threads.md#channels` · `notes/zh-CN/02-threads.md#channels`
//!
//! ```output
//! 2 senders, 6 messages, then the end: [10, 11, 12, 20, 21, 22]
//! room for one: the second message does not fit: sending on a full channel
//! no room at all: nobody is there to take the message: sending on a full channel
//! the receiver is gone: "too late" comes back
//! by priority: fire, phone, mail
//! ```

use std::{
    collections::BinaryHeap,
    sync::{
        Condvar, Mutex,
        mpsc::{self, SendError},
    },
    thread,
};

// ANCHOR: priority
#[derive(Default)]
struct PriorityQueue<T> {
    items: Mutex<BinaryHeap<T>>,
    filled: Condvar,
}

impl<T: Ord> PriorityQueue<T> {
    fn put(&self, item: T) {
        self.items.lock().unwrap().push(item);
        self.filled.notify_one();
    }

    /// The greatest item; waits while there is none.
    fn get(&self) -> T {
        let items = self.items.lock().unwrap();
        let mut items = self.filled.wait_while(items, |items| items.is_empty()).unwrap();
        items.pop().expect("it is not empty")
    }
}
// ANCHOR_END: priority

fn main() {
    util::case!();
    // ANCHOR: channels
    let (sender, receiver) = mpsc::channel();
    for first in [10, 20] {
        let sender = sender.clone();
        thread::spawn(move || (first..first + 3).for_each(|n| sender.send(n).unwrap()));
    } // each thread drops its sender when it ends
    drop(sender); // and main drops its own, or the next line would never end
    let mut numbers: Vec<_> = receiver.iter().collect();
    numbers.sort_unstable(); // only the messages of one sender come in order
    println!("2 senders, 6 messages, then the end: {numbers:?}");

    let (sender, receiver) = mpsc::sync_channel(1);
    sender.send("first").unwrap();
    let full = sender.try_send("second"); // `send` would wait for room
    println!("room for one: the second message does not fit: {}", full.unwrap_err());

    let (hand_over, _taker) = mpsc::sync_channel(0);
    let refused = hand_over.try_send("in person"); // `send` would wait until somebody takes it
    println!("no room at all: nobody is there to take the message: {}", refused.unwrap_err());

    drop(receiver);
    let SendError(returned) = sender.send("too late").unwrap_err();
    println!("the receiver is gone: {returned:?} comes back");
    // ANCHOR_END: channels
    assert_eq!((numbers.as_slice(), returned), (&[10, 11, 12, 20, 21, 22][..], "too late"));

    let tasks = PriorityQueue::default();
    thread::scope(|s| {
        let taken = s.spawn(|| tasks.get()); // waits for the first task
        tasks.put((0, "wake up"));
        assert_eq!(taken.join().unwrap(), (0, "wake up"));
    });
    for task in [(1, "mail"), (3, "fire"), (2, "phone")] {
        tasks.put(task);
    }
    let order = [(); 3].map(|()| tasks.get().1);
    println!("by priority: {}", order.join(", "));
    assert_eq!(order, ["fire", "phone", "mail"]);
}
