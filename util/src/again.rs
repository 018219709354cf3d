//! A case that starts itself again, to be watched from outside.

use std::{
    env,
    ffi::OsStr,
    io,
    process::{self, Command, Stdio},
};

use crate::{sys, timeline};

/// The environment variable with the process id of the parent that a child does not outlive.
const PARENT: &str = "STARTED_AGAIN_BY";

/// This program once more, with these `arguments`: a child that draws into the same [`timeline`]
/// and does not outlive this process (on Linux, the thread that starts it). It must have
/// [`case!`](crate::case!) or [`output::start`](crate::output::start) first in `main`.
///
/// ```no_run
/// let output = util::again(["--child"]).output()?;
/// # std::io::Result::Ok(())
/// ```
pub fn again<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = sys::this_program();
    command.args(arguments).envs(timeline::env()).env(PARENT, process::id().to_string());
    command
}

/// What this program prints when it is started once more with these `arguments`; see [`again`].
///
/// # Errors
///
/// If it cannot be started, or fails: its standard error, which is that of this program, says why.
///
/// ```no_run
/// assert_eq!(util::printed_by(["--child"])?, "done\n");
/// # std::io::Result::Ok(())
/// ```
pub fn printed_by<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> io::Result<String> {
    let output = again(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("a child process failed: {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// In a child that [`again`] started: ends it with its parent.
pub(crate) fn follow_parent() {
    if let Some(parent) = env::var(PARENT).ok().and_then(|id| id.parse().ok()) {
        sys::follow(parent);
    }
}
