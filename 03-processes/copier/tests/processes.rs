//! The copier in a program that forks or handles signals by itself.
#![allow(unsafe_code, reason = "the tests fork")]

use std::fs;
use std::ops::ControlFlow::Continue;

use copier::{CopyError, Options, copy};
use harness::Scratch;
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

harness::tests!([
    a_fork_while_a_copy_reports_ends_there,
    threads_that_copy_block_all_signals,
] helpers []);

/// Long enough for anything that does not hang, in seconds.
const ALARM: u32 = 30;

fn assert_succeeds(pid: Pid) {
    assert_eq!(waitpid(pid, None).unwrap(), WaitStatus::Exited(pid, 0));
}

fn is_about_forks(error: &dyn std::error::Error) -> bool {
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}").contains("forked")
}

/// A directory of this many files.
fn many_files(scratch: &Scratch, count: usize) {
    (0..count).for_each(|n| drop(scratch.file(&format!("from/{n}"), "x")));
}

fn a_fork_while_a_copy_reports_ends_there() {
    let scratch = Scratch::new();
    many_files(&scratch, 500);
    let (from, to, options) = ([scratch.at("from")], scratch.at("to"), Options::default());
    let (main, mut fork_of_it) = (std::process::id(), None);
    let summary = copy(&from, &to, &options, |_| {
        if fork_of_it.is_none() {
            // SAFETY: the copy runs code that takes locks only of this test, which no other thread
            // of it takes, and allocates, which the C library permits there.
            match unsafe { fork() }.unwrap() {
                ForkResult::Parent { child } => fork_of_it = Some(child),
                ForkResult::Child => drop(nix::unistd::alarm::set(ALARM)),
            }
        }
        Continue(())
    });
    if std::process::id() != main {
        std::process::exit(0); // forked at the very last report, when the copy is over
    }
    assert!(summary.unwrap().failures.is_empty());
    assert_eq!(fs::read_dir(&to).unwrap().count(), 500);
    assert_succeeds(fork_of_it.unwrap());
    // SAFETY: as above.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => assert_succeeds(child),
        ForkResult::Child => {
            nix::unistd::alarm::set(ALARM);
            let copied = copy(&from, &scratch.at("other"), &options, |_| Continue(()));
            let refused = matches!(copied, Err(CopyError::Io(error)) if is_about_forks(&error));
            std::process::exit(if refused { 0 } else { 1 });
        }
    }
}

/// How many threads of this process do not block all signals. A thread may end while it is looked
/// at; the kernel prints empty sets for one that is ending.
fn takers() -> usize {
    let bit = |signal: i32| 1u64 << (signal - 1);
    // The C library keeps the first real-time signals for itself, and two cannot be blocked.
    let all: u64 = (1..=31).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).map(bit).sum();
    let all = all & !bit(libc::SIGKILL) & !bit(libc::SIGSTOP);
    let takes = |status: &String| {
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
        let blocked = field("SigBlk:\t").and_then(|set| u64::from_str_radix(set, 16).ok());
        let is_alive = field("State:\t").is_some_and(|state| !state.starts_with(['X', 'Z']));
        is_alive && blocked.is_some_and(|blocked| blocked & all != all)
    };
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let statuses = threads.filter_map(|one| fs::read_to_string(one.path().join("status")).ok());
    statuses.filter(takes).count()
}

fn threads_that_copy_block_all_signals() {
    let scratch = Scratch::new();
    many_files(&scratch, 2000);
    let (before, mut most) = (takers(), 0);
    assert!(before > 0, "this thread takes them");
    let mut threads = 0;
    copy(&[scratch.at("from")], &scratch.at("to"), &Options::default(), |_| {
        threads = threads.max(fs::read_dir("/proc/self/task").unwrap().count());
        most = most.max(takers());
        Continue(())
    })
    .unwrap();
    assert!(threads > before + 1, "{threads} threads, none of which copies");
    assert_eq!(most, before);
}
