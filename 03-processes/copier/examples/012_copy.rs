//! 012 · 文件夹拷贝最终版 · A copier to keep: whole files or none, and as fast as the fastest.
//!
//! Python: a `Pool`, a `Manager().Queue()`, one message a file; a file half copied has its final
//! name; symbolic links and sub-folders are not thought of.
//! Rust: the engine is `copier`; this is its command line: arguments, a progress bar,
//! signals, a summary. A file has its name only when it is whole, so Ctrl-C, a killed worker or a
//! full disk leave nothing half-written, and the same command once more does the rest.
//!
//! Run: `cargo run --example 012_copy -- SRC DST`, with `--release` where speed counts; `--help`
//! tells the rest
//! Notes: `notes/en/03-processes.md#copy-tool` · `notes/zh-CN/03-processes.md#copy-tool`
//!
//! ```output args="--dry-run /etc/passwd accounts"
//! would copy 1 file ([..]), 0 folders
//! nothing was touched
//! ```

use copier::{Options, Progress, Summary};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, Signal, raise},
};
use std::{
    fs,
    io::{self, IsTerminal},
    ops::ControlFlow,
    os::fd::AsFd,
    path::PathBuf,
    process::ExitCode,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};
use util::{args::Args, eprintln};

const HELP: &str = "\
Copies files and folders, with several workers; nothing half-written ever has its final name.

Usage: 012_copy [OPTIONS] SRC... DST

One SRC becomes DST itself, whether or not that is there (a directory that is there is filled). With several, or if DST
ends with /, or for a file if DST is a directory, they go into DST under their own names. The same command once more does
what an interrupted one has left.

DST may be a symbolic link to a directory. Nothing else is written through a symbolic link: one that stands where a file is
to be is treated as a file that is there, and one that stands where a directory is to be is an error. A SRC that is a symbolic
link is copied as one, unless it ends with /.

Symbolic links, hard links, sparse files, FIFOs, sockets and device nodes are copied as what they are. The names of one file
become names of one file. A name that is there already and kept has no other linked to it, unless it is an earlier copy of
that file: same kind, length, owner and contents, and with --preserve same mode and time.

Options:
  --workers <N>       number of workers, 1 to 1024 [default: one per core]
  --model <MODEL>     what a worker is: process or thread [default: process]
  --processes-after <MS>
                      copy with threads for so many milliseconds before worker processes are started [default: 50]
  --on-exists <WHAT>  what to do with a file that is there already: skip, overwrite or fail [default: skip]
  --preserve          keep mode, times, extended attributes and access control lists, and the owner where that is allowed
  --sync              wait until everything is on disk
  --dry-run           print how much there is to copy, and what would fail; change nothing

Without --preserve a new file has the mode of its original, less the umask and the set-id and sticky bits; a directory that is there keeps
its mode.

A first Ctrl-C, SIGTERM or SIGHUP stops the copy, leaves no temporary file of its own, and then ends the program by that signal.
A second one ends it at once.

Exit status: 0, everything is there; 1, something could not be copied, and was named; 2, wrong arguments.";

fn main() -> ExitCode {
    let _output = util::output::start();
    multiproc::init();
    let mut args = Args::new(HELP);
    let mut options = Options::default();
    options.workers = args.value("--workers").unwrap_or(options.workers);
    options.model = args.value("--model").unwrap_or(options.model);
    let after = args.value("--processes-after").map(Duration::from_millis);
    options.processes_after = after.unwrap_or(options.processes_after);
    options.on_exists = args.value("--on-exists").unwrap_or(options.on_exists);
    options.preserve = args.flag("--preserve");
    options.sync = args.flag("--sync");
    options.dry_run = args.flag("--dry-run");
    let mut paths: Vec<PathBuf> = args.operands().into_iter().map(PathBuf::from).collect();
    if !(1..=copier::MAX_WORKERS).contains(&options.workers) {
        let (given, most) = (options.workers, copier::MAX_WORKERS);
        args.refuse(&format!("--workers {given} is out of range: expected 1 to {most}"));
    }
    let target = paths.pop().filter(|_| !paths.is_empty());
    let Some(target) = target else { args.refuse("give at least one SRC, and DST") };
    args.finish();

    let interrupted = catch_signals();
    let mut display = Display::new();
    // ANCHOR: copy
    let copied = copier::copy(&paths, &target, &options, |progress| {
        display.show(progress);
        match interrupted.get() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    });
    // ANCHOR_END: copy
    if takes_a_line() {
        display.bar.finish_and_clear();
    }
    let summary = match copied {
        Ok(summary) => summary,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    tell(&summary, &options, display.begun.elapsed());
    if let Some(signal) = interrupted.get() {
        end_by(*signal);
    }
    if summary.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Ctrl-C and its like are waited for by a thread; the first is remembered, a second one ends the
/// program at once. What was being ignored stays so (`nohup`).
fn catch_signals() -> &'static OnceLock<Signal> {
    static INTERRUPTED: OnceLock<Signal> = OnceLock::new();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let all = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let signals: SigSet =
        all.into_iter().filter(|signal| ignored >> (*signal as u32 - 1) & 1 == 0).collect();
    // With a limit of file sizes (`ulimit -f`), a file that is too long is an error.
    let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
    // In this thread, before there are others: they inherit it.
    if signals.thread_block().is_ok() {
        let watch = move || {
            if let Ok(signal) = signals.wait() {
                let _ = INTERRUPTED.set(signal);
            }
            if let Ok(signal) = signals.wait() {
                end_by(signal);
            }
        };
        if thread::Builder::new().spawn(watch).is_err() {
            let _ = signals.thread_unblock(); // then the first ends it at once
        }
    }
    &INTERRUPTED
}

/// Ends the program by a signal that is blocked: to whoever started it, that is how it ended.
fn end_by(signal: Signal) {
    let _ = raise(signal);
    let _ = SigSet::from(signal).thread_unblock();
}

/// Whether standard error takes a line now. One that nobody reads must not hold up the copy.
fn takes_a_line() -> bool {
    let stderr = io::stderr();
    let mut stderr = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    poll(&mut stderr, PollTimeout::ZERO).is_ok() && stderr[0].revents() == Some(PollFlags::POLLOUT)
}

/// A bar in a terminal; a plain line now and then elsewhere.
struct Display {
    bar: ProgressBar,
    begun: Instant,
    next_line: Duration,
}

impl Display {
    fn new() -> Self {
        let bar = ProgressBar::new(1000); // hidden by itself where standard error is no terminal
        let style = ProgressStyle::with_template("{bar:12} {percent:>3} %  {wide_msg}");
        bar.set_style(style.expect("a template that is right"));
        Self { bar, begun: Instant::now(), next_line: Duration::from_secs(1) }
    }

    fn show(&mut self, progress: &Progress) {
        if !takes_a_line() {
            return;
        }
        let elapsed = self.begun.elapsed();
        // 100 % is only what is over: whole, renamed, and on disk if that was asked for.
        let done = if progress.is_over { 1.0 } else { share(progress).unwrap_or(0.0).min(0.99) };
        if !io::stderr().is_terminal() {
            // Twice as long after each: a log has few of them.
            if elapsed >= self.next_line && !progress.is_over {
                eprintln!("{:.0} %  {}", done * 100.0, describe(progress, elapsed));
                self.next_line = elapsed * 2;
            }
            return;
        }
        self.bar.set_position((done * 1000.0) as u64);
        self.bar.set_message(describe(progress, elapsed));
    }
}

/// How much of the work is done: by bytes once all sizes are known, else by files.
fn share(progress: &Progress) -> Option<f64> {
    let bytes = progress.on_disk.unwrap_or(progress.bytes);
    match progress.bytes_found {
        Some(found) if found > 0 => Some(bytes as f64 / found as f64),
        _ if progress.is_listed && progress.files_found > 0 => {
            Some(progress.files as f64 / progress.files_found as f64)
        }
        _ => None,
    }
}

fn describe(progress: &Progress, elapsed: Duration) -> String {
    let Progress { files, files_found, failed, bytes, .. } = *progress;
    let more = if progress.is_listed { "" } else { " or more" };
    let mut text = format!("{} of {}{more} files  ", HumanCount(files), HumanCount(files_found));
    if failed > 0 {
        text += &format!("{} failed  ", HumanCount(failed));
    }
    text += &HumanBytes(bytes).to_string();
    if let Some(on_disk) = progress.on_disk {
        text += &format!(" ({} on disk)", HumanBytes(on_disk));
    }
    let rate = bytes as f64 / elapsed.as_secs_f64().max(0.001);
    text += &format!("  {}/s", HumanBytes(rate as u64));
    if let Some(share) = share(progress).filter(|share| *share > 0.02 && !progress.is_over) {
        let left = elapsed.mul_f64((1.0 / share - 1.0).max(0.0)).as_secs();
        text += &format!("  {}:{:02} left", left / 60, left % 60);
    }
    text
}

fn tell(summary: &Summary, options: &Options, elapsed: Duration) {
    for failure in &summary.failures {
        eprintln!("{failure}");
    }
    let count = |count: u64, what: &str| {
        format!("{} {what}{}", HumanCount(count), if count == 1 { "" } else { "s" })
    };
    let mut text = count(summary.files, "file");
    text += &format!(" ({}), {}", HumanBytes(summary.bytes), count(summary.folders, "folder"));
    for (number, what) in [(summary.links, "hard link"), (summary.others, "link or special file")] {
        if number > 0 {
            text += &format!(", {}", count(number, what).replace("file or", "files or"));
        }
    }
    if options.dry_run {
        println!("would copy {text}");
    } else {
        println!("copied {text} in {elapsed:.2?}");
    }
    if summary.skipped > 0 {
        println!("{} there already, left as they are (--on-exists)", HumanCount(summary.skipped));
    }
    if options.dry_run {
        println!("nothing was touched");
    }
    if summary.is_full {
        eprintln!("stopped: the target is full; with more room, the same command goes on");
    } else if summary.is_stopped {
        eprintln!("stopped; the same command goes on");
    } else if !summary.failures.is_empty() {
        eprintln!("{} could not be copied", HumanCount(summary.failures.len() as u64));
    }
}
