//! 006 · 下载与分析 · A pipeline: one process downloads, one analyzes; closing the queue is the end.
//!
//! Python: the analyzer stops when `empty()` says so: right only if the downloader has finished by
//! then.
//! Rust: an empty queue means that the other one is slow *or* done; only the downloader knows
//! which. It closes the queue, and `get` says `Closed` when all has been taken: nothing is lost,
//! nothing comes twice.
//!
//! Run: `cargo run --example 006_queue_pipeline` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#queue` · `notes/zh-CN/03-processes.md#queue`
//!
//! ```output
//! downloaded 20
//! analyzed 20, of which none twice
//! the queue was empty before the end: at least once
//! ```

use multiproc::queue::{GetError, Queue};
use util::{tick, timeline};

const PAGES: u32 = 20;

fn download((pages, analyser_is_idle): (Queue<u32>, Queue<()>)) -> u32 {
    for page in 0..PAGES {
        if page == PAGES / 2 {
            // Goes on when the analyzer has taken all there was: it has seen an empty queue by now.
            let _waiting = timeline::wait("slow network");
            analyser_is_idle.get().unwrap();
        }
        let _span = timeline::span(page);
        tick::sleep(0.1);
        pages.put(&page).unwrap();
    }
    // ANCHOR: close
    pages.close(); // no more will come
    // ANCHOR_END: close
    PAGES
}

fn analyze((pages, i_am_idle): (Queue<u32>, Queue<()>)) -> (Vec<u32>, u32) {
    let (mut analyzed, mut empty) = (Vec::new(), 0);
    loop {
        if pages.is_empty() && !pages.is_closed() {
            empty += 1; // `empty()` as the end would stop here
        }
        if analyzed.len() as u32 == PAGES / 2 {
            i_am_idle.put(&()).unwrap();
        }
        // ANCHOR: get
        let page = match pages.get() {
            Ok(page) => page,
            Err(GetError::Closed) => return (analyzed, empty),
            Err(error) => panic!("{error}"),
        };
        // ANCHOR_END: get
        let _span = timeline::span(page);
        tick::sleep(0.1);
        analyzed.push(page);
    }
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();
    let (pages, idle) = (Queue::bounded(5)?, Queue::unbounded()?);
    let downloader = multiproc::spawn(download, (pages.clone(), idle.clone()))?;
    let analyzer = multiproc::spawn(analyze, (pages, idle))?;
    println!("downloaded {}", downloader.join()?);
    let (analyzed, empty) = analyzer.join()?;
    println!("analyzed {}, of which none twice", analyzed.len());
    assert_eq!(analyzed, (0..PAGES).collect::<Vec<_>>());
    assert!(empty > 0);
    println!("the queue was empty before the end: at least once");
    Ok(())
}
