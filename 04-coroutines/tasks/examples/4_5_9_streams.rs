//! 4.5.9 · 异步流 · Streams: an iterator whose `next` is awaited, and N pages at once in one line.
//!
//! Python: an async generator is an `async def` with `yield`; `async for` awaits each value. A
//! limit on how many run at once is a semaphore.
//! Rust: a `Stream`, with the adapters of an iterator. `buffered(n)` runs n futures at once and
//! keeps the order, `buffer_unordered(n)` gives each result when it comes. `join_all` has no limit.
//!
//! Run: `cargo run --example 4_5_9_streams`
//! Notes: `notes/en/04-coroutines.md#streams` · `notes/zh-CN/04-coroutines.md#streams`
//!
//! ```output
//! generated: 0 1 1 2 3 after 5.0 s
//! buffered(3): 1 2 3 4 5 6 after 4.5 s, at most 3 at once
//! buffer_unordered(3): 2 3 4 5 6 1 after 3.5 s, at most 3 at once
//! join_all: 1 2 3 4 5 6 after 3.5 s, at most 6 at once
//! ```

use futures_util::{
    StreamExt,
    future::join_all,
    stream::{self, Stream},
};
use std::{
    pin::pin,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{Instant, sleep};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    util::case!();
    // ANCHOR: loop
    let (began, mut numbers) = (Instant::now(), Vec::new());
    let mut stream = pin!(fibonacci().take(5));
    while let Some(number) = stream.next().await {
        numbers.push(number);
    }
    // ANCHOR_END: loop
    report("generated", &numbers, began);
    assert_eq!(numbers, [0, 1, 1, 2, 3]);

    // ANCHOR: buffered
    let began = Instant::now();
    let pages: Vec<u32> = stream::iter(1..=6).map(fetch).buffered(3).collect().await;
    let most = report("buffered(3)", &pages, began);
    // ANCHOR_END: buffered
    assert_eq!((pages, most), (vec![1, 2, 3, 4, 5, 6], 3));

    // ANCHOR: unordered
    let began = Instant::now();
    let pages: Vec<u32> = stream::iter(1..=6).map(fetch).buffer_unordered(3).collect().await;
    let most = report("buffer_unordered(3)", &pages, began);
    // ANCHOR_END: unordered
    assert_eq!((pages, most), (vec![2, 3, 4, 5, 6, 1], 3));

    // ANCHOR: mistake
    let began = Instant::now();
    let pages = join_all((1..=6).map(fetch)).await; // all of them: with 10,000 pages, too many
    let most = report("join_all", &pages, began);
    // ANCHOR_END: mistake
    assert_eq!(most, 6);
}

// ANCHOR: generator
/// Python: `async def fibonacci(): … yield a`. The state is passed from step to step.
fn fibonacci() -> impl Stream<Item = u32> {
    stream::unfold((0, 1), async |(a, b)| {
        sleep(Duration::from_secs(1)).await;
        Some((a, (b, a + b)))
    })
}
// ANCHOR_END: generator

static NOW: AtomicU32 = AtomicU32::new(0);
static MOST: AtomicU32 = AtomicU32::new(0);

/// Page 1 takes longest.
async fn fetch(page: u32) -> u32 {
    MOST.fetch_max(NOW.fetch_add(1, Relaxed) + 1, Relaxed);
    sleep(Duration::from_millis(match page {
        1 => 3500,
        3 => 1200,
        _ => 1000,
    }))
    .await;
    NOW.fetch_sub(1, Relaxed);
    page
}

/// Prints the values, the time, and how many were fetched at once, if any; that is returned.
fn report(name: &str, values: &[u32], began: Instant) -> u32 {
    let values = values.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let most = MOST.swap(0, Relaxed);
    let at_once = if most > 0 { format!(", at most {most} at once") } else { String::new() };
    println!("{name}: {values} after {:.1} s{at_once}", began.elapsed().as_secs_f64());
    most
}
