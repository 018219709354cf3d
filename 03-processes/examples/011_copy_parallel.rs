//! 011 · 整棵目录树的拷贝 · Whole trees: folders first, then everything in them by a pool.
//!
//! Python: the first clean-up of the script; still one flat folder, and a symbolic link is
//! followed.
//! Rust: sub-folders, modes, times and symbolic links. The list of names is cut into chunks for the
//! workers, because a message a file costs more than a small file. What is still missing is what
//! `012_copy` has.
//!
//! Run: `cargo run --example 011_copy_parallel [SRC DST]` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#copy-tree` · `notes/zh-CN/03-processes.md#copy-tree`
//!
//! ```output
//! 4 folders, 61 files and links
//! the link leads to: "deep/0"
//! the time of a copy is the time of its original: true
//! ```

use multiproc::Pool;
use std::{error::Error, fs, io, os::unix::fs::symlink, path::Path, path::PathBuf};
use util::{args::Args, scratch, timeline};

/// A path in the source, and the one it becomes.
type Pair = (PathBuf, PathBuf);

// ANCHOR: list
/// Makes all folders, and lists what is to be put into them.
fn make_folders(source: &Path, target: &Path, found: &mut Vec<Pair>) -> io::Result<usize> {
    fs::create_dir(target)?;
    let mut folders = 1;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let target = target.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            folders += make_folders(&entry.path(), &target, found)?;
        } else {
            found.push((entry.path(), target));
        }
    }
    Ok(folders)
}
// ANCHOR_END: list

fn copy_one((from, to): Pair) -> Result<(), String> {
    let _span = timeline::span("copy");
    let copied = || {
        let metadata = fs::symlink_metadata(&from)?;
        if metadata.is_symlink() {
            return symlink(fs::read_link(&from)?, &to); // as what it is
        }
        if !metadata.is_file() {
            return Err(io::Error::other("neither a regular file nor a symbolic link"));
        }
        fs::copy(&from, &to)?; // and its mode
        fs::File::open(&to)?.set_modified(metadata.modified()?)
    };
    copied().map_err(|error| format!("{from:?}: {error}"))
}

// ANCHOR: copy
/// How many folders were made, and how many files and links are in them.
fn copy_tree(source: &Path, target: &Path) -> Result<(usize, usize), Box<dyn Error>> {
    let above = target.parent().filter(|above| *above != Path::new(""));
    let above = above.unwrap_or(Path::new("."));
    if fs::canonicalize(above)?.starts_with(fs::canonicalize(source)?) {
        return Err(
            format!("{target:?} is inside {source:?}: it would be copied into itself").into()
        );
    }
    let mut found = Vec::new();
    let folders = make_folders(source, target, &mut found)?;
    let pool = Pool::builder().workers(2).build()?;
    let results = pool.options().chunk(16).map(copy_one, found)?;
    let done = results.into_iter().collect::<Result<Vec<()>, String>>()?;
    Ok((folders, done.len()))
}
// ANCHOR_END: copy

fn main() -> util::Result<()> {
    let _output = util::output::start();
    multiproc::init();
    let mut args = Args::new(
        "Usage: 011_copy_parallel [SRC DST]\n\nCopies a tree; without one, one it makes.",
    );
    let given = args.operands();
    if !matches!(given.len(), 0 | 2) {
        args.refuse("give SRC and DST, or neither");
    }
    args.finish();
    if let [source, target] = &given[..] {
        copy_tree(Path::new(source), Path::new(target))?;
        return Ok(());
    }
    let _timeline = timeline::start();
    let place = scratch::directory()?; // removed at the end of `main`
    let (source, target) = (place.path().join("from"), place.path().join("to"));
    for folder in ["a", "b", "deep"] {
        fs::create_dir_all(source.join(folder))?;
        (0..20).try_for_each(|n| fs::write(source.join(folder).join(n.to_string()), folder))?;
    }
    symlink("deep/0", source.join("link"))?;
    let (folders, done) = copy_tree(&source, &target)?;
    println!("{folders} folders, {done} files and links");
    let leads_to = fs::read_link(target.join("link"))?;
    println!("the link leads to: {leads_to:?}");
    let time = |folder: &Path| fs::metadata(folder.join("a/7"))?.modified();
    let same_time = time(&source)? == time(&target)?;
    println!("the time of a copy is the time of its original: {same_time}");
    let same = fs::read(target.join("b/3"))? == b"b";
    assert!(same && same_time && leads_to == Path::new("deep/0") && (folders, done) == (4, 61));
    Ok(())
}
