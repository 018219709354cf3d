//! Who ran when, as a picture: threads, processes and tasks on one clock.
//!
//! A case starts a timeline first thing in `main` and marks pieces of its work:
//!
//! ```
//! use util::timeline;
//!
//! let _timeline = timeline::start();
//! let _span = timeline::span("sing"); // until it is dropped
//! ```
//!
//! The environment variable `TIMELINE` says what becomes of it:
//!
//! | `TIMELINE=` | picture |
//! | --- | --- |
//! | not set, empty or `0` | none; a span then costs a few nanoseconds |
//! | `1` | a chart on standard error, as wide as the terminal |
//! | a path that ends in `.svg` | an image |
//! | … in `.html` | one page that can be zoomed and hovered, and needs nothing else |
//! | … in `.json` | a Chrome trace, which Perfetto and `chrome://tracing` open |
//!
//! Each thread that marks something is a row; so is each task that has a [`Row`] of its own.
//! A program started with [`env()`] in its environment adds its rows to the same picture, also
//! if it is killed: an event is one appending write to one record, and what it began
//! and did not end is drawn as cut off.
//!
//! Ctrl-C (`SIGINT`), `SIGTERM` and `SIGHUP` still make the picture of what there was, unless the
//! program ignores or handles them itself; then the signal ends the program, as it would without a
//! timeline. For the picture the signal's handler starts the program anew in the same process, and
//! [`case!`](crate::case!), [`Args::new`](crate::args::Args::new) or [`start`], whichever comes
//! first, draws and ends it: nothing may stand before it that must not happen twice.
//! On macOS and Windows a signal ends the program without a picture.

mod chart;
mod html;
mod steps;
mod svg;
mod text;
mod trace;

use chart::{Chart, Event};
use std::{
    cell::OnceCell,
    env as environment,
    fmt::Display,
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

use crate::{
    eprintln,
    sys::{self, Record},
    text::visible,
};
pub use chart::Kind;
pub use steps::Steps;

/// Whether anything is recorded: all that a span looks at when nothing is.
static ON: AtomicBool = AtomicBool::new(false);
/// To which the events of all processes are appended.
static RECORD: OnceLock<Record> = OnceLock::new();
/// Rows and spans are numbered within a process; row 0 is its first thread's.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Where a child finds the record of the program that started it.
const RECORD_VARIABLE: &str = "TIMELINE_RECORD";

/// What is to become of the record.
#[derive(Debug)]
enum Target {
    Terminal,
    File(PathBuf, fn(&Chart) -> String),
}

thread_local! {
    static ROW: OnceCell<u64> = const { OnceCell::new() };
}

/// Starts the timeline of this program if `TIMELINE` asks for one, or joins that of the program
/// that started it. The picture is made when what this returns is dropped, so keep it until the end
/// of `main`: `let _timeline = timeline::start();`.
///
/// A `TIMELINE` that is invalid or names a file that cannot be written is an error: it is printed
/// on standard error, and the program ends with status 2 ([`case!`](crate::case!) and
/// [`Args::new`](crate::args::Args::new) check it before anything else happens). Only the first
/// call in a process does anything.
pub fn start() -> Timeline {
    open().unwrap_or_else(|complaint| refuse(&complaint))
}

/// Ends the program with exit status 2 if `TIMELINE` is invalid, or names a file that cannot be
/// written.
pub(crate) fn check() {
    let is_child = environment::var_os(RECORD_VARIABLE).is_some();
    let value = environment::var_os("TIMELINE").unwrap_or_default();
    if !is_child && let Err(complaint) = target(Path::new(&value)) {
        refuse(&complaint);
    }
}

/// Draws what there was and ends this process, if a signal interrupted the program that it ran
/// before.
pub(crate) fn end_if_interrupted() {
    let Some(interrupted) = sys::taken() else { return };
    append(&interrupted.record.file, sys::monotonic_nanoseconds(), process::id(), &Event::Ended);
    let value = environment::var_os("TIMELINE").unwrap_or_default();
    match target(Path::new(&value)) {
        Ok(Some(target)) => draw_or_complain(&interrupted.record, &target),
        Ok(None) => {}
        Err(complaint) => eprintln!("timeline: no picture: {complaint}"),
    }
    interrupted.die()
}

fn refuse(complaint: &str) -> ! {
    eprintln!("error: {complaint}");
    process::exit(2)
}

/// Joins the timeline of the program that started this one, as a process called `name`; or does
/// nothing, if that one draws none. For a library that starts this program again and does not get
/// as far as its `main`, where [`start`] stands.
pub fn join(name: &str) -> Timeline {
    let role = environment::var_os(RECORD_VARIABLE).and_then(|path| join_record(path.into(), name));
    Timeline { role: role.unwrap_or(Role::Off) }
}

/// What a program adds to a child's environment so that the child's timeline joins its own:
/// `Command::new(…).envs(timeline::env())`. It is `None` when nothing is recorded.
pub fn env() -> Option<(&'static str, &'static Path)> {
    let record = RECORD.get()?;
    Some((RECORD_VARIABLE, &record.path))
}

/// A span of work on the row of this thread, until the [`Span`] is dropped.
pub fn span(name: impl Display) -> Span {
    begin(Kind::Run, name)
}

/// A span of waiting, for a lock or for a message: drawn unlike work.
pub fn wait(name: impl Display) -> Span {
    begin(Kind::Wait, name)
}

/// A span in which this thread holds the lock `name`.
pub fn hold(name: impl Display) -> Span {
    begin(Kind::Hold, name)
}

/// One moment on the row of this thread, with a word to it.
pub fn mark(text: impl Display) {
    if ON.load(Relaxed) {
        write(&Event::Mark { row: this_row(), text: text.to_string() });
    }
}

/// Says that process `id`, which was killed, is gone: its open spans are drawn until now.
/// A process that ends by itself says so itself.
pub fn ended(id: u32) {
    if ON.load(Relaxed) {
        write_for(id, &Event::Ended);
    }
}

/// A row of its own for a task that is no thread: one thread runs many of them. It stands below the
/// row of this thread.
///
/// ```
/// let row = util::timeline::row("task 1");
/// let _span = row.span("fetch");
/// ```
pub fn row(name: impl Display) -> Row {
    let recorded = ON.load(Relaxed).then(|| {
        let (row, thread) = (NEXT.fetch_add(1, Relaxed), this_row());
        write(&Event::Task { row, thread, name: name.to_string() });
        row
    });
    Row { recorded }
}

/// See [`row`].
#[derive(Clone, Copy, Debug)]
pub struct Row {
    recorded: Option<u64>,
}

impl Row {
    /// A span of work on this row.
    pub fn span(&self, name: impl Display) -> Span {
        self.begin(Kind::Run, name)
    }

    /// A span of waiting on this row.
    pub fn wait(&self, name: impl Display) -> Span {
        self.begin(Kind::Wait, name)
    }

    /// A span in which this task holds what `name` says: a lock, or the thread it runs on.
    pub fn hold(&self, name: impl Display) -> Span {
        self.begin(Kind::Hold, name)
    }

    /// A span of work that is over already, for one who learns only afterwards when it was.
    ///
    /// ```
    /// use std::time::Instant;
    ///
    /// let row = util::timeline::row("sum");
    /// let from = Instant::now();
    /// let sum: u32 = (1..=100).sum();
    /// row.ran(format_args!("is {sum}"), from, Instant::now());
    /// ```
    pub fn ran(&self, name: impl Display, from: Instant, to: Instant) {
        if let Some(row) = self.recorded {
            let (now, clock) = (Instant::now(), sys::monotonic_nanoseconds());
            let at = |time: Instant| clock - now.saturating_duration_since(time).as_nanos() as u64;
            let span = NEXT.fetch_add(1, Relaxed);
            let begin = Event::Begin { row, span, kind: Kind::Run, name: name.to_string() };
            write_at(at(from), process::id(), &begin);
            write_at(at(to), process::id(), &Event::End { span });
        }
    }

    fn begin(&self, kind: Kind, name: impl Display) -> Span {
        let recorded = self.recorded.map(|row| begin_on(row, kind, name.to_string()));
        Span { recorded }
    }
}

/// A piece of work, waiting or holding that lasts until this is dropped.
#[must_use = "a span that is not kept ends at once: `let _span = …`"]
#[derive(Debug)]
pub struct Span {
    recorded: Option<u64>,
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(span) = self.recorded {
            write(&Event::End { span });
        }
    }
}

/// A timeline under way; see [`start`].
#[must_use = "the picture is made when this is dropped: `let _timeline = …`"]
#[derive(Debug)]
pub struct Timeline {
    role: Role,
}

#[derive(Debug)]
enum Role {
    Off,
    Child,
    Root(Target),
}

impl Drop for Timeline {
    fn drop(&mut self) {
        if matches!(self.role, Role::Off) {
            return;
        }
        write(&Event::Ended);
        ON.store(false, Relaxed); // threads that live on draw nothing more
        if let (Role::Root(target), Some(record)) = (&self.role, RECORD.get()) {
            // A signal while a file is written has it written again. What stands on a terminal
            // cannot be taken back.
            if matches!(target, Target::Terminal) {
                sys::stop();
            }
            draw_or_complain(record, target);
            sys::stop();
            sys::remove_record();
        }
    }
}

fn begin(kind: Kind, name: impl Display) -> Span {
    let recorded = ON.load(Relaxed).then(|| begin_on(this_row(), kind, name.to_string()));
    Span { recorded }
}

fn begin_on(row: u64, kind: Kind, name: String) -> u64 {
    let span = NEXT.fetch_add(1, Relaxed);
    write(&Event::Begin { row, span, kind, name });
    span
}

fn new_row(name: String) -> u64 {
    let row = NEXT.fetch_add(1, Relaxed);
    write(&Event::Row { row, name });
    row
}

fn this_row() -> u64 {
    static UNNAMED: AtomicU64 = AtomicU64::new(1);
    ROW.with(|cell| {
        *cell.get_or_init(|| {
            let name = thread::current().name().map(String::from);
            new_row(name.unwrap_or_else(|| format!("thread {}", UNNAMED.fetch_add(1, Relaxed))))
        })
    })
}

fn write(event: &Event) {
    write_for(process::id(), event);
}

fn write_for(id: u32, event: &Event) {
    write_at(sys::monotonic_nanoseconds(), id, event);
}

fn write_at(time: u64, id: u32, event: &Event) {
    if let Some(record) = RECORD.get() {
        append(&record.file, time, id, event);
    }
}

fn append(mut record: &File, time: u64, id: u32, event: &Event) {
    let line = event.to_line(time, id);
    // One write to a file opened for appending is never mixed with another's. If it fails
    // (a full disk), the picture lacks it: no reason to stop the program that is drawn.
    let _ = record.write(line.as_bytes());
}

fn open() -> Result<Timeline, String> {
    if RECORD.get().is_some() {
        return Ok(Timeline { role: Role::Off });
    }
    end_if_interrupted();
    if let Some(path) = environment::var_os(RECORD_VARIABLE) {
        // If it cannot be opened, the program that drew is gone.
        let role = join_record(path.into(), &program()).unwrap_or(Role::Off);
        return Ok(Timeline { role });
    }
    let value = environment::var_os("TIMELINE").unwrap_or_default();
    let Some(target) = target(Path::new(&value))? else {
        return Ok(Timeline { role: Role::Off });
    };
    let record = sys::new_record().map_err(|e| format!("no record: {e}"))?;
    let role = record_into(record, &program(), Role::Root(target));
    if let (Some(_), Some(record)) = (&role, RECORD.get()) {
        sys::start_again(&record.file);
    }
    Ok(Timeline { role: role.unwrap_or(Role::Off) })
}

fn join_record(path: PathBuf, name: &str) -> Option<Role> {
    let file = OpenOptions::new().append(true).open(&path).ok()?;
    record_into(Record { file, path }, name, Role::Child)
}

/// From now on this process writes to `record`. `None`, if it writes to one already.
fn record_into(record: Record, name: &str, role: Role) -> Option<Role> {
    RECORD.set(record).ok()?;
    ON.store(true, Relaxed);
    write(&Event::Process { name: name.into() });
    this_row(); // main's row stands first
    Some(role)
}

/// The name of this program and its arguments: what tells one child from the other.
fn program() -> String {
    let mut words: Vec<_> =
        environment::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(path) = words.first_mut() {
        *path = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    }
    words.join(" ")
}

/// What `TIMELINE` asks for, checked as far as it can be before there is a picture.
fn target(value: &Path) -> Result<Option<Target>, String> {
    if value.as_os_str().is_empty() || value == Path::new("0") {
        return Ok(None);
    }
    if value == Path::new("1") {
        return Ok(Some(Target::Terminal));
    }
    let draw = match value.extension().and_then(|e| e.to_str()) {
        Some("svg") => svg::draw,
        Some("html") => html::draw,
        Some("json") => trace::draw,
        _ => {
            return Err(format!(
                "TIMELINE={value:?} is invalid: expected 1, or a file name that ends in .svg, .html or .json"
            ));
        }
    };
    let writable = if value.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else {
        let draft = draft(value);
        File::create(&draft).and_then(|_| fs::remove_file(&draft))
    };
    writable.map_err(|e| format!("TIMELINE={value:?} cannot be written: {e}"))?;
    Ok(Some(Target::File(value.into(), draw)))
}

/// Beside the picture, so that it can be renamed into place whole.
fn draft(picture: &Path) -> PathBuf {
    let mut name = picture.as_os_str().to_owned();
    name.push(format!(".{}.tmp", process::id()));
    name.into()
}

fn draw_or_complain(record: &Record, target: &Target) {
    if let Err(error) = make_picture(record, target) {
        eprintln!("timeline: no picture: {error}");
    }
}

fn make_picture(record: &Record, target: &Target) -> io::Result<()> {
    let lines = fs::read(&record.path)?;
    let chart = Chart::from_record(&String::from_utf8_lossy(&lines));
    match target {
        Target::Terminal => {
            let stderr = io::stderr();
            let terminal = stderr.is_terminal();
            let columns = sys::terminal_columns()
                .or_else(|| environment::var("COLUMNS").ok()?.parse().ok())
                .unwrap_or(100);
            let colors = terminal && environment::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            stderr.lock().write_all(text::draw(&chart, columns, colors).as_bytes())
        }
        Target::File(path, draw) => {
            let draft = draft(path);
            fs::write(&draft, draw(&chart))
                .and_then(|()| fs::rename(&draft, path))
                .inspect_err(|_| {
                    let _ = fs::remove_file(&draft);
                })
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", visible(path))))
        }
    }
}
