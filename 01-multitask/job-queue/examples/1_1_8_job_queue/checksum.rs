//! The job: the checksum of one file, into a file of its own, as `sha256sum --check` reads it.

use job_queue::Job;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use util::{text::visible, timeline};

/// A job for each regular file below `folder`, but for those of the `store`. A file that has
/// changed since is another job; one that has not is the same. `results` is created.
pub fn jobs(folder: &Path, results: &Path, store: Option<&Path>) -> Result<Vec<Job>, String> {
    let error = |path: &Path, error: io::Error| format!("{}: {error}", visible(path));
    let folder = folder.canonicalize().map_err(|e| error(folder, e))?;
    // Before it is created, for it may be refused.
    let future = canonical(results).map_err(|e| error(results, e))?;
    if future.starts_with(&folder) {
        return Err(format!(
            "--results {:?} is inside --folder {:?}, so the results would become jobs: expected a directory outside of it",
            visible(&future),
            visible(&folder)
        ));
    }
    fs::create_dir_all(results).map_err(|e| error(results, e))?;
    let results = results.canonicalize().map_err(|e| error(results, e))?;
    let ours = match store {
        Some(store) => store_files(&canonical(store).map_err(|e| error(store, e))?),
        None => Vec::new(),
    };
    let (mut folders, mut jobs) = (vec![folder], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| error(&folder, e))? {
            let file = entry.map_err(|e| error(&folder, e))?.path();
            let about = match file.symlink_metadata() {
                Err(e) if e.kind() == ErrorKind::NotFound => continue, // deleted meanwhile
                about => about.map_err(|e| error(&file, e))?,
            };
            if about.is_dir() {
                folders.push(file);
            } else if about.is_file() && !ours.contains(&file) {
                let (size, time) = (about.size(), (about.mtime(), about.mtime_nsec()));
                let mut what = file.as_os_str().as_bytes().to_vec();
                what.extend(format!("\n{size}\n{time:?}\n").into_bytes());
                what.extend(results.as_os_str().as_bytes());
                let key = hex(&Sha256::digest(what))[..32].to_owned();
                jobs.push(Job { file, results: results.clone(), key });
            }
        }
    }
    Ok(jobs)
}

/// The canonical form of a path whose last components need not exist.
fn canonical(path: &Path) -> io::Result<PathBuf> {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Err(error), Some(parent), Some(name)) if error.kind() == ErrorKind::NotFound => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Ok(canonical(parent)?.join(name))
        }
        (canonical, ..) => canonical,
    }
}

/// A SQLite file, and the files that SQLite keeps beside it.
fn store_files(store: &Path) -> Vec<PathBuf> {
    let file = |end| {
        let mut name = OsString::from(store);
        name.push(end);
        PathBuf::from(name)
    };
    ["", "-wal", "-shm", "-journal"].map(file).to_vec()
}

// ANCHOR: effect
/// Run number `run` of `job`. Twice, or twice at once, it has the effect of once: each run writes a
/// file of its own, whole, and then gives it the job's name, which replaces what another run has
/// put there.
pub fn run(worker: &str, job: &Job, run: u32, slow: Duration) -> Result<String, String> {
    let error = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let file_name = job.file.file_name().unwrap_or_default();
    let (worker, name) = (visible(worker), visible(file_name));
    say(&format!("{worker} begins {name}, run {run}"));
    let _span = timeline::span(file_name.to_string_lossy());
    let digest = digest(&job.file).map_err(|e| error(&job.file, e))?;

    let part = |run: u32| job.results.join(format!(".{}.{run}.part", job.key));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let mut file = open(&part(run), &mut options).map_err(|e| error(&part(run), e))?;
    file.write_all(&line(&digest, job.file.as_os_str()))
        .and_then(|()| file.sync_all())
        .map_err(|e| error(&part(run), e))?;
    thread::sleep(slow);

    match fs::rename(part(run), effect(job)) {
        // A later run took this one's worker for dead, has put the same result there, and cleared
        // up.
        Err(e) if e.kind() == io::ErrorKind::NotFound && effect(job).exists() => {}
        renamed => renamed.map_err(|e| error(&effect(job), e))?,
    }
    File::open(&job.results)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| error(&job.results, e))?;
    for run in 1..run {
        _ = fs::remove_file(part(run)); // of a run whose worker was killed
    }
    say(&format!("{worker} did {name}"));
    Ok(digest)
}

/// The file with the job's result.
pub fn effect(job: &Job) -> PathBuf {
    job.results.join(format!("{}.sha256", job.key))
}
// ANCHOR_END: effect

/// A line that `sha256sum --check` reads. A name with a newline, a carriage return or a backslash
/// is escaped, which a backslash at the beginning of the line says.
pub fn line(digest: &str, file: &OsStr) -> Vec<u8> {
    let mut line = format!("{digest}  ").into_bytes();
    let plain = line.len();
    for &byte in file.as_bytes() {
        match byte {
            b'\n' => line.extend(br"\n"),
            b'\r' => line.extend(br"\r"),
            b'\\' => line.extend(br"\\"),
            byte => line.push(byte),
        }
    }
    if line.len() - plain > file.len() {
        line.insert(0, b'\\');
    }
    line.push(b'\n');
    line
}

/// The SHA-256 of a file, as text.
pub fn digest(file: &Path) -> io::Result<String> {
    let mut file = open(file, OpenOptions::new().read(true))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// Opens a regular file. What stands under its name by now may be something else: to open a FIFO
/// would wait for its other end, and to open a device can have any effect.
fn open(file: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let is_regular = |about: io::Result<fs::Metadata>| match about {
        Ok(about) if !about.is_file() => Err(io::Error::other("not a regular file")),
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    };
    is_regular(file.symlink_metadata())?;
    // It may be replaced between that look and this one.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = options.custom_flags(flags.bits().cast_signed()).open(file)?;
    is_regular(file.metadata())?;
    Ok(file)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Prints a line. That nobody reads it is no reason for a job to fail.
fn say(line: &str) {
    _ = writeln!(io::stdout(), "{line}");
}
