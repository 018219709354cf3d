//! 11.009 · 大文件切片 · A slice of a big file: lines 103 to 105 of 100 MB, and no more is read than that.
//!
//! Python: `itertools.islice(file, 102, 105)`.
//! Rust: `lines().skip(102).take(3)`. The iterator holds one buffer and one line, and the file was
//! read only as far as that.
//!
//! Run: `cargo run --example 11_009_islice_file`
//! Notes: `notes/en/04-coroutines.md#lazy` · `notes/zh-CN/04-coroutines.md#lazy`
//!
//! ```output
//! a file of 1000000 lines, 100 MB
//! line 0000103...[..]
//! line 0000104...[..]
//! line 0000105...[..]
//! read: 16 KiB of the file; held: 8 KiB at most
//! ```

use std::{
    env,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Seek, Write},
};
use util::{heap, scratch};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

const LINES: u32 = 1_000_000;

fn main() -> util::Result<()> {
    util::case!();
    let mut file = big_file()?;
    let length = file.metadata()?.len();
    println!("a file of {LINES} lines, {} MB", length / 1_000_000);

    // ANCHOR: slice
    let (lines, used) = heap::used(|| {
        let lines = BufReader::new(&file).lines().skip(102).take(3);
        lines.collect::<io::Result<Vec<String>>>()
    });
    let lines = lines?;
    // ANCHOR_END: slice
    lines.iter().for_each(|line| println!("{line}"));
    let read = file.stream_position()?;
    println!("read: {} KiB of the file; held: {} KiB at most", read / 1024, used.peak / 1024);

    assert_eq!(length, 100_000_000);
    assert!(lines.iter().zip(103..).all(|(line, n)| line.starts_with(&format!("line {n:07}."))));
    assert!(lines.len() == 3 && read < length / 1000 && used.peak < length as isize / 1000);
    Ok(())
}

/// A file of a million lines of 100 bytes, which is gone when the program ends.
fn big_file() -> io::Result<File> {
    let mut writer = BufWriter::with_capacity(1 << 20, scratch::file()?);
    let rest = ".".repeat(87);
    for number in 1..=LINES {
        writeln!(writer, "line {number:07}{rest}")?;
    }
    let mut file = writer.into_inner()?;
    file.rewind()?;
    Ok(file)
}
