//! Copying a folder: by the copier of `multiproc`, with processes and with threads for workers; by
//! one thread, a file after the other (`std::fs`); by `cp -r`.
//!
//! Measured: from the call until every file is there. The processes are started within the time, as
//! is `cp`. `small` is 500 files of 4 KiB in ten folders, `large` four of 4 MiB. Every copy's names
//! and bytes are asserted, outside the time. Where there is one, all is on a tmpfs (`/dev/shm`): so
//! this is the cost of the system calls and of memory, not of a disk. Each copy goes to a place
//! that was never there before, for ext4 is slow where files were deleted just now. Left out:
//! disks, holes, links, and what is kept with `--preserve`.

use copier::{Model, Options};
use criterion::{Criterion, Throughput};
use rustix::fs::statfs;
use std::{
    cell::Cell,
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// A way to copy a folder to a place that is not there yet.
type Way = fn(&Path, &Path);

const WAYS: [(&str, Way); 4] =
    [("processes", processes_), ("threads", threads), ("serial", serial), ("cp", cp)];

fn by_workers(from: &Path, to: &Path, model: Model) {
    let options = Options { model, ..Options::default() };
    let summary =
        copier::copy(&[from.into()], to, &options, |_| ControlFlow::Continue(())).unwrap();
    assert!(summary.is_complete(), "{summary:?}");
}

fn processes_(from: &Path, to: &Path) {
    by_workers(from, to, Model::Process);
}

fn threads(from: &Path, to: &Path) {
    by_workers(from, to, Model::Thread);
}

fn serial(from: &Path, to: &Path) {
    fn folder(from: &Path, to: &Path) -> io::Result<()> {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folder(&entry.path(), &target)?;
            } else {
                fs::copy(entry.path(), target)?;
            }
        }
        Ok(())
    }
    folder(from, to).unwrap();
}

fn cp(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

/// A place for the folders and their copies. It is deleted when this is dropped.
struct Place {
    path: PathBuf,
    is_tmpfs: bool,
    copies: Cell<usize>,
}

impl Place {
    fn new() -> io::Result<Place> {
        const TMPFS: u64 = 0x0102_1994; // see statfs(2)
        let is_tmpfs = |path: &Path| statfs(path).is_ok_and(|system| system.f_type as u64 == TMPFS);
        let memory = Path::new("/dev/shm");
        let base = if is_tmpfs(memory) { memory.into() } else { std::env::temp_dir() };
        let path = base.join(format!("bench-copy-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Place { is_tmpfs: is_tmpfs(&path), path, copies: Cell::new(0) })
    }

    /// `files` of `size` bytes in so many folders, no two of them alike.
    fn make(&self, name: &str, folders: usize, files: usize, size: usize) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        for n in 0..files {
            let folder = path.join((n % folders).to_string());
            fs::create_dir_all(&folder)?;
            let bytes: Vec<u8> =
                (0..size as u64).map(|i| (((i + n as u64) * 0x9e37) >> 8) as u8).collect();
            fs::write(folder.join(n.to_string()), bytes)?;
        }
        Ok(path)
    }

    /// Copies once, and looks whether it is a copy.
    fn timed(&self, way: Way, from: &Path) -> Duration {
        self.copies.set(self.copies.get() + 1);
        let to = self.path.join(format!("copy-{}", self.copies.get()));
        let started = Instant::now();
        way(from, &to);
        let took = started.elapsed();
        assert_same(from, &to);
        // On a disk, what is deleted now makes the next copy slower: there all of them go at the
        // end.
        if self.is_tmpfs {
            fs::remove_dir_all(&to).unwrap();
        }
        took
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.path);
    }
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into()).collect();
    names.sort();
    names
}

fn assert_same(one: &Path, other: &Path) {
    if !one.is_dir() {
        assert!(fs::read(one).unwrap() == fs::read(other).unwrap(), "{other:?} has other bytes");
        return;
    }
    let all = names(one);
    assert_eq!(all, names(other), "{other:?} has other names");
    all.iter().for_each(|name| assert_same(&one.join(name), &other.join(name)));
}

fn main() {
    multiproc::init();
    let mut criterion = Criterion::default().configure_from_args();
    let place = Place::new().unwrap();
    for (name, folders, files, size) in [("small", 10, 500, 4 << 10), ("large", 1, 4, 4 << 20)] {
        let from = place.make(name, folders, files, size).unwrap();
        let mut group = criterion.benchmark_group(format!("copy/{name}"));
        group.sample_size(10);
        group.throughput(if name == "small" {
            Throughput::Elements(files as u64)
        } else {
            Throughput::Bytes((files * size) as u64)
        });
        for (way, copy) in WAYS {
            group.bench_function(way, |b| {
                b.iter_custom(|count| (0..count).map(|_| place.timed(copy, &from)).sum());
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
