//! A directory of its own for a test.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
};

/// A directory of its own for a test, deleted at its end. It is in memory, unless the variable
/// `COPY_DIR` names another directory. Every user may use it.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// # Panics
    ///
    /// As all functions here, if the file system does not do what the test needs.
    #[expect(clippy::new_without_default, reason = "it makes a directory, which may fail")]
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let memory = Path::new("/dev/shm");
        let base = std::env::var_os("COPY_DIR").map(PathBuf::from).unwrap_or_else(|| {
            if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
        });
        let path = base.join(format!("test-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        Self(path)
    }

    /// A path in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A new directory in it, and the directories it is in.
    pub fn folder(&self, name: &str) -> PathBuf {
        fs::create_dir_all(self.at(name)).unwrap();
        self.at(name)
    }

    /// A new file in it, and the directories it is in.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), contents).unwrap();
        self.at(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // `remove_dir_all` would hold a descriptor for each level of a deep tree.
        let script = "chmod -R u+rwx \"$0\" 2>/dev/null; rm -rf \"$0\"";
        let _ = Command::new("sh").args(["-c", script]).arg(&self.0).status();
    }
}
