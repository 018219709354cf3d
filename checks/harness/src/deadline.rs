//! The deadline of a test: the program is aborted when it has passed, with the reason.

use std::{
    fs,
    io::{Write, stderr},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::process::Stat;

/// Aborts the program if it is not dropped in time. It first prints what the threads of this
/// process and of its descendants are doing.
#[must_use]
pub struct Deadline {
    alive: Option<Sender<()>>,
    watch: Option<JoinHandle<()>>,
}

impl Deadline {
    /// A deadline `limit` from now, for the test of this name.
    pub fn new(test: impl Into<String>, limit: Duration) -> Deadline {
        let (alive, ended) = mpsc::channel::<()>();
        let test = test.into();
        let watch = thread::spawn(move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // It may be that nobody reads it.
                let _ = writeln!(stderr(), "test {test} is still running after {limit:?}");
                print_threads();
                std::process::abort();
            }
        });
        Deadline { alive: Some(alive), watch: Some(watch) }
    }
}

/// A deadline for a test of the standard harness, which names a test's thread as the test.
pub fn deadline(seconds: u64) -> Deadline {
    let test = thread::current().name().unwrap_or("without a name").to_owned();
    Deadline::new(test, Duration::from_secs(seconds))
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.alive = None;
        // It ends now; when the test counts its threads, or the next one does, it is gone.
        let _ = self.watch.take().map(JoinHandle::join);
    }
}

/// Prints the threads of this process and of all below it: name, state, and the function of the
/// kernel in which the thread waits.
fn print_threads() {
    let mut family = vec![std::process::id()];
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for (pid, stat) in all.filter_map(|pid: u32| Some((pid, Stat::of(pid)?))) {
        if family.contains(&stat.parent) {
            family.push(pid);
        }
    }
    for pid in family {
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let read = |file| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            let state = read("stat").rsplit(')').next().and_then(|rest| rest.chars().nth(1));
            let name = read("comm");
            let (name, state) = (name.trim(), state.unwrap_or('?'));
            let _ = writeln!(stderr(), "  {pid} {name}: {state:?}, {}", read("wchan"));
        }
    }
}
