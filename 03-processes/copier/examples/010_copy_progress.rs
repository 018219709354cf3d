//! 010 · 带进度的拷贝 · A pool, a queue, a progress bar: each task reports its file when it is done.
//!
//! Python: `Pool`, `Manager().Queue()`, and `print("\r… %.2f %%", end="")` in a loop that counts names from the queue; an
//! exception in a task is never seen, and the loop then waits for ever.
//! Rust: the same pool and queue. The bar draws itself only in a terminal. What a task returns is looked at, so
//! a file that fails is an error; the queue is for the progress only.
//!
//! Run: `cargo run --example 010_copy_progress` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#copy-progress` · `notes/zh-CN/03-processes.md#copy-progress`
//!
//! ```output
//! 20 of 20 files reported
//! 20 of 20 are the same as their originals
//! ```

use indicatif::ProgressBar;
use processes::{Pool, queue::Queue};
use std::{env, error::Error, fs, path::PathBuf, process};
use util::{tick, timeline};

fn copy_file((queue, from, to): (Queue<PathBuf>, PathBuf, PathBuf)) -> Result<u64, String> {
    let _span = timeline::span("copy");
    tick::sleep(0.2); // a slow disk, so that there is a bar to look at
    let bytes = fs::copy(&from, &to).map_err(|error| format!("{from:?}: {error}"))?;
    queue.put(&from).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn main() -> Result<(), Box<dyn Error>> {
    processes::init();
    let _timeline = timeline::start();
    let place = env::temp_dir().join(format!("010_copy_progress-{}", process::id()));
    let (source, target) = (place.join("from"), place.join("to"));
    fs::create_dir_all(&source)?;
    fs::create_dir_all(&target)?;
    let names: Vec<String> = (0..20).map(|n| format!("file {n}")).collect();
    for name in &names {
        fs::write(source.join(name), name.repeat(1000))?;
    }
    // ANCHOR: copy
    let pool = Pool::builder().workers(3).build()?;
    let queue = Queue::unbounded()?;
    let copy =
        |name| pool.apply_async(copy_file, (queue.clone(), source.join(name), target.join(name)));
    let tasks: Vec<_> = names.iter().map(copy).collect::<Result<_, _>>()?;

    let (bar, mut reported) = (ProgressBar::new(tasks.len() as u64), 0);
    for task in tasks {
        task.get()??; // a task that failed ends it here
        while queue.try_get().is_ok() {
            reported += 1;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    // ANCHOR_END: copy
    println!("{reported} of {} files reported", names.len());
    let is_same =
        |name: &&String| fs::read(source.join(name)).ok() == fs::read(target.join(name)).ok();
    let same = names.iter().filter(is_same).count();
    println!("{same} of {} are the same as their originals", names.len());
    fs::remove_dir_all(&place)?;
    assert_eq!((reported, same), (names.len(), names.len()));
    Ok(())
}
