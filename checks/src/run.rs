//! Running a case as its reader would, and looking at what it leaves behind.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader, PipeReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// Longer than any case takes, on a machine however busy.
pub const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What a program did.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

/// Where an output of a program goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// A file, which is in the [`Outcome`].
    File,
    /// A pipe whose reader is gone from the beginning.
    Closed,
    /// A pipe whose reader is gone after the first line, as with `| head -1`.
    OneLine,
    /// A device on which there is never any space: `/dev/full`.
    Full,
}

/// An environment variable whose value tells the processes of one run from all others.
const MARK: &str = "CHECKED_RUN";

/// Runs `command` with an empty input, in an empty folder of its own, with the short tick of
/// the tests unless `TICK_MS` says otherwise.
///
/// # Errors
///
/// If it cannot be started, does not end in time (it is killed then), leaves a process behind
/// (likewise), or leaves a file.
pub fn run(command: &mut Command) -> Result<Outcome, String> {
    run_to(command, To::File)
}

/// The same with another destination for its standard output. What does not go to a file is empty
/// in the [`Outcome`]. A program that cannot write ends in the middle of its work: its processes
/// get a moment to end after it.
///
/// # Errors
///
/// As [`run`].
pub fn run_to(command: &mut Command, stdout: To) -> Result<Outcome, String> {
    let mark = new_mark();
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
    let outcome = run_in(command, folder.path(), &mark, [stdout, To::File])?;
    // A child that is still starting learns of its parent's end at its first step, not before.
    let grace = Duration::from_secs(if stdout == To::File { 2 } else { 10 });
    let ended = Instant::now();
    while ended.elapsed() < grace && !processes(&mark).is_empty() {
        thread::sleep(Duration::from_millis(10));
    }
    let mut left = kill_all(&mark);
    if left.is_empty() {
        // A process in the middle of an `exec` has no environment for a moment: look again.
        thread::sleep(Duration::from_millis(10));
        left = kill_all(&mark);
    }
    if !left.is_empty() {
        return Err(format!("it left processes behind: {}", left.join(", ")));
    }
    match crate::entries(&folder.path().join("cwd")) {
        Ok(files) if files.is_empty() => Ok(outcome),
        Ok(files) => Err(format!("it left files behind: {files:?}")),
        Err(e) => Err(format!("its folder cannot be read: {e}")),
    }
}

/// Runs a `command` that answers or refuses before it does anything, so that there is nothing to
/// leave behind.
///
/// # Errors
///
/// If it cannot be started, or does not end in time.
pub fn answer(command: &mut Command, stdout: To, stderr: To) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
    run_in(command, folder.path(), &new_mark(), [stdout, stderr])
}

fn new_mark() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    format!("{MARK}={}.{}", std::process::id(), RUNS.fetch_add(1, Relaxed))
}

fn run_in(
    command: &mut Command,
    folder: &Path,
    mark: &str,
    to: [To; 2],
) -> Result<Outcome, String> {
    let error = |e: io::Error| format!("{}: {e}", folder.display());
    let (stdout, stderr, cwd) = (folder.join("stdout"), folder.join("stderr"), folder.join("cwd"));
    fs::create_dir(&cwd).map_err(error)?;
    for path in [folder, &cwd] {
        // A program that runs as another user may use it too.
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).map_err(error)?;
    }
    let (its_stdout, stdout_reader) = open(to[0], &stdout).map_err(error)?;
    let (its_stderr, stderr_reader) = open(to[1], &stderr).map_err(error)?;
    command
        .current_dir(&cwd)
        .stdin(Stdio::null())
        .stdout(its_stdout)
        .stderr(its_stderr)
        .env(MARK, &mark[MARK.len() + 1..])
        .env("RUST_BACKTRACE", "0");
    for (variable, _) in std::env::vars_os() {
        // Not what a user of the case would have set, and cargo's own are about this package.
        if variable.to_string_lossy().starts_with("CARGO_") {
            command.env_remove(variable);
        }
    }
    let sets =
        |command: &Command, name: &str| command.get_envs().any(|(variable, _)| variable == name);
    if !sets(command, "TIMELINE") {
        command.env_remove("TIMELINE");
    }
    if !sets(command, "TICK_MS") && std::env::var_os("TICK_MS").is_none() {
        command.env("TICK_MS", "10");
    }
    let mut child = command.spawn().map_err(|e| format!("cannot start {command:?}: {e}"))?;
    command.stdout(Stdio::null()).stderr(Stdio::null()); // closes our ends
    for reader in [stdout_reader, stderr_reader].into_iter().flatten() {
        // It ends with the last process that has the other end.
        thread::spawn(|| BufReader::with_capacity(1, reader).skip_until(b'\n'));
    }
    let Some(status) = wait(&mut child).map_err(error)? else {
        kill_all(mark);
        child.kill().and_then(|()| child.wait()).map_err(error)?;
        let said = fs::read_to_string(&stdout).unwrap_or_default();
        return Err(format!("not over after {TIME_LIMIT:?}; it had printed:\n{said}"));
    };
    let read = |path: PathBuf| fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned());
    Ok(Outcome {
        status,
        stdout: read(stdout).map_err(error)?,
        stderr: read(stderr).map_err(error)?,
    })
}

/// Opens an output, and for [`To::OneLine`] the pipe to read the line from.
fn open(to: To, path: &Path) -> io::Result<(Stdio, Option<PipeReader>)> {
    // A file and not a pipe: a process that is left behind holds no pipe open that we read to its
    // end.
    let file = File::create(path)?;
    Ok(match to {
        To::File => (file.into(), None),
        To::Closed => (io::pipe()?.1.into(), None),
        To::OneLine => {
            let (reader, writer) = io::pipe()?;
            (writer.into(), Some(reader))
        }
        To::Full => (File::options().write(true).open("/dev/full")?.into(), None),
    })
}

/// How `process` ended, once it has.
///
/// # Panics
///
/// If it has not within the [`TIME_LIMIT`], or cannot be waited for.
pub fn ended(process: &mut Child) -> ExitStatus {
    wait(process).expect("it can be waited for").expect("it ends in time")
}

fn wait(process: &mut Child) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < TIME_LIMIT {
        if let Some(status) = process.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(None)
}

/// Kills all processes whose environment has `mark`, and tells their numbers and names.
fn kill_all(mark: &str) -> Vec<String> {
    let kill = |process: PathBuf| {
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let number = process.file_name().unwrap_or_default().to_string_lossy();
        let _ = Command::new("kill").args(["-KILL", &number]).status();
        format!("{} ({number})", name.trim())
    };
    processes(mark).into_iter().map(kill).collect()
}

/// The folders in `/proc` of all processes whose environment has `mark`.
fn processes(mark: &str) -> Vec<PathBuf> {
    let is_number = |name: &OsStr| name.to_string_lossy().bytes().all(|b| b.is_ascii_digit());
    let is_ours = |process: &PathBuf| {
        // It may be gone by now, or somebody else's: then it is not ours.
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        process.file_name().is_some_and(is_number)
            && environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let all = crate::entries(Path::new("/proc")).unwrap_or_default();
    all.into_iter().filter(is_ours).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Result<Outcome, String> {
        run(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn what_it_did_is_told() {
        let outcome = sh("echo out; echo err >&2; exit 3").unwrap();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(outcome.status.code(), Some(3));
    }

    #[test]
    fn what_it_leaves_is_seen() {
        let complaint = sh("sleep 1000 & echo done").unwrap_err();
        assert!(complaint.contains("left processes"), "{complaint}"); // `sleep`, or still `sh`
        let complaint = sh("setsid sleep 1000 & echo done").unwrap_err();
        assert!(complaint.contains("left processes"), "{complaint}");
        assert!(sh("touch file").unwrap_err().contains("left files"));
        assert!(sh("sleep 0").is_ok());
    }
}
