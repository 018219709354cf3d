//! 012_copy as a program: what it says, what it draws in a terminal, and what is there when it is
//! interrupted: a hundred times by each of four means, and at a moment that is known.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    fs::{self, File},
    hash::BuildHasher,
    io::{Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::OFlags,
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize},
};

/// How often each means is tried.
const TIMES: u32 = 100;

fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(base).unwrap()
}

/// The copier, with worker processes from the beginning, however short the work is.
fn copier(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(checks::program("012_copy"));
    command
        .args(["--processes-after", "0"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

fn run(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = copier(arguments, folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// All files below a folder, by path: what is in them.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    tree_of(root, |_| true)
}

/// Those with final names, while it is being copied to: the others may go at any moment.
fn visible(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    tree_of(root, |name| !is_temporary(name))
}

fn tree_of(root: &Path, is_wanted: fn(&Path) -> bool) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let entries = checks::entries(root).unwrap().into_iter();
    for path in entries.filter(|path| is_wanted(Path::new(path.file_name().unwrap()))) {
        if path.is_dir() {
            found.extend(
                tree_of(&path, is_wanted)
                    .into_iter()
                    .map(|(name, bytes)| (Path::new(path.file_name().unwrap()).join(name), bytes)),
            );
        } else {
            found.insert(path.file_name().unwrap().into(), fs::read(&path).unwrap());
        }
    }
    found
}

fn is_temporary(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().starts_with(".copy-"))
}

/// Small files in folders with and without others in them, many in one, and some that take a while.
fn make(source: &Path) {
    for folder in ["", "a", "b", "b/c", "d"] {
        fs::create_dir_all(source.join(folder)).unwrap();
        let count = if folder == "d" { 300 } else { 60 };
        (0..count).for_each(|n| {
            fs::write(source.join(folder).join(format!("f{n}")), vec![n as u8; 2000 + n]).unwrap()
        });
    }
    (0..4)
        .for_each(|n| fs::write(source.join(format!("large{n}")), vec![n as u8; 3 << 20]).unwrap());
}

/// Whether a process works in this folder.
fn has_processes(folder: &Path) -> bool {
    let mut processes = checks::entries(Path::new("/proc")).unwrap().into_iter();
    processes.any(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder))
}

/// Interrupts a copy at a random moment, again and again, and looks at what is there.
fn interrupted(mut by: impl FnMut(&mut Child) -> bool, leaves_nothing: bool) {
    let place = scratch();
    make(&place.path().join("from"));
    let original = tree(&place.path().join("from"));
    checks::examples(); // built before the clock runs
    let start = Instant::now();
    assert_eq!(run(&["from", "whole"], place.path()).0, Some(0));
    let whole = start.elapsed();
    let random = RandomState::new();
    let (mut in_the_middle, mut survived) = (0, 0);
    for time in 0..TIMES {
        let to = place.path().join("to");
        let mut copying = copier(&["from", "to"], place.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(whole.mul_f64(random.hash_one(time) as f64 / u64::MAX as f64));
        let goes_on = by(&mut copying);
        let status = checks::run::ended(&mut copying);
        // Killed workers, too, have ended when they let go of their folder: until then what they
        // write is theirs.
        while has_processes(place.path()) {
            assert!(start.elapsed() < Duration::from_secs(300), "a worker outlives its parent");
            thread::sleep(Duration::from_millis(1));
        }
        let there = tree(&to);
        in_the_middle += u32::from(there.len() < original.len() && !there.is_empty());
        for (path, contents) in &there {
            assert!(
                is_temporary(path) || original.get(path) == Some(contents),
                "{path:?} is not whole"
            );
            assert!(!(leaves_nothing && is_temporary(path)), "{path:?} was left");
        }
        if goes_on {
            survived += 1;
            assert!(status.success() && there == original, "{status}");
        } else {
            // The same command once more does the rest, and cleans up.
            let (status, _, stderr) = run(&["from", "to"], place.path());
            assert_eq!((status, stderr.as_str()), (Some(0), ""));
            let there: Vec<PathBuf> = tree(&to).into_keys().collect();
            assert_eq!(there, original.keys().cloned().collect::<Vec<_>>());
            assert!(tree(&to) == original, "the next run does not complete it");
        }
        fs::remove_dir_all(&to).unwrap();
    }
    println!("{in_the_middle} of {TIMES} copies were found half-way, {survived} went on");
    // Else nothing was put to the test.
    assert!(in_the_middle + survived > 0);
}

fn kill(process: u32, signal: Signal) {
    // One that has ended meanwhile needs none.
    let _ = kill_process(Pid::from_raw(process.cast_signed()).unwrap(), signal);
}

#[test]
fn interrupted_by_sigint_it_leaves_whole_files_only() {
    interrupted(
        |copying| {
            kill(copying.id(), Signal::INT);
            false
        },
        true,
    );
}

#[test]
fn interrupted_by_sigterm_it_leaves_whole_files_only() {
    interrupted(
        |copying| {
            kill(copying.id(), Signal::TERM);
            false
        },
        true,
    );
}

#[test]
fn killed_it_is_completed_and_cleaned_up_by_the_next_run() {
    interrupted(
        |copying| {
            kill(copying.id(), Signal::KILL);
            false
        },
        false,
    );
}

#[test]
fn a_killed_worker_costs_nothing_but_its_time() {
    let kill_a_worker = |copying: &mut Child| {
        let worker = workers(copying).into_iter().next();
        worker.inspect(|worker| kill(*worker, Signal::KILL)).is_some()
    };
    interrupted(kill_a_worker, true);
}

#[test]
fn ctrl_c_ends_it_by_that_signal() {
    let place = scratch();
    fs::create_dir(place.path().join("from")).unwrap();
    // Long enough to be there when the signal comes, whatever the machine does.
    fs::File::create(place.path().join("from/large")).unwrap().set_len(1).unwrap();
    for n in 0..3000 {
        fs::write(place.path().join(format!("from/{n}")), "contents").unwrap();
    }
    let mut seen = false;
    for _ in 0..50 {
        let mut copying = copier(&["from", "to"], place.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !place.path().join("to").exists() {
            thread::sleep(Duration::from_millis(1));
        }
        kill(copying.id(), Signal::INT);
        seen |= checks::run::ended(&mut copying).signal() == Some(2);
        fs::remove_dir_all(place.path().join("to")).unwrap();
        if seen {
            return;
        }
    }
    panic!("it never ended by the signal");
}

#[test]
fn what_it_says() {
    let place = scratch();
    make(&place.path().join("from"));
    let (status, stdout, stderr) = run(&["from", "to"], place.path());
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(
        stdout.starts_with("copied 544 files (") && !stdout.contains(['\r', '\x1b']),
        "{stdout}"
    );
    let (status, stdout, _) = run(&["--model=thread", "from", "to"], place.path());
    assert!(status == Some(0) && stdout.contains("544 there already"), "{stdout}");
    let (status, _, stderr) = run(&["--on-exists", "fail", "from", "to"], place.path());
    assert!(
        status == Some(1) && stderr.contains("\"from/d/f7\": it is there already\n"),
        "{stderr}"
    );
    assert!(stderr.ends_with("544 could not be copied\n"), "{stderr}");

    let (status, stdout, _) = run(&["--help"], place.path());
    assert!(status == Some(0) && stdout.contains("Usage: 012_copy"));
    for wrong in [
        &["from"][..],
        &[],
        &["--what", "from", "x"],
        &["--workers", "0", "from", "x"],
        &["--workers", "1025", "from", "x"],
        &["--workers", "99999999999999999999", "from", "x"],
        &["--model", "fork", "from", "x"],
        &["--on-exists", "ask", "from", "x"],
    ] {
        let (status, stdout, stderr) = run(wrong, place.path());
        assert!(
            status == Some(2) && stdout.is_empty() && stderr.starts_with("error: "),
            "{stderr}"
        );
    }
    for (arguments, said) in [
        (["none", "x"], "cannot copy \"none\": No such file"),
        (["from", "from/x"], "into itself"),
        (["from", "./from"], "are the same"),
        (["from", "none/x"], "cannot copy to \"none\""),
    ] {
        let (status, _, stderr) = run(&arguments, place.path());
        assert!(
            status == Some(1) && stderr.starts_with("error: ") && stderr.contains(said),
            "{stderr}"
        );
    }
    fs::write(place.path().join("--sync"), "a name").unwrap();
    assert_eq!(run(&["--", "--sync", "copy"], place.path()).0, Some(0));
    assert_eq!(fs::read_to_string(place.path().join("copy")).unwrap(), "a name");
}

/// The ids of a copier's worker processes.
fn workers(copying: &Child) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{}/task", copying.id())).into_iter().flatten();
    let children = threads.flatten().map(|thread| thread.path().join("children"));
    let children: String = children.filter_map(|list| fs::read_to_string(list).ok()).collect();
    // Until it has become a program of its own, a child has its parent's memory and files, and its
    // parent waits for it.
    let is_worker = |id: &u32| {
        let name = fs::read_to_string(format!("/proc/{id}/comm"));
        name.is_ok_and(|name| name.starts_with("PoolWorker"))
    };
    children.split_whitespace().filter_map(|id| id.parse().ok()).filter(is_worker).collect()
}

/// A worker process that has been stopped (SIGSTOP) half-way through a file.
struct Stopped {
    worker: u32,
    /// The file's name.
    name: String,
}

/// The length of what a process writes to: a file without a name, or with a temporary one.
fn written(worker: u32) -> Option<u64> {
    let open = fs::read_dir(format!("/proc/{worker}/fd")).ok()?;
    // The kernel shows a file without a name as `#INODE (deleted)` in its directory.
    let is_unnamed = |path: &Path| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"#"))
    };
    let is_ours = |fd: &fs::DirEntry| {
        fs::read_link(fd.path()).is_ok_and(|path| is_temporary(&path) || is_unnamed(&path))
    };
    let mut files = open.flatten().filter(is_ours).filter_map(|fd| fs::metadata(fd.path()).ok());
    files.find(fs::Metadata::is_file).map(|file| file.len())
}

fn is_stopped(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

/// How long the large files are.
const LARGE: u64 = 24 << 20;

/// The name of what a process reads while it writes: the other file it has open.
fn reads(worker: u32) -> Option<String> {
    let open = fs::read_dir(format!("/proc/{worker}/fd")).ok()?;
    let mut files = open.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    let source = files.find(|path| path.is_file() && !is_temporary(path))?;
    Some(source.file_name()?.to_str()?.to_owned())
}

/// Waits until a worker has a part of a large file that is wanted, and stops it there: it is in the
/// middle of a parcel, and stays there.
///
/// That it is is looked at when it stands still; one that was quicker goes on. `None`: the copy
/// ended before.
fn stop_a_worker(copying: &mut Child, is_wanted: impl Fn(&str) -> bool) -> Option<Stopped> {
    let start = Instant::now();
    let at = |worker| {
        let half = written(worker).filter(|length| (1..LARGE).contains(length));
        let name = half.and_then(|_| reads(worker));
        name.filter(|name| name.starts_with("large") && is_wanted(name))
    };
    while copying.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < checks::run::TIME_LIMIT, "no worker is in the middle of a file");
        for worker in workers(copying) {
            if at(worker).is_none() {
                continue;
            }
            kill(worker, Signal::STOP);
            while !is_stopped(worker) && Path::new(&format!("/proc/{worker}")).exists() {
                assert!(start.elapsed() < checks::run::TIME_LIMIT, "a worker does not stop");
                thread::yield_now();
            }
            if let Some(name) = at(worker) {
                return Some(Stopped { worker, name });
            }
            kill(worker, Signal::CONT);
        }
    }
    None
}

/// Large files among small ones: all in one folder, or each in a folder of its own with some small
/// ones before and after it.
fn make_large(source: &Path, in_one_folder: bool) {
    for n in 0..8u8 {
        let folder = if in_one_folder { source.to_owned() } else { source.join(n.to_string()) };
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("large{n}")), vec![n; LARGE as usize]).unwrap();
        (0..30).for_each(|k| fs::write(folder.join(format!("small{n}-{k}")), [n, k]).unwrap());
    }
}

/// Every file under a final name is the whole one.
fn assert_whole(target: &Path, original: &BTreeMap<PathBuf, Vec<u8>>) {
    for (path, contents) in &visible(target) {
        assert!(original.get(path) == Some(contents), "{path:?} is not whole");
    }
}

fn inodes(root: &Path) -> BTreeMap<PathBuf, u64> {
    let paths = visible(root).into_keys();
    paths.map(|path| (path.clone(), fs::metadata(root.join(&path)).unwrap().ino())).collect()
}

#[test]
fn a_worker_killed_in_the_middle_of_a_parcel_has_it_done_by_another() {
    for in_one_folder in [true, false] {
        let place = scratch();
        make_large(&place.path().join("from"), in_one_folder);
        let original = tree(&place.path().join("from"));
        let to = place.path().join("to");
        let mut copying = copier(&["from", "to"], place.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stopped =
            stop_a_worker(&mut copying, |_| true).expect("a worker is in the middle of a file");
        // It has it in its hands: nothing of it is to be seen.
        assert!(!visible(&to).keys().any(|path| path.ends_with(&stopped.name)), "{}", stopped.name);
        assert_whole(&to, &original);
        let there = inodes(&to);
        kill(stopped.worker, Signal::KILL);
        let status = checks::run::ended(&mut copying);
        let Output { stdout, stderr, .. } = copying.wait_with_output().unwrap();
        let (said, complained) =
            (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        let folders = if in_one_folder { "1 folder" } else { "9 folders" };
        assert!(
            status.success()
                && said.starts_with("copied 248 files (")
                && said.contains(&format!("), {folders} in"))
                && !complained.contains("could not"),
            "{status}: {said}{complained}"
        );
        assert!(tree(&to) == original);
        // What stood there already was not done a second time.
        let now = inodes(&to);
        assert!(there.iter().all(|(path, inode)| now[path] == *inode));
    }
}

#[test]
fn a_file_that_kills_every_worker_is_named_and_the_others_are_copied() {
    for in_one_folder in [true, false] {
        a_file_kills_every_worker(in_one_folder);
    }
}

fn a_file_kills_every_worker(in_one_folder: bool) {
    let place = scratch();
    make_large(&place.path().join("from"), in_one_folder);
    let original = tree(&place.path().join("from"));
    let to = place.path().join("to");
    for _ in 0..20 {
        let mut copying = copier(&["from", "to"], place.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let first = stop_a_worker(&mut copying, |_| true).expect("a worker is in the middle");
        let deadly = first.name;
        kill(first.worker, Signal::KILL);
        while let Some(again) = stop_a_worker(&mut copying, |name| name == deadly) {
            kill(again.worker, Signal::KILL);
        }
        let status = checks::run::ended(&mut copying);
        let Output { stderr, .. } = copying.wait_with_output().unwrap();
        let complained = String::from_utf8_lossy(&stderr);
        assert_whole(&to, &original);
        let there = tree(&to);
        if status.success() {
            // One of its workers was through before it was seen.
            assert!(there == original);
            fs::remove_dir_all(&to).unwrap();
            continue;
        }
        let number = deadly.trim_start_matches("large");
        let folder = if in_one_folder { String::new() } else { format!("{number}/") };
        let named = format!("\"from/{folder}{deadly}\": no worker could copy it: ");
        assert!(
            status.code() == Some(1)
                && complained.contains(&named)
                && complained.ends_with("1 could not be copied\n"),
            "{status}: {complained}"
        );
        assert_eq!(there.len(), original.len() - 1);
        assert!(!there.contains_key(&Path::new(&folder).join(&deadly)));
        assert_eq!(run(&["from", "to"], place.path()).0, Some(0));
        assert!(tree(&to) == original);
        return;
    }
    panic!("no file killed all of its workers");
}

/// A program in a terminal of its own, 80 columns wide.
struct Terminal {
    running: Child,
    keyboard: File,
    /// The other side, kept open so that its settings can be looked at.
    line: File,
    before: Termios,
    screen: Receiver<Vec<u8>>,
    /// All that was written to it so far.
    text: String,
}

impl Terminal {
    fn new(arguments: &[&str], folder: &Path) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let line = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&line, size).unwrap();
        let before = tcgetattr(&line).unwrap();
        let end = || Stdio::from(line.try_clone().unwrap());
        // A session of its own, with this as its terminal: so Ctrl-C reaches it.
        let running = Command::new("setsid")
            .arg("--ctty")
            .arg(checks::program("012_copy"))
            .args(["--processes-after", "0"])
            .args(arguments)
            .current_dir(folder)
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let (keyboard, mut reading) = (File::from(ours.try_clone().unwrap()), File::from(ours));
        let (sender, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reading.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let (line, text) = (File::from(line), String::new());
        Self { running, keyboard, line, before, screen, text }
    }

    /// Reads until it shows something, or has shown nothing more for `patience`.
    fn read(&mut self, patience: Duration, mut until: impl FnMut(&str) -> bool) -> bool {
        let start = Instant::now();
        while let Ok(piece) = self.screen.recv_timeout(patience) {
            self.text += &String::from_utf8_lossy(&piece);
            if until(&self.text) {
                return true;
            }
            assert!(start.elapsed() < checks::run::TIME_LIMIT, "{:?}", self.text);
        }
        false
    }

    /// What it draws, each bar as `(percent, files, of files)`.
    fn bars(&self) -> Vec<(u32, u32, u32)> {
        let number = |text: &str| text.replace(',', "").trim().parse().ok();
        let bar = |text: &str| {
            let (percent, rest) = text.split_once(" %  ")?;
            let percent = number(percent.rsplit(' ').next()?)?;
            let (files, rest) = rest.split_once(" of ")?;
            let found = rest.split(' ').next()?;
            Some((percent, number(files)?, number(found)?))
        };
        self.text.split(['\r', '\n']).filter_map(bar).collect()
    }

    /// The end: its status, and that the terminal is as it was.
    fn end(mut self) -> (ExitStatus, String) {
        let status = checks::run::ended(&mut self.running);
        self.read(Duration::from_millis(200), |_| false);
        let after = tcgetattr(&self.line).unwrap();
        assert_eq!(after.local_modes, self.before.local_modes);
        assert!(after.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
        assert_eq!(after.input_modes, self.before.input_modes);
        assert_eq!(after.output_modes, self.before.output_modes);
        let count = |what: &str| self.text.matches(what).count();
        assert_eq!(count("\x1b[?25l"), count("\x1b[?25h"), "the cursor stays hidden");
        // The bar is wiped away; after it come whole lines.
        let bars = self.text.rfind(" %  ").unwrap_or(0);
        let (_, last) = self.text[bars..].rsplit_once("\x1b[2K").expect("the bar is wiped away");
        let last = last.trim_start_matches("\x1b[1A").to_owned();
        assert!(last.ends_with("\r\n") && !last.contains(" %  ") && !last.contains('\x1b'));
        (status, last.replace("\r\n", "\n"))
    }
}

#[test]
fn the_bar_counts_and_is_honest_to_the_end() {
    let place = scratch();
    make_large(&place.path().join("from"), true);
    // Names that are given at the very end, when all bytes are there.
    for n in 0..100 {
        let (file, name) = (place.path().join("from/small0-0"), format!("from/again{n}"));
        fs::hard_link(file, place.path().join(name)).unwrap();
    }
    let original = tree(&place.path().join("from"));
    let to = place.path().join("to");
    let mut terminal = Terminal::new(&["from", "to"], place.path());
    let stopped =
        stop_a_worker(&mut terminal.running, |_| true).expect("a worker is in the middle");
    // For as long as it stands still a part is missing, and is seen to be missing.
    let seen = terminal.bars().len();
    terminal.read(Duration::from_secs(30), |text| text.matches(" %  ").count() > seen + 30);
    let bars = terminal.bars();
    assert!(bars.len() > seen, "{:?}", terminal.text);
    assert!(bars.iter().all(|(percent, files, _)| *percent < 100 && *files < 348), "{bars:?}");
    assert!(!to.join(&stopped.name).exists());
    kill(stopped.worker, Signal::CONT);
    // When it says that all is there, all is.
    if terminal.read(Duration::from_secs(10), |text| text.contains("100 %  ")) {
        assert!(tree(&to) == original);
    }
    let bars = terminal.bars();
    assert!(bars.is_sorted_by_key(|(_, files, _)| *files), "{bars:?}");
    assert!(bars.iter().all(|(_, files, found)| files <= found && *found <= 348), "{bars:?}");
    assert!(bars.iter().any(|(_, files, _)| *files > 0), "{bars:?}");
    let lines = terminal.text.split(['\r', '\n']).filter(|line| line.contains(" %  "));
    let lines: Vec<&str> = lines.map(|line| line.trim_start_matches("\x1b[2K")).collect();
    let all = ["files  ", "iB  ", "/s  ", " left"];
    assert!(lines.iter().any(|line| all.iter().all(|part| line.contains(part))), "{lines:?}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
    let (status, last) = terminal.end();
    assert!(status.success(), "{status}: {last}");
    assert!(last.starts_with("copied 248 files (") && last.contains("100 hard links"), "{last}");
    assert!(tree(&to) == original);
}

#[test]
fn the_bar_tells_of_files_that_failed() {
    let place = scratch();
    make_large(&place.path().join("from"), true);
    fs::create_dir(place.path().join("to")).unwrap();
    fs::write(place.path().join("to/small3-3"), "mine").unwrap();
    let mut terminal = Terminal::new(&["--on-exists", "fail", "from", "to"], place.path());
    let stopped =
        stop_a_worker(&mut terminal.running, |_| true).expect("a worker is in the middle");
    assert!(terminal.read(Duration::from_secs(30), |text| text.contains("1 failed")));
    kill(stopped.worker, Signal::CONT);
    let (status, last) = terminal.end();
    assert_eq!(status.code(), Some(1));
    assert!(last.contains("\"from/small3-3\": it is there already\n"), "{last}");
    assert!(last.contains("copied 247 files ("), "{last}");
    assert!(last.ends_with("1 could not be copied\n"), "{last}");
    assert_eq!(fs::read(place.path().join("to/small3-3")).unwrap(), b"mine");
}

#[test]
fn after_ctrl_c_the_terminal_is_usable_and_nothing_partial_is_left() {
    let place = scratch();
    make_large(&place.path().join("from"), true);
    let original = tree(&place.path().join("from"));
    let to = place.path().join("to");
    let mut terminal = Terminal::new(&["from", "to"], place.path());
    let stopped =
        stop_a_worker(&mut terminal.running, |_| true).expect("a worker is in the middle");
    assert!(terminal.read(Duration::from_secs(30), |text| text.contains(" %  ")));
    terminal.keyboard.write_all(b"\x03").unwrap();
    // The terminal shows it as it is typed: by then the signal is sent.
    assert!(terminal.read(Duration::from_secs(30), |text| text.contains("^C")));
    kill(stopped.worker, Signal::CONT);
    let (status, last) = terminal.end();
    assert_eq!(status.signal(), Some(2));
    assert!(last.ends_with("stopped; the same command goes on\n"), "{last}");
    let there = tree(&to);
    assert!(there.keys().all(|path| !is_temporary(path)) && there.len() < original.len());
    assert_whole(&to, &original);
    assert_eq!(run(&["from", "to"], place.path()).0, Some(0));
    assert!(tree(&to) == original);
}

#[test]
fn without_a_terminal_it_prints_plain_lines() {
    let place = scratch();
    make_large(&place.path().join("from"), true);
    let mut copying = copier(&["from", "to"], place.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stopped = stop_a_worker(&mut copying, |_| true).expect("a worker is in the middle");
    // It cannot end now, so it comes to say how far it is.
    let mut stderr = copying.stderr.take().unwrap();
    let mut said = String::new();
    let mut buffer = [0; 256];
    while !said.contains('\n') {
        let length = stderr.read(&mut buffer).unwrap();
        assert!(length > 0, "it ended without a line: {said}");
        said += &String::from_utf8_lossy(&buffer[..length]);
    }
    kill(stopped.worker, Signal::CONT);
    assert!(checks::run::ended(&mut copying).success());
    stderr.read_to_string(&mut said).unwrap();
    for line in said.lines() {
        assert!(line.contains(" of 248 files  ") && line.contains("/s"), "{said}");
        assert!(!line.contains(['\r', '\x1b']), "{said:?}");
    }
}

/// Whether a process has no signal that is still to be delivered.
fn has_taken_its_signals(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let pending = status.lines().filter(|line| line.starts_with("ShdPnd:"));
    pending.flat_map(str::chars).all(|c| !c.is_ascii_hexdigit() || "0ShdPnd".contains(c))
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15), (Signal::HUP, 1)] {
        let place = scratch();
        make_large(&place.path().join("from"), true);
        let mut copying = copier(&["from", "to"], place.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // For as long as a worker stands still, it cannot end in order.
        let stopped = stop_a_worker(&mut copying, |_| true).expect("a worker is in the middle");
        kill(copying.id(), signal);
        let start = Instant::now();
        while !has_taken_its_signals(copying.id()) {
            assert!(start.elapsed() < checks::run::TIME_LIMIT, "it does not take the signal");
            thread::yield_now();
        }
        assert!(copying.try_wait().unwrap().is_none());
        kill(copying.id(), signal);
        let status = checks::run::ended(&mut copying);
        kill(stopped.worker, Signal::KILL);
        assert_eq!(status.signal(), Some(number));
        while has_processes(place.path()) {
            assert!(start.elapsed() < checks::run::TIME_LIMIT, "a worker outlives its parent");
            thread::sleep(Duration::from_millis(1));
        }
        // The next run cleans up, and does the rest.
        assert_eq!(run(&["from", "to"], place.path()).0, Some(0));
        assert!(tree(&place.path().join("to")) == tree(&place.path().join("from")));
    }
}

/// A pipe that takes nothing more, and both of its ends.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while rustix::io::write(&writer, &[b'x'; 4096]).is_ok() {}
    while rustix::io::write(&writer, b"x").is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

#[test]
fn what_becomes_of_its_output_changes_nothing() {
    for kind in ["full pipe", "no reader", "full disk", "closed"] {
        let place = scratch();
        make_large(&place.path().join("from"), true);
        for (n, folder) in ["from/closed", "from/other"].into_iter().enumerate() {
            fs::create_dir(place.path().join(folder)).unwrap();
            fs::hard_link(
                place.path().join("from/small0-0"),
                place.path().join(format!("{folder}/{n}")),
            )
            .unwrap();
        }
        let closed = fs::Permissions::from_mode(0o555);
        fs::set_permissions(place.path().join("from/closed"), closed).unwrap();
        let (reader, writer) = full_pipe();
        let mut command = copier(&["from", "to"], place.path());
        match kind {
            "full pipe" => command.stderr(writer),
            "no reader" => {
                let (reader, writer) = std::io::pipe().unwrap();
                drop(reader);
                command.stderr(writer)
            }
            "full disk" => command.stderr(File::options().write(true).open("/dev/full").unwrap()),
            _ => {
                command = Command::new("sh");
                let program = checks::program("012_copy");
                command.args(["-c", "exec \"$0\" --processes-after 0 from to 2>&-"]).arg(program);
                command.current_dir(place.path()).stdin(Stdio::null())
            }
        };
        let mut copying = command.stdout(Stdio::piped()).spawn().unwrap();
        let stopped = stop_a_worker(&mut copying, |_| true).expect("a worker is in the middle");
        // By then there are lines to be written.
        thread::sleep(Duration::from_millis(1500));
        kill(stopped.worker, Signal::CONT);
        let status = checks::run::ended(&mut copying);
        assert!(status.success(), "{kind}: {status}");
        let Output { stdout, .. } = copying.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&stdout);
        assert!(said.contains("2 hard links"), "{kind}: {said}");
        assert!(tree(&place.path().join("to")) == tree(&place.path().join("from")), "{kind}");
        let made = fs::metadata(place.path().join("to/closed")).unwrap();
        assert_eq!(made.mode() & 0o777, 0o555, "{kind}");
        drop(reader);
    }
}

#[test]
fn a_failure_stays_one_when_it_cannot_be_reported() {
    let place = scratch();
    fs::create_dir_all(place.path().join("from")).unwrap();
    fs::write(place.path().join("from/file"), "new").unwrap();
    fs::create_dir_all(place.path().join("to/file")).unwrap();
    let status = copier(&["--on-exists", "overwrite", "from", "to"], place.path())
        .stdout(Stdio::null())
        .stderr(File::options().write(true).open("/dev/full").unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn the_first_steps_refuse_what_they_cannot_copy() {
    for name in ["010_copy_progress", "011_copy_parallel"] {
        let place = scratch();
        fs::create_dir_all(place.path().join("from/folder")).unwrap();
        fs::write(place.path().join("from/file"), "contents").unwrap();
        let run = |to: &str| {
            let mut copying = Command::new(checks::program(name))
                .args(["from", to])
                .current_dir(place.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let status = checks::run::ended(&mut copying);
            let Output { stderr, .. } = copying.wait_with_output().unwrap();
            (status.code(), String::from_utf8(stderr).unwrap())
        };
        // Into itself: a tree is refused, and a list of files does not contain what is made after
        // it.
        let inside = run("from/folder/new");
        if name == "011_copy_parallel" {
            assert!(inside.0 == Some(1) && inside.1.contains("into itself"), "{inside:?}");
            assert!(!place.path().join("from/folder/new").exists());
        }
        let kind = rustix::fs::FileType::Fifo;
        let fifo = place.path().join("from/fifo");
        rustix::fs::mknodat(rustix::fs::CWD, fifo, kind, rustix::fs::Mode::RWXU, 0).unwrap();
        fs::remove_dir_all(place.path().join("from/folder")).unwrap();
        let (status, stderr) = run("to");
        assert!(status == Some(1) && stderr.contains("fifo"), "{name}: {status:?} {stderr}");
    }
}
