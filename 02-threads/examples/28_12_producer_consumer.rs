//! 28.12 · 生产者消费者 · Producers and consumers: a bounded channel makes the fast ones wait for the slow ones.
//!
//! Python: a `queue.Queue`; producers look at its size and sleep above a high watermark, consumers
//! below a low one.
//! Rust: the channel's capacity is the watermark: `send` waits while it is full, `recv` while it is
//! empty; nobody polls. When the last sender is dropped, `recv` returns an error, and the consumers
//! exit.
//! Mistake: a hand-made queue that wakes the wrong thread, or trusts a wake-up;
//! `cargo test -p checks --test models -- --nocapture bounded_queue` draws both.
//!
//! Run: `cargo run --example 28_12_producer_consumer` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/02-threads.md#queue` · `notes/zh-CN/02-threads.md#queue`
//!
//! ```output unordered
//! producer 1 made 15
//! producer 2 made 15
//! consumer 1 got [..]
//! consumer 2 got [..]
//! consumer 3 got [..]
//! consumer 4 got [..]
//! consumer 5 got [..]
//! ```
//! ```output
//! 30 made, 30 used, each once; never more than 3 in the channel
//! ```

use crossbeam_channel::{Receiver, Sender, bounded};
use std::thread;
use util::{tick, timeline};

const EACH: u32 = 15;
const CAPACITY: usize = 3;

fn main() {
    util::case!();
    let _timeline = timeline::start();
    // ANCHOR: channel
    let (sender, receiver) = bounded(CAPACITY);
    let mut used = thread::scope(|s| {
        for number in 1..=2 {
            let sender = sender.clone();
            let thread = thread::Builder::new().name(format!("producer {number}"));
            // Its sender is dropped when it is done.
            thread.spawn_scoped(s, move || produce(number, &sender)).unwrap();
        }
        drop(sender); // ours too: after the last one, the consumers hear the end
        let consumers: Vec<_> = (1..=5)
            .map(|number| {
                let receiver = receiver.clone();
                let thread = thread::Builder::new().name(format!("consumer {number}"));
                thread.spawn_scoped(s, move || consume(number, &receiver)).unwrap()
            })
            .collect();
        consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect::<Vec<_>>()
    });
    // ANCHOR_END: channel
    used.sort_unstable();
    let made: Vec<_> = (1..=2).flat_map(|p| (1..=EACH).map(move |item| (p, item))).collect();
    assert_eq!(used, made);
    println!(
        "{} made, {} used, each once; never more than {CAPACITY} in the channel",
        made.len(),
        used.len()
    );
}

fn produce(number: u32, sender: &Sender<(u32, u32)>) {
    for item in 1..=EACH {
        let making = timeline::span("make");
        tick::sleep(0.1);
        drop(making);
        let _waiting = timeline::wait("full"); // for a free place
        sender.send((number, item)).unwrap();
    }
    println!("producer {number} made {EACH}");
}

fn consume(number: u32, receiver: &Receiver<(u32, u32)>) -> Vec<(u32, u32)> {
    let mut used = Vec::new();
    loop {
        let waiting = timeline::wait("empty"); // for an item
        let Ok(item) = receiver.recv() else { break };
        drop(waiting);
        assert!(receiver.len() <= CAPACITY);
        let _using = timeline::span("use");
        tick::sleep(1);
        used.push(item);
    }
    println!("consumer {number} got {}", used.len());
    used
}
