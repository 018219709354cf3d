//! Where the programs that measure leave their files, and how those are written and read.

use serde::{Serialize, de::DeserializeOwned};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Writes `value` to `path`, whole or not at all, with its folder.
///
/// # Errors
///
/// If it cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    write_whole(path, &(text + "\n"))
}

/// Writes `text` to `path`, whole or not at all, with its folder.
///
/// # Errors
///
/// If it cannot be written; the path is named.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(named)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&temporary, text)
        .and_then(|()| fs::rename(&temporary, path))
        .inspect_err(|_| _ = fs::remove_file(&temporary))
        .map_err(named)
}

/// Reads a file of JSON.
///
/// # Errors
///
/// If it cannot be read or is not of that form; the path is named.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let text = fs::read_to_string(path).map_err(named)?;
    serde_json::from_str(&text).map_err(|e| named(e.into()))
}

/// What is in `folder`; nothing if there is no such folder.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(io::Error::new(e.kind(), format!("{}: {e}", folder.display()))),
    }
}

/// The target folder that this program was built into, which is the one criterion writes to.
pub fn target() -> PathBuf {
    if let Some(folder) = env::var_os("CARGO_TARGET_DIR") {
        return folder.into();
    }
    let program = env::current_exe().unwrap_or_default();
    let built_into = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    built_into.map_or_else(|| root().join("target"), Path::to_owned)
}

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package stands in the workspace")
}
