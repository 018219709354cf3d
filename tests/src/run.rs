//! Running a case as its reader would, and looking at what it leaves behind.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
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
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let mark = format!("{MARK}={}.{}", std::process::id(), RUNS.fetch_add(1, Relaxed));
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
    let outcome = run_in(command, folder.path(), &mark);
    let outcome = outcome?;
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

fn run_in(command: &mut Command, folder: &Path, mark: &str) -> Result<Outcome, String> {
    let error = |e: io::Error| format!("{}: {e}", folder.display());
    let (stdout, stderr, cwd) = (folder.join("stdout"), folder.join("stderr"), folder.join("cwd"));
    fs::create_dir(&cwd).map_err(error)?;
    // Files, not pipes: a process that is left behind holds no pipe open that we read to its end.
    command
        .current_dir(&cwd)
        .stdin(Stdio::null())
        .stdout(File::create(&stdout).map_err(error)?)
        .stderr(File::create(&stderr).map_err(error)?)
        .env(MARK, &mark[MARK.len() + 1..])
        .env("RUST_BACKTRACE", "0");
    if std::env::var_os("TICK_MS").is_none() {
        command.env("TICK_MS", "10");
    }
    for (variable, _) in std::env::vars_os() {
        // Not what a user of the case would have set, and cargo's own are about this package.
        if variable.to_string_lossy().starts_with("CARGO_") {
            command.env_remove(variable);
        }
    }
    if command.get_envs().all(|(variable, _)| variable != "TIMELINE") {
        command.env_remove("TIMELINE");
    }
    let mut child = command.spawn().map_err(|e| format!("cannot start {command:?}: {e}"))?;
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
    let mut killed = Vec::new();
    for process in crate::entries(Path::new("/proc")).unwrap_or_default() {
        let is_number = |name: &OsStr| name.to_string_lossy().bytes().all(|b| b.is_ascii_digit());
        let Some(number) = process.file_name().filter(|name| is_number(name)) else { continue };
        // It may be gone by now, or somebody else's: then it is not ours.
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            let number = number.to_string_lossy();
            let _ = Command::new("kill").args(["-KILL", &number]).status();
            killed.push(format!("{} ({number})", name.trim()));
        }
    }
    killed
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
