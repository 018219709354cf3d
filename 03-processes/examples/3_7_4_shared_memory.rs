//! 3.7.4 · 共享内存 · Shared memory: four processes read 256 MiB that exist once.
//!
//! Python: `SharedMemory(create=True, size=…)` is a file in `/dev/shm` that has a name. Every
//! process closes it, and one unlinks it. If none is left to do so, it stays until the machine
//! restarts; and the *resource tracker*, which is to prevent that, can remove it while others still
//! use it (CPython issue 82300). `ShareableList` is a list in such a file.
//! Rust: `build` writes a `Shared<[f64]>` once. From then on it is a `&[f64]` in every process,
//! which nobody can change, so there is no lock and no copy. It has no name, and the kernel knows
//! who holds it: what nobody holds any more is freed, however its processes ended.
//! Mistake: the numbers themselves as an argument, which is encoded, sent and decoded: one more
//! copy per process.
//!
//! Run: `cargo run --example 3_7_4_shared_memory` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#shared-memory` · `notes/zh-CN/03-processes.md#shared-memory`
//!
//! ```output
//! 4 processes read 256 MiB, and each has the right sum
//! main and all of them together hold [..] MiB; a copy each would be 1280 MiB
//! a process makes 64 MiB more: 320 MiB of shared memory
//! it is killed: 256 MiB of shared memory
//! main drops its handle: 0 MiB of shared memory
//! ```

use multiproc::pipe::{self, Duplex, Sender};
use multiproc::shared::{Shared, Value};
use std::{fs, io, os::unix::fs::MetadataExt, process, sync::atomic::AtomicU8, thread};
use util::{measure, timeline};

const MIB: usize = 1 << 20;
/// A number in each page is enough to write or read all of the memory.
const PAGE: usize = 4096 / size_of::<f64>();
const PROCESSES: usize = 4;

// ANCHOR: read
fn read((samples, main): (Shared<[f64]>, Duplex<f64, ()>)) {
    let span = timeline::span("read");
    let sum = samples.iter().step_by(PAGE).sum();
    drop(span);
    if main.send(&sum).is_ok() {
        let _ = main.recv(); // still holds the memory: main looks how much that is
    }
}
// ANCHOR_END: read

fn make(made: Sender<()>) {
    if let Ok(_more) = Shared::<[u8]>::build(64 * MIB, |bytes| bytes.fill(1)) {
        let _ = made.send(&());
        loop {
            thread::park(); // until it is killed
        }
    }
}

fn main() -> util::Result<()> {
    processes::case!();
    multiproc::init();
    let _timeline = timeline::start();

    // ANCHOR: build
    let writing = timeline::span("write");
    let samples: Shared<[f64]> = Shared::build(256 * MIB / size_of::<f64>(), |samples| {
        for (number, sample) in (0..).zip(samples.iter_mut().step_by(PAGE)) {
            *sample = f64::from(number);
        }
    })?;
    drop(writing);
    let start = |_| -> util::Result<_> {
        let (pipe, theirs) = pipe::duplex::<(), f64>()?;
        Ok((pipe, multiproc::spawn(read, (samples.clone(), theirs))?))
    };
    let readers: Vec<_> = (0..PROCESSES).map(start).collect::<Result<_, _>>()?;
    // ANCHOR_END: build
    for (pipe, _) in &readers {
        assert_eq!(pipe.recv()?, (0..65_536).sum::<u32>().into());
    }
    println!("{PROCESSES} processes read 256 MiB, and each has the right sum");

    // A page that several processes map counts for each of them in part, so the sum counts it once.
    let ids = readers.iter().map(|(_, child)| child.id()).chain([process::id()]);
    let held = ids.map(measure::memory).sum::<io::Result<u64>>()? / MIB as u64;
    println!("main and all of them together hold {held} MiB; a copy each would be 1280 MiB");
    assert!(held <= 256 + 256 / 20, "{held} MiB"); // not more than 1.05 copies
    for (pipe, child) in readers {
        drop(pipe);
        child.join()?;
    }

    // ANCHOR: kill
    let (sender, made) = pipe::simplex()?;
    let maker = multiproc::spawn(make, sender)?;
    made.recv()?;
    println!("a process makes 64 MiB more: {} MiB of shared memory", shared_memory()?);
    maker.kill()?;
    let _ = maker.join();
    println!("it is killed: {} MiB of shared memory", freed(256)?);
    drop(samples);
    println!("main drops its handle: {} MiB of shared memory", freed(0)?);
    // ANCHOR_END: kill
    Ok(())
}

/// What processes have left behind by being killed is freed when something else is shared.
fn freed(expected: u64) -> util::Result<u64> {
    drop(Value::<AtomicU8>::new(0)?);
    let left = shared_memory()?;
    assert_eq!(left, expected);
    Ok(left)
}

/// The MiB that the tree's shared memory holds, a file without a name that this process has open.
fn shared_memory() -> util::Result<u64> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        if fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:")) {
            return Ok(fs::metadata(path)?.blocks() * 512 / MIB as u64);
        }
    }
    Err("there is no shared memory".into())
}
