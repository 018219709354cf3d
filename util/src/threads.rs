//! Which threads there are, and whose they are, as the operating system knows them.

use std::io;

use crate::sys;

/// The names of the threads of this process that are alive, the oldest first, as the operating
/// system lists them. Linux keeps 15 bytes of a name; the first thread is called `main` here.
///
/// Python keeps such a list itself (`threading.enumerate()`). Rust keeps none: who wants to
/// wait for a thread holds its `JoinHandle`. A thread has its name a moment after it
/// began: before that it bears its parent's, or none.
///
/// # Errors
///
/// If the system does not list them: on Linux, if `/proc` is not there to be read.
///
/// ```
/// std::thread::scope(|s| {
///     s.spawn(|| assert_eq!(util::threads::alive().unwrap()[0], "main"));
/// });
/// ```
pub fn alive() -> io::Result<Vec<String>> {
    sys::alive()
}

/// The operating system's number for the calling thread, unique on this machine.
///
/// # Errors
///
/// As [`alive`].
///
/// ```
/// let here = util::threads::id()?;
/// let there = std::thread::spawn(util::threads::id).join().unwrap()?;
/// assert_ne!(here, there);
/// # std::io::Result::Ok(())
/// ```
pub fn id() -> io::Result<u64> {
    sys::thread_id()
}

/// The operating system's number for the process that started this one, which may have ended.
///
/// # Errors
///
/// If the system does not report it.
///
/// ```
/// assert_ne!(util::threads::parent()?, std::process::id());
/// # std::io::Result::Ok(())
/// ```
pub fn parent() -> io::Result<u32> {
    sys::parent()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Barrier, thread};

    #[test]
    fn a_joined_thread_is_not_alive() {
        for _ in 0..200 {
            let name = "short-lived";
            let thread = std::thread::Builder::new().name(name.into());
            thread.spawn(|| ()).unwrap().join().unwrap();
            assert!(!alive().unwrap().contains(&name.to_owned()));
        }
    }

    #[test]
    fn threads_stand_in_the_order_in_which_they_began() {
        let names = ["first", "second", "third"];
        let (begun, end) = (Barrier::new(2), Barrier::new(names.len() + 1));
        let all = thread::scope(|s| {
            for name in names {
                let wait = || _ = (begun.wait(), end.wait());
                thread::Builder::new().name(name.into()).spawn_scoped(s, wait).unwrap();
                begun.wait(); // and so it has its name
            }
            let all = alive();
            end.wait();
            all.unwrap()
        });
        let ours: Vec<_> = all.iter().filter(|name| names.contains(&name.as_str())).collect();
        assert_eq!(ours, names);
        assert_eq!(all[0], "main");
    }
}
