//! Files and directories that are only needed while a program runs.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use crate::{program, sys};

/// All directories that are there, to be removed also if the program ends without dropping them.
static DIRECTORIES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A directory in the one for temporary files (see [`env::temp_dir`]). It is removed with all that
/// is in it when this is dropped, and when the program ends because its output cannot be written.
/// See [`directory`].
#[derive(Debug)]
pub struct Directory(PathBuf);

/// Makes an empty [`Directory`], which only this user can read.
///
/// # Errors
///
/// If there is no directory for temporary files, or nothing can be created in it.
///
/// ```
/// let place = util::scratch::directory()?;
/// std::fs::write(place.path().join("a"), "text")?;
/// # std::io::Result::Ok(())
/// ```
pub fn directory() -> io::Result<Directory> {
    let path = create("directory", sys::private_directory)?.1;
    all().push(path.clone());
    Ok(Directory(path))
}

/// Opens an empty file for reading and writing. It has no name, so it is gone when the program
/// ends, however it ends.
///
/// # Errors
///
/// As [`directory`].
///
/// ```
/// use std::io::{Read, Seek, Write};
///
/// let mut file = util::scratch::file()?;
/// file.write_all(b"text")?;
/// file.rewind()?;
/// let mut text = String::new();
/// file.read_to_string(&mut text)?;
/// assert_eq!(text, "text");
/// # std::io::Result::Ok(())
/// ```
pub fn file() -> io::Result<File> {
    Ok(create("file", sys::unnamed_file)?.0)
}

impl Directory {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        all().retain(|path| *path != self.0);
        remove(&self.0);
    }
}

/// Removes all directories of this process that are there: for an end at which nothing is dropped.
pub(crate) fn remove_all() {
    all().drain(..).for_each(|path| remove(&path));
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        crate::eprintln!("warning: cannot remove {}: {error}", path.display());
    }
}

fn all() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    DIRECTORIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates `what` under a name that is not there yet.
pub(crate) fn create<T>(
    what: &str,
    create: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(T, PathBuf)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let temporary = env::temp_dir();
    loop {
        let mut name = OsString::from(program());
        name.push(format!("-{}-{}", process::id(), NUMBER.fetch_add(1, Relaxed)));
        let path = temporary.join(name);
        match create(&path) {
            Ok(created) => return Ok((created, path)),
            // Left by a process of the same number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let place = temporary.display();
                let text = format!("cannot create a temporary {what} in {place}: {error}");
                return Err(io::Error::new(error.kind(), text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_one_and_goes_with_its_owner() {
        let [a, b] = [directory().unwrap(), directory().unwrap()];
        fs::create_dir(a.path().join("inner")).unwrap();
        assert!(a.path() != b.path() && b.path().is_dir());
        let path = a.path().to_owned();
        drop(a);
        assert!(!path.exists() && b.path().exists());
    }
}
