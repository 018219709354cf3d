//! 016 · 网页抓取池 · Many pages: at most N requests at once, and results in input order.
//!
//! Python: `gevent.pool.Pool(n)`, whose `map` returns the results in order.
//! Rust: a stream of futures, of which `buffer_unordered(n)` runs n at once; each result knows its
//! place. `--by-hand` does the same with a set of tasks that is refilled when one ends. The server
//! counts as well: it never has more than N requests at once. The exit status is 1 if a page
//! that you named failed, and 130 after Ctrl-C, which still reports what has arrived.
//!
//! Run: `cargo run --example 016_fetch_pool` (a picture: `TIMELINE=1` before it), or with real
//! ones: `cargo run --example 016_fetch_pool -- --at-once 4 https://www.rust-lang.org
//! https://www.python.org`
//! Notes: `notes/en/04-coroutines.md#fetch` · `notes/zh-CN/04-coroutines.md#fetch`
//!
//! ```output args="--at-once 3"
//! http://127.0.0.1:[..]/1: 100 bytes
//! http://127.0.0.1:[..]/2: 200 bytes
//! http://127.0.0.1:[..]/3: 300 bytes
//! http://127.0.0.1:[..]/4: 400 bytes
//! http://127.0.0.1:[..]/5: 500 bytes
//! http://127.0.0.1:[..]/6: 600 bytes
//! http://127.0.0.1:[..]/7: failed: 404 Not Found
//! http://127.0.0.1:[..]/8: 800 bytes
//! http://127.0.0.1:[..]/9: 900 bytes
//! http://127.0.0.1:[..]/10: 1000 bytes
//! http://127.0.0.1:[..]/11: 1100 bytes
//! http://127.0.0.1:[..]/12: 1200 bytes
//! 11 of 12 pages, 1 failed, in [..] ms
//! never more than 3 at once: true
//! ```

use fetch::{Answer, Client, Failure, Options, Server};
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    error::Error,
    pin::pin,
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::{signal, task::JoinSet};
use util::{args::Args, eprintln, text::visible, tick, timeline};

/// The size of each page, or why there is none. `None`: it had not arrived at Ctrl-C.
type Results = Vec<Option<Result<usize, Failure>>>;

fn main() -> ExitCode {
    let _output = util::output::start();
    let _timeline = timeline::start();
    fetch::ended(start())
}

fn start() -> Result<ExitCode, Box<dyn Error>> {
    let mut args = Args::new(format!(
        "Fetches web pages, a few at a time, and prints the results in the order of the URLs.\n\n\
        Usage: 016_fetch_pool [OPTIONS] [URL]...\n\nOptions:\n  \
        --at-once <N>        number of concurrent requests, 1 to 10000 [default: 8]\n  \
        --by-hand            use a set of tasks instead of a stream\n{}\n\n\
        Without a URL, twelve pages of a local server are fetched. Ctrl-C ends with the pages that have arrived.\n{}",
        fetch::OPTIONS_HELP,
        fetch::PAGES_HELP
    ));
    let at_once = args.number("--at-once", 1..=10_000_usize).unwrap_or(8);
    let use_tasks = args.flag("--by-hand");
    let mut options = Options::take(&mut args);
    let mut urls = fetch::urls(args);
    let server = Server::start(local_page)?;
    let local = urls.is_empty();
    if local {
        options.proxies = false;
        urls = (1..=12).map(|n| server.url(&format!("/{n}"))).collect();
    }

    let started = Instant::now();
    let client = Client::new(&options)?;
    let (results, interrupted) = fetch::run(async {
        match use_tasks {
            false => by_stream(client, &urls, at_once).await,
            true => by_hand(client, &urls, at_once).await,
        }
    })?;
    for (url, result) in urls.iter().zip(&results) {
        let url = visible(url);
        match result {
            Some(Ok(bytes)) => println!("{url}: {bytes} bytes"),
            Some(Err(failure)) => println!("{url}: failed: {failure}"),
            None => println!("{url}: not fetched"),
        }
    }
    let fetched = results.iter().flatten().filter(|result| result.is_ok()).count();
    let failed = results.iter().flatten().count() - fetched;
    let (word, ms) =
        (if interrupted { "interrupted: " } else { "" }, started.elapsed().as_millis());
    println!("{word}{fetched} of {} pages, {failed} failed, in {ms} ms", urls.len());
    if local {
        println!("never more than {at_once} at once: {}", server.peak() <= at_once);
        assert!(server.peak() <= at_once);
    }
    assert!(interrupted || fetched + failed == urls.len());
    Ok(fetch::status(interrupted, if local { 0 } else { failed })) // the local one fails on purpose
}

/// Page `/7` is missing; the others take one tick to three.
fn local_page(path: &str) -> Answer {
    match path[1..].parse::<u32>() {
        Ok(7) | Err(_) => Answer::missing(),
        Ok(n) => Answer::page("x".repeat(100 * n as usize)).after(tick::ticks(1 + n * 5 % 3)),
    }
}

// ANCHOR: stream
/// Results in the order of the URLs, and whether Ctrl-C came.
async fn by_stream(client: Client, urls: &[String], at_once: usize) -> (Results, bool) {
    let mut results: Results = vec![None; urls.len()];
    let pages =
        urls.iter().enumerate().map(|(place, url)| fetch(client.clone(), place, url.clone()));
    let mut pages = stream::iter(pages).buffer_unordered(at_once); // this is the pool
    let progress = Progress::new(urls.len());
    let mut ctrl_c = pin!(signal::ctrl_c());
    loop {
        tokio::select! {
            page = pages.next() => match page {
                Some((place, result)) => results[place] = Some(result),
                None => return (results, false),
            },
            _ = &mut ctrl_c => return (results, true), // drops the others, and their connections
        }
        progress.step();
    }
}

/// One page, and its place in the list of results.
async fn fetch(client: Client, place: usize, url: String) -> (usize, Result<usize, Failure>) {
    let _span = timeline::row(&url).span("fetch");
    (place, client.get(&url).await.map(|page| page.body.len()))
}
// ANCHOR_END: stream

// ANCHOR: by_hand
/// The same by a set of tasks: the next one is started when one has ended.
async fn by_hand(client: Client, urls: &[String], at_once: usize) -> (Results, bool) {
    let mut results: Results = vec![None; urls.len()];
    let mut waiting = urls.iter().enumerate();
    let mut tasks = JoinSet::new();
    let progress = Progress::new(urls.len());
    let mut ctrl_c = pin!(signal::ctrl_c());
    loop {
        while tasks.len() < at_once
            && let Some((place, url)) = waiting.next()
        {
            tasks.spawn(fetch(client.clone(), place, url.clone()));
        }
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(page) => {
                    let (place, result) = page.expect("a task does not panic");
                    results[place] = Some(result);
                }
                None => return (results, false),
            },
            _ = &mut ctrl_c => return (results, true),
        }
        progress.step();
    }
}
// ANCHOR_END: by_hand

/// A bar on standard error; where that is no terminal, a line every two seconds.
struct Progress {
    bar: ProgressBar,
    said: std::cell::Cell<Instant>,
}

impl Progress {
    fn new(count: usize) -> Progress {
        let bar = ProgressBar::new(count as u64); // hidden where there is no terminal
        let style =
            ProgressStyle::with_template("{bar:40} {pos}/{len} pages, {per_sec}, {eta} left");
        bar.set_style(style.expect("the template is right"));
        bar.tick();
        Progress { bar, said: std::cell::Cell::new(Instant::now()) }
    }

    fn step(&self) {
        self.bar.inc(1);
        if self.bar.is_hidden() && self.said.get().elapsed() > Duration::from_secs(2) {
            self.said.set(Instant::now());
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
            eprintln!("{done} of {all} pages");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
