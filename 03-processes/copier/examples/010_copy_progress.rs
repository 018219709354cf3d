//! 010 · 带进度的拷贝 · A pool, a queue, a progress bar: each task reports its file when it is done.
//!
//! Python: `Pool`, `Manager().Queue()`, and `print("\r… %.2f %%", end="")` in a loop that counts
//! names from the queue. The notes discard each `AsyncResult`, so an exception in a task goes
//! unseen, and the loop then waits forever.
//! Rust: the same pool and queue. The bar draws itself only in a terminal. What a task returns is
//! looked at, so a file that fails is an error; the queue is for the progress only.
//!
//! Run: `cargo run --example 010_copy_progress [SRC DST]` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#copy-progress` · `notes/zh-CN/03-processes.md#copy-progress`
//!
//! ```output
//! 20 of 20 files reported
//! 20 of 20 are the same as their originals
//! ```

use indicatif::ProgressBar;
use multiproc::{Pool, queue::Queue};
use std::{error::Error, ffi::OsString, fs, io, path::Path, path::PathBuf};
use util::{args::Args, scratch, tick, timeline};

fn copy_file(
    (queue, from, to, ticks): (Queue<OsString>, PathBuf, PathBuf, f64),
) -> Result<u64, String> {
    let _span = timeline::span("copy");
    if ticks > 0.0 {
        tick::sleep(ticks); // a slow disk, so that there is a bar to look at
    }
    let copied = || match fs::metadata(&from)?.is_file() {
        true => fs::copy(&from, &to),
        false => Err(io::Error::other("not a regular file")), // to read a FIFO would be to wait
    };
    let bytes = copied().map_err(|error| format!("{from:?}: {error}"))?;
    queue
        .put(&from.file_name().unwrap_or_default().to_owned())
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

// ANCHOR: copy
/// How many files were reported.
fn copy_folder(source: &Path, target: &Path, ticks: f64) -> Result<usize, Box<dyn Error>> {
    // Listed first: the new folder may be in this one.
    let names: io::Result<Vec<_>> =
        fs::read_dir(source)?.map(|entry| Ok(entry?.file_name())).collect();
    fs::create_dir(target)?;
    let pool = Pool::builder().workers(3).build()?;
    let queue = Queue::unbounded()?;
    let copy = |name: OsString| {
        let job = (queue.clone(), source.join(&name), target.join(&name), ticks);
        pool.apply_async(copy_file, job)
    };
    let tasks: Vec<_> = names?.into_iter().map(copy).collect::<Result<_, _>>()?;

    let (bar, mut reported) = (ProgressBar::new(tasks.len() as u64), 0);
    for task in tasks {
        task.get()??; // a task that failed ends it here
        while queue.try_get().is_ok() {
            reported += 1;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(reported)
}
// ANCHOR_END: copy

fn main() -> util::Result<()> {
    let _output = util::output::start();
    multiproc::init();
    let mut args = Args::new(
        "Usage: 010_copy_progress [SRC DST]\n\nCopies the files of a folder; without one, of one it makes.",
    );
    let given = args.operands();
    if !matches!(given.len(), 0 | 2) {
        args.refuse("give SRC and DST, or neither");
    }
    args.finish();
    if let [source, target] = &given[..] {
        copy_folder(Path::new(source), Path::new(target), 0.0)?;
        return Ok(());
    }
    let _timeline = timeline::start();
    let place = scratch::directory()?; // removed at the end of `main`
    let (source, target) = (place.path().join("from"), place.path().join("to"));
    fs::create_dir_all(&source)?;
    let names: Vec<String> = (0..20).map(|n| format!("file {n}")).collect();
    for name in &names {
        fs::write(source.join(name), name.repeat(1000))?;
    }
    let reported = copy_folder(&source, &target, 0.2)?;
    println!("{reported} of {} files reported", names.len());
    let is_same =
        |name: &&String| fs::read(source.join(name)).ok() == fs::read(target.join(name)).ok();
    let same = names.iter().filter(is_same).count();
    println!("{same} of {} are the same as their originals", names.len());
    assert_eq!((reported, same), (names.len(), names.len()));
    Ok(())
}
