//! 009 · 文件夹拷贝第一步 · The first step of a copier: a folder's name, a new folder, a list of files.
//!
//! Python: `input()` for the name, `os.mkdir(name + "[copy]")` in a `try`, `os.listdir`.
//! Rust: the same three steps. A folder that is there already is an error one can match; names are
//! not always UTF-8, so they stay what they are (`OsString`) and are only shown as text.
//!
//! Run: `cargo run --example 009_copy_folder`
//! Notes: `notes/en/03-processes.md#copier` · `notes/zh-CN/03-processes.md#copier`
//!
//! ```output
//! to be copied: "photos"
//! new folder: "photos[copy]"
//! once more: it is there already
//! 3 names in it: ["a.jpg", "b.jpg", "c.jpg"]
//! ```

use std::{error::Error, ffi::OsString, fs, io, path::Path};
use util::scratch;

fn main() -> util::Result<()> {
    util::case!();
    let place = scratch::directory()?; // removed at the end of `main`
    let photos = place.path().join("photos");
    fs::create_dir(&photos)?;
    for name in ["c.jpg", "a.jpg", "b.jpg"] {
        fs::write(photos.join(name), name)?;
    }
    assert_eq!(first_step(&photos)?, ["a.jpg", "b.jpg", "c.jpg"]);
    Ok(())
}

// ANCHOR: steps
fn first_step(source: &Path) -> Result<Vec<OsString>, Box<dyn Error>> {
    let name = source.file_name().ok_or("a folder without a name")?;
    println!("to be copied: {name:?}");

    let mut new_name = name.to_owned();
    new_name.push("[copy]");
    let target = source.with_file_name(&new_name);
    fs::create_dir(&target)?;
    println!("new folder: {new_name:?}");
    match fs::create_dir(&target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            println!("once more: it is there already");
        }
        result => result?,
    }

    let entries: io::Result<Vec<_>> = fs::read_dir(source)?.collect();
    let mut names: Vec<_> = entries?.into_iter().map(|entry| entry.file_name()).collect();
    names.sort(); // a folder lists them in no order
    println!("{} names in it: {names:?}", names.len());
    Ok(names)
}
// ANCHOR_END: steps
