//! 4.5.4 · 取消 · Cancellation: a future is cancelled by dropping it, wherever it waits.
//!
//! Python: `Task.cancel` raises `CancelledError` at the task's current `await`; `finally` cleans
//! up, and `shield` protects an inner task.
//! Rust: a dropped future never continues, and destructors clean up. A `CancellationToken` is a
//! request instead. Work that must not be cancelled is a task of its own. A future that holds half
//! a message loses it when `select!` drops it, so the half belongs into a buffer outside of it.
//!
//! Run: `cargo run --example 4_5_4_cancellation`
//! Notes: `notes/en/04-coroutines.md#cancellation` · `notes/zh-CN/04-coroutines.md#cancellation`
//!
//! ```output
//! dropped: cleaned up
//! token: asked to stop after 3 rounds
//! a task of its own: not over after 1 s, then Ok("saved")
//! read_exact in select!: ["cdef"] of abcdefgh
//! read_buf in select!: ["abcd", "efgh"] of abcdefgh
//! ```

use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    select,
    time::{Instant, Interval, interval_at, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    util::case!();
    // ANCHOR: drop
    let work = async {
        let _guard = CleanUp;
        sleep(60 * SECOND).await;
        println!("never printed");
    };
    let _ = timeout(SECOND, work).await; // drops `work` after a second
    // ANCHOR_END: drop

    // ANCHOR: token
    let token = CancellationToken::new();
    let worker = tokio::spawn(rounds(token.clone()));
    sleep(SECOND * 7 / 2).await;
    token.cancel();
    let rounds = worker.await.unwrap();
    println!("token: asked to stop after {rounds} rounds");
    // ANCHOR_END: token
    assert_eq!(rounds, 3);

    // ANCHOR: shield
    let mut save = tokio::spawn(async {
        sleep(5 * SECOND).await;
        "saved"
    });
    let early = timeout(SECOND, &mut save).await; // gives up waiting, and the task goes on
    assert!(early.is_err());
    println!("a task of its own: not over after 1 s, then {:?}", save.await);
    // ANCHOR_END: shield

    let lossy = read_exact(slow_writer()).await;
    println!("read_exact in select!: {lossy:?} of abcdefgh");
    let whole = read_buf(slow_writer()).await;
    println!("read_buf in select!: {whole:?} of abcdefgh");
    assert_eq!((lossy, whole), (vec!["cdef".into()], vec!["abcd".into(), "efgh".into()]));
}

struct CleanUp;

impl Drop for CleanUp {
    fn drop(&mut self) {
        println!("dropped: cleaned up");
    }
}

// ANCHOR: rounds
async fn rounds(token: CancellationToken) -> u32 {
    let mut rounds = 0;
    loop {
        select! {
            () = token.cancelled() => return rounds, // here it may still finish what it has begun
            () = sleep(SECOND) => rounds += 1,
        }
    }
}
// ANCHOR_END: rounds

// ANCHOR: lossy
/// Mistake: `read_exact` keeps what it has read in its future, and `select!` drops that future.
async fn read_exact(mut reader: DuplexStream) -> Vec<String> {
    let (mut messages, mut heartbeat) = (Vec::new(), heartbeat());
    loop {
        let mut message = [0; 4];
        select! {
            read = reader.read_exact(&mut message) => match read {
                Ok(_) => messages.push(text(&message)),
                Err(_) => return messages, // the stream has ended
            },
            _ = heartbeat.tick() => {}
        }
    }
}
// ANCHOR_END: lossy

// ANCHOR: cure
/// What was read is in a buffer that no branch drops.
async fn read_buf(mut reader: DuplexStream) -> Vec<String> {
    let (mut messages, mut heartbeat) = (Vec::new(), heartbeat());
    let mut buffer = Vec::new();
    loop {
        select! {
            read = reader.read_buf(&mut buffer) => match read {
                Ok(0) | Err(_) => return messages,
                Ok(_) if buffer.len() < 4 => {}
                Ok(_) => messages.push(text(&buffer.drain(..4).collect::<Vec<_>>())),
            },
            _ = heartbeat.tick() => {}
        }
    }
}
// ANCHOR_END: cure

/// Ticks at 2.5 s and 7.5 s.
fn heartbeat() -> Interval {
    interval_at(Instant::now() + SECOND * 5 / 2, 5 * SECOND)
}

/// A stream on which `abcdefgh` arrives, one byte per second.
fn slow_writer() -> DuplexStream {
    let (mut writer, reader) = duplex(64);
    tokio::spawn(async move {
        for byte in b'a'..=b'h' {
            sleep(SECOND).await;
            writer.write_all(&[byte]).await.unwrap();
        }
    });
    reader
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
