//! 012_copy as a program: what it says, and what is there when it is interrupted, a hundred times by each of four means.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    fs,
    hash::BuildHasher,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often each means is tried.
const TIMES: u32 = 100;

fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(base).unwrap()
}

fn copier(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(checks::program("012_copy"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = copier(arguments, folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// All files below a folder, by path: what is in them.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in checks::entries(root).unwrap() {
        if path.is_dir() {
            found.extend(
                tree(&path)
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
fn interrupted(mut by: impl FnMut(&mut std::process::Child) -> bool, leaves_nothing: bool) {
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
        // Killed workers, too, have ended when they let go of their folder: until then what they write is theirs.
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

fn signal(copying: &std::process::Child, signal: &str) {
    let _ = Command::new("kill")
        .args([signal, &copying.id().to_string()])
        .stderr(Stdio::null())
        .status();
}

#[test]
fn interrupted_by_sigint_it_leaves_whole_files_only() {
    interrupted(
        |copying| {
            signal(copying, "-INT");
            false
        },
        true,
    );
}

#[test]
fn interrupted_by_sigterm_it_leaves_whole_files_only() {
    interrupted(
        |copying| {
            signal(copying, "-TERM");
            false
        },
        true,
    );
}

#[test]
fn killed_it_is_completed_and_cleaned_up_by_the_next_run() {
    interrupted(
        |copying| {
            signal(copying, "-KILL");
            false
        },
        false,
    );
}

#[test]
fn a_killed_worker_costs_nothing_but_its_time() {
    let kill_a_worker = |copying: &mut std::process::Child| {
        let children = fs::read_dir(format!("/proc/{}/task", copying.id())).into_iter().flatten();
        let children =
            children.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
        let children: String = children.collect();
        let worker = children.split_whitespace().next();
        if let Some(worker) = worker {
            let _ = Command::new("kill").args(["-KILL", worker]).stderr(Stdio::null()).status();
        }
        worker.is_some()
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
        signal(&copying, "-INT");
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
