//! A small harness for tests that start processes: `main` is ours, so `multiproc::init()` comes
//! first in it; every test has a hard deadline; and when all have run, no process may be left.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// No test may take longer, however loaded the machine is.
const DEADLINE: Duration = Duration::from_secs(120);

/// Names the helper program that this one is to be, instead of running tests.
const HELPER: &str = "MULTIPROC_TEST_HELPER";

/// A named function.
pub type Named = (&'static str, fn());

/// `main` of a test file: its tests, and the programs they start.
#[macro_export]
macro_rules! tests {
    ([$($test:ident),* $(,)?] helpers [$($helper:ident),* $(,)?]) => {
        fn main() -> std::process::ExitCode {
            multiproc::init();
            common::run(&[$((stringify!($test), $test as fn())),*], &[$((stringify!($helper), $helper as fn())),*])
        }
    };
}

/// Runs the tests whose name contains the argument, one after the other.
pub fn run(tests: &[Named], helpers: &[Named]) -> std::process::ExitCode {
    if let Ok(name) = std::env::var(HELPER) {
        helpers.iter().find(|(known, _)| *known == name).expect("a helper of this name").1();
        return std::process::ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> =
        arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let exact = arguments.iter().any(|argument| argument == "--exact");
    let chosen = tests.iter().filter(|(name, _)| {
        filters.is_empty()
            || filters
                .iter()
                .any(|filter| if exact { name == filter } else { name.contains(filter.as_str()) })
    });
    if arguments.iter().any(|argument| argument == "--list") {
        chosen.for_each(|(name, _)| println!("{name}: test"));
        return std::process::ExitCode::SUCCESS;
    }
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, test) in chosen {
        let watchdog = Watchdog::start(name);
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(test));
        drop(watchdog);
        let left = left_over();
        match outcome {
            Ok(()) if left.is_empty() => {
                println!("test {name} ... ok ({:.2?})", start.elapsed());
                passed += 1;
            }
            Ok(()) => {
                println!("test {name} ... FAILED: left behind: {left:?}");
                failed.push(*name);
            }
            Err(_) => {
                println!("test {name} ... FAILED");
                failed.push(*name);
            }
        }
    }
    println!("\ntest result: {passed} passed; {} failed {failed:?}\n", failed.len());
    if failed.is_empty() {
        std::process::ExitCode::SUCCESS
    } else {
        std::process::ExitCode::FAILURE
    }
}

/// Aborts the program at the deadline.
struct Watchdog {
    generation: u64,
}

static GENERATION: AtomicU64 = AtomicU64::new(0);

impl Watchdog {
    fn start(name: &'static str) -> Self {
        let generation = GENERATION.fetch_add(1, Ordering::SeqCst) + 1;
        thread::spawn(move || {
            thread::sleep(DEADLINE);
            if GENERATION.load(Ordering::SeqCst) == generation {
                eprintln!("test {name} is still running after {DEADLINE:?}");
                say_who_waits();
                std::process::abort();
            }
        });
        Self { generation }
    }
}

/// Prints the threads of this process and of all below it: what each is called, its state, and
/// where in the kernel it waits.
fn say_who_waits() {
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
            eprintln!("  {pid} {}: {:?}, {}", name.trim(), state.unwrap_or('?'), read("wchan"));
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        GENERATION.fetch_add(1, Ordering::SeqCst);
    }
}

/// What is left of this test's processes two seconds later at the most: its children, zombies among
/// them, and any other process that runs this very executable, other tests' of the same file being
/// over.
fn left_over() -> Vec<String> {
    let mut left = Vec::new();
    wait_until(Duration::from_secs(2), || {
        left = list_left_over();
        left.is_empty()
    });
    left
}

fn list_left_over() -> Vec<String> {
    let me = std::process::id();
    let program = fs::read_link("/proc/self/exe").unwrap();
    let group = Stat::of(me).unwrap().group;
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != me)
        .filter_map(|pid| Some((pid, Stat::of(pid)?)))
        .filter(|(pid, stat)| {
            let runs_this =
                fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
            stat.parent == me || (runs_this && stat.group == group)
        })
        .map(|(pid, stat)| format!("{pid} {} {}", stat.name, stat.state))
        .collect()
}

/// What `/proc` says of a process.
pub struct Stat {
    pub name: String,
    pub state: char,
    pub parent: u32,
    pub group: i32,
}

impl Stat {
    /// `None` if there is no such process.
    pub fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, after) = text.rsplit_once(')')?;
        let mut fields = after.split_whitespace();
        Some(Self {
            name: before.split_once('(')?.1.to_owned(),
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }
}

/// Whether the process has ended; a zombie that somebody else has to reap has.
pub fn is_gone(pid: u32) -> bool {
    Stat::of(pid).is_none_or(|stat| matches!(stat.state, 'Z' | 'X'))
}

/// Looks until it holds or the time is up, and says whether it held.
pub fn wait_until(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + time;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// This test program, to be run as one of its helpers.
pub fn helper(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env(HELPER, name).stdin(Stdio::null());
    command
}

/// A directory of its own for a test, gone at its end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // In memory, where there is such a place: some of these trees are large.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = base.join(format!("copy-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A directory in it.
    pub fn folder(&self, name: &str) -> PathBuf {
        fs::create_dir_all(self.at(name)).unwrap();
        self.at(name)
    }

    /// A file in it, and the directories it is in.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), contents).unwrap();
        self.at(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // `remove_dir_all` would hold a descriptor for each level of a deep tree.
        let script = "chmod -R u+rwx \"$0\" 2>/dev/null; rm -rf \"$0\"";
        let _ = Command::new("sh").args(["-c", script]).arg(&self.0).status();
    }
}

/// The shortest of several measurements: what the machine's load adds is not what is measured.
pub fn shortest(times: usize, mut measure: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| measure()).min().unwrap()
}

/// The descriptors this process has open: what they lead to.
pub fn open_descriptors() -> BTreeSet<String> {
    let list = fs::read_dir("/proc/self/fd").unwrap();
    list.filter_map(|entry| {
        let entry = entry.ok()?;
        let target = fs::read_link(entry.path()).ok()?;
        // Sockets and pipes by kind: their numbers differ from process to process.
        let target = target.to_str()?.split(":[").next()?.to_owned();
        // The directory being read is open too.
        (!target.contains("/proc/") && !target.ends_with("/fd"))
            .then(|| format!("{} {target}", entry.file_name().display()))
    })
    .collect()
}
