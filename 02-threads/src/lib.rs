//! What several cases, tests or benchmarks of chapter 2 share. The lessons stand in `examples/`.

pub mod banker;
pub mod chat;
pub mod wait_for;

use std::{fs, io, path::Path, process};

/// The names of the threads of this process that are alive, the oldest first, as the kernel lists
/// them in `/proc/self/task`. It keeps 15 bytes of a name; the first thread is called `main` here.
///
/// Python keeps such a list itself (`threading.enumerate()`). Rust keeps none: who wants to
/// wait for a thread holds its `JoinHandle`. A thread has its name a moment after it
/// began: before that it bears its parent's.
///
/// # Errors
///
/// If `/proc` is not there to be read.
///
/// ```
/// std::thread::scope(|s| {
///     s.spawn(|| assert_eq!(threads::alive().unwrap()[0], "main"));
/// });
/// ```
pub fn alive() -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for task in fs::read_dir("/proc/self/task")? {
        let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else {
            continue; // it ended since the folder was read
        };
        found.extend(parse_stat(&stat));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

/// `ID (NAME) STATE …`, the seventh word behind the name being the flags. `None` for a thread
/// that has begun to end: `join` can return a moment before the kernel strikes it off its list.
fn parse_stat(stat: &str) -> Option<(u32, String)> {
    const EXITING: u64 = 0x4; // PF_EXITING in the kernel's include/linux/sched.h
    let (id, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let flags: u64 = rest.split(' ').nth(6)?.parse().ok()?;
    let id = id.parse().ok()?;
    let name = if id == process::id() { "main" } else { name };
    (flags & EXITING == 0).then(|| (id, name.to_owned()))
}

/// The kernel's number for the calling thread, unique on this machine: what `gettid` returns.
///
/// # Errors
///
/// If `/proc` is not there to be read.
///
/// ```
/// let here = threads::id()?;
/// let there = std::thread::spawn(threads::id).join().unwrap()?;
/// assert_ne!(here, there);
/// # std::io::Result::Ok(())
/// ```
pub fn id() -> io::Result<u32> {
    let link = fs::read_link("/proc/thread-self")?; // PROCESS/task/THREAD
    let number = link.file_name().map(Path::new).and_then(Path::to_str);
    number.and_then(|n| n.parse().ok()).ok_or_else(|| io::Error::other(format!("{link:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_hold_anything() {
        let stat = |flags: &str| format!("12 (a) (b) S 1 2 3 4 5 {flags} 7 8\n");
        assert_eq!(parse_stat(&stat("4194304")), Some((12, "a) (b".into())));
        assert_eq!(parse_stat(&stat("4194308")), None, "it is ending");
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn a_joined_thread_is_not_alive() {
        for _ in 0..200 {
            let name = "short-lived";
            let thread = std::thread::Builder::new().name(name.into());
            thread.spawn(|| ()).unwrap().join().unwrap();
            assert!(!alive().unwrap().contains(&name.to_owned()));
        }
    }
}
