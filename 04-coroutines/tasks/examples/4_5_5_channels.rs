//! 4.5.5 · 异步通道 · Channels between tasks: a queue, an answer, the latest value, a broadcast.
//!
//! Python: `asyncio.Queue(maxsize)` and its priority and LIFO variants; a `Future` for one answer;
//! nothing for the latest value or for several receivers.
//! Rust: `mpsc` is the bounded queue, and a full one makes its senders wait (back-pressure).
//! `oneshot` carries one answer, `watch` only the latest value, and `broadcast` every message to
//! every receiver; a receiver that lags behind is told how many it missed.
//!
//! Run: `cargo run --example 4_5_5_channels`
//! Notes: `notes/en/04-coroutines.md#channels` · `notes/zh-CN/04-coroutines.md#channels`
//!
//! ```output
//! mpsc: 1 and 2 fit, 3 does not
//! mpsc: received 1, so 3 fits now
//! mpsc: then 2 and 3, and no more: every sender is gone
//! oneshot: the answer is 42
//! watch: of 1, 2 and 3 the receiver sees 3
//! broadcast: the fast one got 1 2 3 4, the slow one missed 2, then got 3 4
//! ```

use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc::{self, error::TrySendError},
    oneshot, watch,
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    util::case!();
    queue().await;
    answer().await;
    latest().await;
    news().await;
}

// ANCHOR: mpsc
/// Many producers, one consumer, two places.
async fn queue() {
    let (sender, mut receiver) = mpsc::channel(2);
    sender.send(1).await.unwrap();
    sender.send(2).await.unwrap();
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    println!("mpsc: 1 and 2 fit, 3 does not");
    let producer = tokio::spawn(async move { sender.send(3).await }); // waits for a place

    let first = receiver.recv().await.unwrap();
    producer.await.unwrap().unwrap();
    println!("mpsc: received {first}, so 3 fits now");
    let mut rest = Vec::new();
    while let Some(number) = receiver.recv().await {
        rest.push(number); // `None` comes when every sender is gone
    }
    println!("mpsc: then {} and {}, and no more: every sender is gone", rest[0], rest[1]);
    assert_eq!((first, rest), (1, vec![2, 3]));
}
// ANCHOR_END: mpsc

// ANCHOR: oneshot
/// One value, once: the answer to a request.
async fn answer() {
    let (reply, answer) = oneshot::channel();
    tokio::spawn(async move { reply.send(6 * 7) }); // `send` consumes `reply`: there is one answer
    let answer = answer.await.unwrap();
    println!("oneshot: the answer is {answer}");
    assert_eq!(answer, 42);
}
// ANCHOR_END: oneshot

// ANCHOR: watch
/// Only the latest value counts, as with a configuration.
async fn latest() {
    let (sender, mut receiver) = watch::channel(0);
    for version in 1..=3 {
        sender.send(version).unwrap(); // never waits: it replaces the old value
    }
    receiver.changed().await.unwrap();
    let seen = *receiver.borrow_and_update();
    println!("watch: of 1, 2 and 3 the receiver sees {seen}");
    assert!(seen == 3 && !receiver.has_changed().unwrap());
}
// ANCHOR_END: watch

// ANCHOR: broadcast
/// Everybody gets everything, as long as they keep up: only the last two messages are kept.
async fn news() {
    let (sender, mut fast) = broadcast::channel(2);
    let mut slow = sender.subscribe();
    let mut got = Vec::new();
    for message in 1..=4 {
        sender.send(message).unwrap(); // never waits for a receiver
        got.push(fast.recv().await.unwrap());
    }
    let Err(RecvError::Lagged(missed)) = slow.recv().await else { panic!("it kept up") };
    let rest = [slow.recv().await.unwrap(), slow.recv().await.unwrap()];
    let got = got.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
    println!(
        "broadcast: the fast one got {got}, the slow one missed {missed}, then got {} {}",
        rest[0], rest[1]
    );
    assert_eq!((got.as_str(), missed, rest), ("1 2 3 4", 2, [3, 4]));
}
// ANCHOR_END: broadcast
