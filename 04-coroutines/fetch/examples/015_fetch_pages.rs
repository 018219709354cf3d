//! 015 · 同时抓取网页 · A few pages at once: each is a task, and they end in the order in which they come.
//!
//! Python: `gevent.spawn` for each page; the patched socket switches to another one while a page is
//! on its way.
//! Rust: one task per page, on one thread; `await` is where another one may run. A page that fails
//! is a value beside its URL, and the others go on. The exit status is 1 if a page that you named
//! failed, and 130 after Ctrl-C.
//!
//! Run: `cargo run --example 015_fetch_pages` (a picture: `TIMELINE=1` before it), or with real
//! ones: `cargo run --example 015_fetch_pages -- https://www.rust-lang.org https://www.python.org`
//! Notes: `notes/en/04-coroutines.md#fetch` · `notes/zh-CN/04-coroutines.md#fetch`
//!
//! ```output unordered
//! http://127.0.0.1:[..]/5: 5000 bytes, [..] ms
//! http://127.0.0.1:[..]/3: 3000 bytes, [..] ms
//! http://127.0.0.1:[..]/1: 1000 bytes, [..] ms
//! http://127.0.0.1:[..]/missing: failed: 404 Not Found, [..] ms
//! http://127.0.0.1:[..]/2: 2000 bytes, [..] ms
//! ```
//! ```output
//! 4 of 5 pages, 1 failed, in [..] ms
//! ```

use fetch::{Answer, Client, Options, Server};
use std::{error::Error, pin::pin, process::ExitCode, time::Instant};
use tokio::{signal, task::JoinSet};
use util::{args::Args, text::visible, tick, timeline};

fn main() -> ExitCode {
    let _output = util::output::start();
    let _timeline = timeline::start();
    fetch::ended(start())
}

fn start() -> Result<ExitCode, Box<dyn Error>> {
    let mut args = Args::new(format!(
        "Fetches web pages at the same time, and prints the result of each.\n\n\
        Usage: 015_fetch_pages [OPTIONS] [URL]...\n\nOptions:\n{}\n\n\
        Without a URL, five pages of a local server are fetched. Ctrl-C ends with the pages that have arrived.\n{}",
        fetch::OPTIONS_HELP,
        fetch::PAGES_HELP
    ));
    let mut options = Options::take(&mut args);
    let mut urls = fetch::urls(args);
    let server = Server::start(local_page)?;
    let local = urls.is_empty();
    if local {
        options.proxies = false;
        urls = ["/5", "/3", "/1", "/missing", "/2"].map(|path| server.url(path)).to_vec();
    }
    let client = Client::new(&options)?;
    let (interrupted, failed) = fetch::run(fetch_all(client, urls))?;
    Ok(fetch::status(interrupted, if local { 0 } else { failed })) // the local one fails on purpose
}

/// The page `/3` takes three ticks.
fn local_page(path: &str) -> Answer {
    match path[1..].parse::<u32>() {
        Ok(n @ 1..=9) => Answer::page("x".repeat(1000 * n as usize)).after(tick::ticks(n)),
        _ => Answer::missing(),
    }
}

// ANCHOR: fetch_all
/// Whether Ctrl-C ended it, and how many pages failed.
async fn fetch_all(client: Client, urls: Vec<String>) -> (bool, usize) {
    let (started, count) = (Instant::now(), urls.len());
    let mut tasks = JoinSet::new();
    for url in urls {
        let client = client.clone();
        tasks.spawn(async move {
            let _span = timeline::row(&url).span("fetch");
            let result = client.get(&url).await;
            (url, result)
        });
    }
    let (mut fetched, mut failed, mut interrupted) = (0, 0, false);
    let mut ctrl_c = pin!(signal::ctrl_c());
    loop {
        let ended = tokio::select! {
            ended = tasks.join_next() => ended, // whichever comes next: not the order of starting
            _ = &mut ctrl_c => {
                interrupted = true;
                break;
            }
        };
        let Some(ended) = ended else { break };
        let (url, result) = ended.expect("a task does not panic");
        let (url, ms) = (visible(&url), started.elapsed().as_millis());
        match result {
            Ok(page) => {
                fetched += 1;
                println!("{url}: {} bytes, {ms} ms", page.body.len());
            }
            Err(failure) => {
                failed += 1;
                println!("{url}: failed: {failure}, {ms} ms");
            }
        }
    }
    let ms = started.elapsed().as_millis();
    let word = if interrupted { "interrupted: " } else { "" };
    println!("{word}{fetched} of {count} pages, {failed} failed, in {ms} ms");
    assert!(interrupted || fetched + failed == count);
    (interrupted, failed)
} // what is still on its way is dropped here, and its connection with it
// ANCHOR_END: fetch_all
