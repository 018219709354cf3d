//! Starting this program again, as a child with the bootstrap socket as its standard input.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::OnceLock;

use rustix::process::{PidfdFlags, Signal, pidfd_open};

use crate::process::dispositions;
use crate::process::executable;
use crate::process::messages::MARK;
use crate::process::posix_spawn::{Program, posix_spawn};
use crate::process::reaper::{OnEnd, Started};
use crate::sys::observer;

/// Why a child of this process would not come as far as its function, if so.
pub(super) fn can_start_again() -> Result<(), &'static str> {
    static IS_THIS_PROGRAM: OnceLock<bool> = OnceLock::new();
    let is_this_program = || executable::this().is_proc_self_exe().unwrap_or(true);
    if executable::gained_rights() {
        return Err(
            "it has gained rights by set-user-ID, set-group-ID or capabilities of its file, \
             and a child would not trust what it is given",
        );
    }
    use rustix::process::{getegid, geteuid, getgid, getuid};
    if (getuid(), getgid()) != (geteuid(), getegid()) {
        return Err(
            "its real and effective user or group ids differ, and a child would not trust what it \
             is given: make them equal",
        );
    }
    if !*IS_THIS_PROGRAM.get_or_init(is_this_program) {
        return Err(
            "/proc/self/exe is another program: start this one directly, not through the dynamic \
             loader or an emulator",
        );
    }
    Ok(())
}

/// What the starter needs to know of a child.
pub(super) struct Plan {
    /// Becomes its standard input.
    pub(super) socket: OwnedFd,
    /// The value of [`MARK`].
    pub(super) mark: String,
    pub(super) name: String,
    pub(super) own_process_group: bool,
    pub(super) on_end: Option<OnEnd>,
}

/// Starts this program again. The thread that calls it has to live as long as the child: see
/// [`reaper`](crate::process::reaper).
///
/// # Errors
///
/// What the system says; no process is left then.
pub(super) fn start(plan: Plan) -> io::Result<Started> {
    let arguments = arguments()?;
    let environment = environment(&plan.mark)?;
    let program = Program {
        path: c"/proc/self/exe",
        arguments: &arguments,
        environment: &environment,
        stdin: plan.socket.as_fd(),
        default_signals: &dispositions::reset_in_children(),
        own_process_group: plan.own_process_group,
    };
    let pid = posix_spawn(&program).map_err(|error| match error.kind() {
        kind @ (io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            io::Error::new(kind, format!("/proc/self/exe: {error}"))
        }
        _ => error,
    })?;
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => {
            let id = pid.as_raw_nonzero().get().cast_unsigned();
            Ok(Started::new(id, plan.name, pidfd, plan.on_end))
        }
        Err(error) => {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            Err(error.into())
        }
    }
}

fn text(bytes: Vec<u8>) -> io::Result<CString> {
    CString::new(bytes).map_err(io::Error::from)
}

/// The arguments of this program.
fn arguments() -> io::Result<Vec<CString>> {
    let arguments = std::env::args_os().map(|argument| text(argument.into_vec()));
    let mut arguments: Vec<CString> = arguments.collect::<io::Result<_>>()?;
    if arguments.is_empty() {
        arguments.push(c"/proc/self/exe".to_owned());
    }
    Ok(arguments)
}

/// The environment of this process, with the mark and the observer's variables.
fn environment(mark: &str) -> io::Result<Vec<CString>> {
    let mut ours = observer::environment();
    ours.push((MARK.into(), mark.into()));
    let entry = |(name, value): (OsString, OsString)| {
        text([name.as_bytes(), b"=", value.as_bytes()].concat())
    };
    std::env::vars_os()
        .filter(|(name, _)| ours.iter().all(|(own, _)| name != own))
        .chain(ours.iter().cloned())
        .map(entry)
        .collect()
}

/// This process's descriptor of itself, by which its children learn of its end.
pub(super) fn own_pidfd() -> io::Result<&'static OwnedFd> {
    static OWN: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(own) = OWN.get() {
        return Ok(own);
    }
    let own = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).map_err(|error| {
        let missing = "there is no `pidfd_open`: Linux 5.4 is needed, and some tools that run a \
                       program (old versions of Valgrind) do not offer it";
        if error == rustix::io::Errno::NOSYS {
            io::Error::new(io::ErrorKind::Unsupported, missing)
        } else {
            error.into()
        }
    })?;
    Ok(OWN.get_or_init(|| own))
}
