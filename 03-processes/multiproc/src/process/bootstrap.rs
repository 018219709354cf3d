//! The first step of every process: it finds out whether it is a child, and if so runs the function
//! that its parent sent.
//!
//! A child is this program started again. Its standard input is a *bootstrap socket*, and its
//! environment contains that socket's inode. It inherits nothing else, so the files that a child
//! has open never depend on when its siblings were started. From the socket it receives everything
//! else in one packet: its parent's pidfd, the shared-memory arena, the function, the argument and
//! the descriptors in it. The parent sends the packet before it starts the child.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::process::exit;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};

use crate::ipc::codec;
use crate::ipc::socket::{self, Packet};
use crate::process::dispositions;
use crate::process::executable;
use crate::process::identity::{self, Current, current};
use crate::process::messages::{Call, MARK, Report, Start, numbers_of, report};
use crate::process::remote::Remote;
use crate::shm::arena;
use crate::sys::fork;
use crate::sys::membarrier;
use crate::sys::observer::{self, Event};
use crate::sys::panics::{self, Panic};
use crate::sys::poll;
use crate::sys::signals;
use crate::sys::sync;

/// The child's end of its bootstrap socket.
static SOCKET: OnceLock<OwnedFd> = OnceLock::new();

/// Must be the first statement of `main`: in a process that [`spawn`](crate::spawn()) started it
/// runs the function and never returns.
///
/// In the program itself it returns at once, and a second call does nothing. A program that never
/// calls it cannot start processes: `spawn` says so with
/// [`SpawnError::NotInitialized`](crate::SpawnError::NotInitialized), and starts none. What stands
/// before it in `main` happens in every child again.
///
/// A child runs the function only if its parent runs the same build of this program and uses the
/// same copy of this library; two copies in one program (of two versions, say) do not take each
/// other's children. In a process that has gained rights when it was executed (set-user-ID,
/// set-group-ID, capabilities of the file) it refuses to be a child, since its environment and its
/// standard input are those of somebody with fewer rights, and ends the process with status 102.
///
/// If this program was started with `SIGCHLD` ignored, that is undone, for it would lose its
/// children's exit statuses.
///
/// With tokio, do not put `#[tokio::main]` on the function that calls it: that attribute starts the
/// runtime and its threads first, in every child too, and a function that blocks on a runtime of
/// its own panics there. Call `init` in a plain `main`, and make the runtime after it:
///
/// ```text
/// fn main() {
///     multiproc::init();
///     tokio::runtime::Runtime::new().unwrap().block_on(async { /* … */ });
/// }
/// ```
///
/// In tests, where `main` belongs to the test harness, use [`init_tests!`](crate::init_tests).
///
/// ```
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     multiproc::init();
///     let child = multiproc::spawn(|name: String| format!("hello {name}"), "Anna".to_owned())?;
///     assert_eq!(child.join()?, "hello Anna");
///     Ok(())
/// }
/// ```
pub fn init() {
    if identity::set_initialized() {
        return;
    }
    dispositions::attend_to_children();
    dispositions::note_ignored_signals();
    sync::is_thread_ending(); // so that the end of this thread is known
    if let Some(theirs) = identity_in_mark() {
        run(&theirs);
    }
}

/// Whether this process is a child of this copy of the library.
pub(crate) fn is_child() -> bool {
    identity_in_mark().is_some()
}

/// The identity that stands behind the bootstrap socket's numbers in the environment, if standard
/// input is that socket, and if it is this copy of the library that has to run or to refuse it.
fn identity_in_mark() -> Option<String> {
    let mark = std::env::var(MARK).ok()?;
    let theirs = mark.strip_prefix(&numbers_of(rustix::stdio::stdin())?)?.strip_prefix(':')?;
    let is_same_build = build_of(theirs) == build_of(executable::identity());
    // Another copy in the same program sees to its own children; one in another program is refused.
    (theirs == executable::identity() || !is_same_build).then(|| theirs.to_owned())
}

fn build_of(identity: &str) -> &str {
    identity.split('/').next().unwrap_or_default()
}

/// Ends the process if what waits at its bootstrap socket was not sent by its parent, or must not
/// be trusted.
fn refuse_strangers(socket: &OwnedFd) {
    let refuse = |reason: &str| {
        let _ = writeln!(
            io::stderr(),
            "this process was started to run a function of the program, and refuses: {reason}"
        );
        exit(SETUP_FAILED)
    };
    if executable::gained_rights() {
        refuse("it has gained rights by set-user-ID, set-group-ID or capabilities of its file");
    }
    let Ok(peer) = rustix::net::sockopt::socket_peercred(socket) else {
        refuse("the other end of its standard input is unknown")
    };
    if Some(peer.pid) != rustix::process::getppid() {
        if is_ending(peer.pid) {
            exit(SETUP_FAILED); // the parent ended meanwhile: there is nobody to report to
        }
        refuse("the other end of its standard input is not its parent's");
    }
    if peer.uid != rustix::process::geteuid() {
        refuse("the other end of its standard input is another user's");
    }
}

/// Whether the process of this number has ended, or does so within a second. A process gives its
/// children to another one some time before it has ended itself.
fn is_ending(pid: Pid) -> bool {
    match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        Ok(pidfd) => poll::until(
            &mut [PollFd::new(&pidfd, PollFlags::IN)],
            sync::deadline_after(Duration::from_secs(1)),
        )
        .is_ok_and(|ended| ended > 0),
        Err(error) => error == rustix::io::Errno::SRCH,
    }
}

/// The life of a child.
fn run(theirs: &str) -> ! {
    // Without the socket no report is possible, so there is only the exit status.
    let Ok(socket) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else {
        exit(SETUP_FAILED)
    };
    let socket = SOCKET.get_or_init(|| socket);
    refuse_strangers(socket);
    if let Err(error) = same_program(theirs) {
        let _ = socket::send(socket.as_fd(), &report(&Report::Setup(error)), None);
        exit(SETUP_FAILED);
    }
    let packet = match socket::receive(socket.as_fd(), None) {
        Ok(Some(packet)) => packet,
        Ok(None) => exit(SETUP_FAILED),
        Err(error) => {
            let _ = socket::send(socket.as_fd(), &report(&Report::Setup(error.to_string())), None);
            exit(SETUP_FAILED)
        }
    };
    let (code, answer) = match set_up(packet) {
        Ok((entry, mut call)) => {
            panics::watch(last_words);
            let Current { name, parent_id, .. } = &current();
            observer::report(Event::Started { name, parent_id: parent_id.unwrap_or(0) });
            entry.call(&mut call);
            observer::report(Event::Finished);
            let returned =
                matches!(codec::decode_header(&call.answer.bytes), Ok((Report::Returned, _)));
            (if returned { 0 } else { FAILED }, call.answer)
        }
        Err(error) => (SETUP_FAILED, report(&Report::Setup(error.to_string()))),
    };
    let mut code = code;
    if let Err(error) = socket::send(socket.as_fd(), &answer, None) {
        // A parent that is gone, or has dropped its handle, needs no answer; one that waits learns
        // why there is none.
        if error.kind() != io::ErrorKind::BrokenPipe {
            code = FAILED;
            let _ = socket::send(socket.as_fd(), &report(&Report::Result(error.to_string())), None);
        }
    }
    // Flushes standard output, and minds no error there.
    exit(code)
}

/// The exit code after a panic (as in any Rust program), and after an argument or a result that
/// could not travel.
const FAILED: i32 = 101;
/// The exit code of a child that could not begin.
const SETUP_FAILED: i32 = 102;

/// An error, as text, if the parent is another build or uses another version of this library.
fn same_program(theirs: &str) -> Result<(), String> {
    let ours = executable::identity();
    if theirs == ours {
        return Ok(());
    }
    Err(format!(
        "it runs another build of the program than its parent, or another version of this library: \
         the parent has {theirs}, it has {ours}"
    ))
}

/// Everything between the packet's arrival and the function's call.
fn set_up(packet: Packet) -> io::Result<(Remote<Call>, Call)> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed start packet");
    let (identity, rest): (&str, &[u8]) =
        codec::decode_header(&packet.bytes).map_err(|_| malformed())?;
    same_program(identity).map_err(io::Error::other)?;
    let (start, rest): (Start, &[u8]) = codec::decode_header(rest).map_err(|_| malformed())?;
    let at = packet.bytes.len() - rest.len();
    let mut descriptors = packet.descriptors.into_iter();
    let mut next = || descriptors.next().ok_or_else(malformed);

    let parent = next()?;
    // Two ways to die with the parent. The kernel's reaches a process that is stopped, but is lost
    // when the process becomes another user's; and a parent that died before this line is not
    // noticed. The watch sees to those.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // A pool's worker needs it, and while there is one thread it costs nothing: with a second one,
    // the kernel waits for a grace period of some ten milliseconds.
    membarrier::accept();
    signals::start("parent-watch", Some(64 * 1024), move || die_with(&parent))?;
    arena::inherit(next()?)?;
    let stdin = if start.inherit_stdin { Some(next()?) } else { None };
    set_stdio(stdin)?;
    // What `ps` and `top` show: the kernel keeps the first 15 bytes.
    if let Ok(name) = std::ffi::CString::new(start.name.as_bytes()) {
        let _ = rustix::thread::set_name(&name);
    }
    identity::become_child(start.name, start.lineage, start.parent_id);
    let argument = Packet { bytes: packet.bytes, descriptors: descriptors.collect() };
    Ok((start.entry, Call { argument, at, answer: Packet::default() }))
}

/// Ends this process as soon as its parent has ended, however it did.
///
/// The descriptor was opened by the parent for itself, so it cannot mean another process with the
/// same number; and if the parent is dead already, it is readable at once.
fn die_with(parent: &OwnedFd) {
    let _ = poll::until(&mut [PollFd::new(parent, PollFlags::IN)], None);
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
}

/// Puts the real standard input in its place, or nothing; output that leads nowhere goes nowhere
/// without an error.
fn set_stdio(stdin: Option<OwnedFd>) -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(stdin.as_ref().unwrap_or(&null))?;
    let (stdout, stderr) = (rustix::stdio::stdout(), rustix::stdio::stderr());
    let mut fds =
        [PollFd::new(&stdout, PollFlags::empty()), PollFd::new(&stderr, PollFlags::empty())];
    poll::until(&mut fds, Some(Instant::now()))?;
    // A pipe whose reader is gone, or no descriptor at all.
    let leads_nowhere = |fd: &PollFd<'_>| fd.revents().intersects(PollFlags::ERR | PollFlags::NVAL);
    let (no_stdout, no_stderr) = (leads_nowhere(&fds[0]), leads_nowhere(&fds[1]));
    if no_stdout {
        rustix::stdio::dup2_stdout(&null)?;
    }
    if no_stderr {
        rustix::stdio::dup2_stderr(&null)?;
    }
    Ok(())
}

/// Called for a panic that aborts the process: reports it to the parent first.
fn last_words(panic: Panic) {
    if fork::is_fork() {
        return;
    }
    let is_main_thread = rustix::thread::gettid() == rustix::process::getpid();
    if let (true, Some(socket)) = (is_main_thread, SOCKET.get()) {
        let _ =
            socket::send(socket.as_fd(), &report(&Report::Panicked(panic)), Some(Instant::now()));
    }
}
