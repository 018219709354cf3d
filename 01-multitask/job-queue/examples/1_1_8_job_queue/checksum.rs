//! The job: the checksum of one file, into a file of its own, as `sha256sum --check` reads it.

use job_queue::Job;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use util::timeline;

/// A job for each file below `folder`. A file that has changed since is another job; one that has not is the same.
pub fn jobs(folder: &Path, results: &Path) -> Result<Vec<Job>, String> {
    let error = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let folder = folder.canonicalize().map_err(|e| error(folder, e))?;
    fs::create_dir_all(results).map_err(|e| error(results, e))?;
    let results = results.canonicalize().map_err(|e| error(results, e))?;
    let (mut folders, mut jobs) = (vec![folder], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| error(&folder, e))? {
            let file = entry.map_err(|e| error(&folder, e))?.path();
            let about = file.symlink_metadata().map_err(|e| error(&file, e))?;
            if about.is_dir() && file != results {
                folders.push(file);
            } else if about.is_file() {
                let Some(name) = file.to_str() else {
                    return Err(format!(
                        "{}: a job is text, this name is no UTF-8",
                        file.display()
                    ));
                };
                let (size, time) = (about.size(), (about.mtime(), about.mtime_nsec()));
                let what = format!("{name}\n{size}\n{time:?}\n{}", results.display());
                let key = hex(&Sha256::digest(what))[..32].to_owned();
                jobs.push(Job { file, results: results.clone(), key });
            }
        }
    }
    Ok(jobs)
}

// ANCHOR: effect
/// Run number `run` of `job`. Twice, or twice at once, it has the effect of once: each run writes a file of its own,
/// whole, and then gives it the job's name, which replaces what another run has put there.
pub fn run(worker: &str, job: &Job, run: u32, slow: Duration) -> Result<String, String> {
    let error = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let file_name = job.file.file_name().unwrap_or_default().to_string_lossy();
    say(&format!("{worker} begins {file_name}, run {run}"));
    let _span = timeline::span(&file_name);
    let digest = digest(&job.file).map_err(|e| error(&job.file, e))?;

    let part = |run: u32| job.results.join(format!(".{}.{run}.part", job.key));
    let mut file = File::create(part(run)).map_err(|e| error(&part(run), e))?;
    let line = format!("{digest}  {}\n", job.file.display());
    file.write_all(line.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| error(&part(run), e))?;
    thread::sleep(slow);

    match fs::rename(part(run), effect(job)) {
        // A later run took this one's worker for dead, has put the same result there, and cleared up.
        Err(e) if e.kind() == io::ErrorKind::NotFound && effect(job).exists() => {}
        renamed => renamed.map_err(|e| error(&effect(job), e))?,
    }
    File::open(&job.results)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| error(&job.results, e))?;
    for run in 1..run {
        _ = fs::remove_file(part(run)); // of a run whose worker was killed
    }
    say(&format!("{worker} did {file_name}"));
    Ok(digest)
}

/// The file with the job's result.
pub fn effect(job: &Job) -> PathBuf {
    job.results.join(format!("{}.sha256", job.key))
}
// ANCHOR_END: effect

/// The SHA-256 of a file, as text.
pub fn digest(file: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(file)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Prints a line. That nobody reads it is no reason for a job to fail.
fn say(line: &str) {
    _ = writeln!(io::stdout(), "{line}");
}
