//! What macOS and Windows do alike.

use std::{
    convert::Infallible,
    env,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::Record;
use crate::{counted::Kernel, scratch};

static RECORD: OnceLock<PathBuf> = OnceLock::new();

/// A temporary file, which is left behind if the program ends before its timeline does.
pub(crate) fn new_record() -> io::Result<Record> {
    let open = |path: &Path| OpenOptions::new().create_new(true).append(true).open(path);
    let (file, path) = scratch::create("file", open)?;
    RECORD.get_or_init(|| path.clone());
    Ok(Record { file, path })
}

/// Removes the file of [`new_record`].
pub(crate) fn remove_record() {
    if let Some(path) = RECORD.get() {
        let _ = fs::remove_file(path);
    }
}

/// Here a signal ends the program without a picture.
pub(crate) fn start_again(_: &File) {}

/// See [`start_again`].
pub(crate) fn stop() {}

/// See [`start_again`]: there is none.
#[derive(Debug)]
pub(crate) struct Taken {
    pub record: Record,
    never: Infallible,
}

/// See [`start_again`].
pub(crate) fn taken() -> Option<Taken> {
    None
}

impl Taken {
    pub(crate) fn die(self) -> ! {
        match self.never {}
    }
}

/// It is not reported for one process.
pub(crate) fn kernel_memory(_: &[u32]) -> io::Result<Option<Kernel>> {
    Ok(None)
}

/// A child whose output cannot be written does not tell its parent here.
pub(crate) fn listen() {}

/// This program, to be started once more.
pub(crate) fn this_program() -> Command {
    let by_name = || env::args_os().next().unwrap_or_default().into();
    Command::new(env::current_exe().unwrap_or_else(|_| by_name()))
}
