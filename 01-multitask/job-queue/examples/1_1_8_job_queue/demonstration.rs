//! The whole story in a few seconds: two workers, one is killed, and the results are read back.

use crate::checksum;
use std::{
    error::Error,
    fs::{self, File},
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};
use util::{scratch, timeline};

type Failure = Box<dyn Error + Send + Sync>;

/// How this program ends.
pub type Done = Result<ExitCode, Failure>;

/// This program again, in `folder`, with its queue in a file there.
fn program(folder: &Path, words: &str) -> Command {
    let mut command = util::again(words.split(' '));
    command.current_dir(folder).env_remove("REDIS_URL");
    command
}

/// What it prints, a few lines. An error of it is one of the demonstration, and so is the end of
/// `worker` before it.
fn printed(folder: &Path, words: &str, mut worker: Option<&mut Worker>) -> Result<String, Failure> {
    let mut command = program(folder, words);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    while process.try_wait()?.is_none() {
        if let Some(worker) = &mut worker
            && let Some(status) = worker.process.try_wait()?
        {
            _ = process.kill();
            _ = process.wait();
            Err(format!("a worker ended: {status}"))?;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let output = process.wait_with_output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    if !error.is_empty() {
        Err(error.trim_end().trim_start_matches("error: "))?;
    }
    if output.status.code().is_none() {
        Err(format!("{words}: {}", output.status))?;
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// More files than a worker has open at once: three of the store for each connection, and those of
/// its runtime and its job.
const OPEN_FILES: usize = 24;

/// An error if this process, and so a worker, cannot have so many more: a worker tries to open its
/// store again and again.
fn check_limit() -> Result<(), String> {
    let files: Result<Vec<_>, _> = (0..OPEN_FILES).map(|_| File::open("/dev/null")).collect();
    let why = |e| format!("the workers need room for {OPEN_FILES} open files (see ulimit -n): {e}");
    files.map(drop).map_err(why)
}

struct Worker {
    process: Child,
    says: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    fn start(folder: &Path, words: &str) -> Result<Worker, std::io::Error> {
        let words = format!("work --dead-after 2 --runs 3 {words}");
        let mut process = program(folder, &words).stdout(Stdio::piped()).spawn()?;
        let says = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        Ok(Worker { process, says })
    }

    /// The rest of its next line with `begin` in front.
    fn says(&mut self, begin: &str) -> Result<String, std::io::Error> {
        let line = self.says.find_map(|line| match line {
            Ok(line) => line.strip_prefix(begin).map(|rest| Ok(rest.to_owned())),
            Err(error) => Some(Err(error)),
        });
        line.unwrap_or_else(|| {
            Err(std::io::Error::other(format!("a worker ended without {begin:?}")))
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

// ANCHOR: demonstration
pub fn run() -> Done {
    check_limit()?;
    let folder = scratch::directory()?;
    let folder = folder.path();
    fs::create_dir(folder.join("files"))?;
    for number in 0..6_u8 {
        fs::write(folder.join(format!("files/{number}")), vec![number; 100_000])?;
    }
    fs::write(folder.join("files/missing"), "gone before anybody reads it")?;
    let produce = "produce --folder files --results results";
    printed(folder, produce, None)?;
    assert_eq!(printed(folder, produce, None)?, "7 jobs, 0 of them new\n");
    println!("produced 7 jobs; produced again: 0 new");
    fs::remove_file(folder.join("files/missing"))?;

    // Anna rests for a minute in the middle of each job: time enough to kill her there.
    let mut anna = Worker::start(folder, "--name anna --slow 60000")?;
    let mut begun = anna.says("anna begins ")?;
    while begun.starts_with("missing") {
        begun = anna.says("anna begins ")?;
    }
    let mut bela = Worker::start(folder, "--name bela")?;
    anna.process.kill()?; // SIGKILL
    timeline::ended(anna.process.id());
    println!("anna was killed in the middle of a job");

    let results = printed(folder, "results --wait", Some(&mut bela))?;
    let file = begun.strip_suffix(", run 1").ok_or(begun.clone())?;
    bela.says(&format!("bela begins {file}, run 2"))?;
    println!("bela did that job over, as run 2");

    let jobs = checksum::jobs(&folder.join("files"), &folder.join("results"), None)?;
    for job in &jobs {
        let effect = fs::read(checksum::effect(job))?;
        let digest = checksum::digest(&job.file)?;
        assert_eq!(effect, checksum::line(&digest, job.file.as_os_str()));
        assert!(results.contains(&digest), "{results}");
    }
    assert_eq!((jobs.len(), fs::read_dir(folder.join("results"))?.count()), (6, 6));
    println!("6 checksums, each there once, each right");

    let failed: Vec<_> = results.lines().filter(|line| line.starts_with("Failed\t3\t")).collect();
    let [failed] = failed[..] else { return Err(results.into()) };
    let reason = failed.rsplit('\t').next().unwrap_or_default();
    println!("the 7th kept as failed after 3 runs: {reason}");

    let id = bela.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status()?.success());
    assert!(bela.process.wait()?.success());
    println!("bela was told to stop, and did");
    Ok(ExitCode::SUCCESS)
}
// ANCHOR_END: demonstration
