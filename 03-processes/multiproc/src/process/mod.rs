//! Starting a process that runs a function of this program, and waiting for it.

pub(crate) mod bootstrap;
pub(crate) mod constructor;
pub(crate) mod executable;
pub(crate) mod reaper;
pub(crate) mod remote;

use std::ffi::CString;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use rustix::process::{PidfdFlags, Signal, pidfd_open};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ipc::codec;
use crate::ipc::error::{DecodeError, EncodeError};
use crate::ipc::packet::{self, Packet};
use crate::process::bootstrap::{Call, IDENTITY, MARK, Report, Start, is_initialized, report};
use crate::process::constructor::reset_in_children;
use crate::process::reaper::{End, Started};
use crate::process::remote::{Entry, Remote};
use crate::sys::fork;
use crate::sys::limits;
use crate::sys::observer::{self, Event};
use crate::sys::panics::{self, Panic};
use crate::sys::sync::{self, deadline_after, lock};

/// Starts a process that runs `function` with `argument`, under a default name. See
/// [`Builder::spawn`].
///
/// # Errors
///
/// As [`Builder::spawn`].
///
/// ```
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     multiproc::init();
///     let child = multiproc::spawn(|(a, b): (u32, u32)| a * b, (6, 7))?;
///     assert_eq!(child.join()?, 42);
///     Ok(())
/// }
/// ```
pub fn spawn<F, A, T>(function: F, argument: A) -> Result<Child<T>, SpawnError>
where
    F: Fn(A) -> T + Copy + Send + 'static,
    A: Serialize + DeserializeOwned,
    T: Serialize + DeserializeOwned,
{
    Builder::new(function).spawn(argument)
}

/// How a process is to be started.
///
/// The function is a plain `fn` or a closure that captures nothing; one that captures does not
/// compile, because the other process has none of this one's memory. What it needs goes in as its
/// argument.
///
/// ```
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     multiproc::init();
///     let child = multiproc::Builder::new(|()| multiproc::current().name).name("reader").spawn(())?;
///     assert_eq!(child.name(), "reader");
///     assert_eq!(child.join()?, "reader");
///     Ok(())
/// }
/// ```
///
/// ```compile_fail,E0080
/// multiproc::init();
/// let captured = 1;
/// multiproc::spawn(move |n: u32| n + captured, 41);
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is started before `spawn`"]
pub struct Builder<F> {
    function: F,
    name: Option<String>,
    inherit_stdin: bool,
    own_process_group: bool,
}

impl<F> Builder<F> {
    /// A process that will run `function`.
    pub fn new<A, T>(function: F) -> Self
    where
        F: Fn(A) -> T + Copy + Send + 'static,
    {
        Self { function, name: None, inherit_stdin: false, own_process_group: false }
    }

    /// Its name, instead of `Process-N`. `ps` and `top` show the first 15 bytes.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Lets it read this process's standard input, instead of an empty one (`/dev/null`).
    pub fn inherit_stdin(mut self) -> Self {
        self.inherit_stdin = true;
        self
    }

    /// Puts the process into a process group of its own.
    ///
    /// A terminal sends its signals to the whole foreground group: Ctrl-C (`SIGINT`) ends this
    /// process's children too, unless they are in another group. A program that handles Ctrl-C
    /// itself, to finish what its children are at, starts them this way; it then ends them by
    /// [`Child::terminate`] or by its own end. A process in another group than the terminal's
    /// cannot read from the terminal.
    ///
    /// ```
    /// use rustix::process::{getpgid, getpid};
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     multiproc::init();
    ///     let leads_a_group = |()| getpgid(None).unwrap() == getpid();
    ///     let child = multiproc::Builder::new(leads_a_group).own_process_group().spawn(())?;
    ///     assert!(child.join()?);
    ///     Ok(())
    /// }
    /// ```
    pub fn own_process_group(mut self) -> Self {
        self.own_process_group = true;
        self
    }

    /// Starts the process: this program again, which gets as far as [`init`](crate::init()) and
    /// runs the function there.
    ///
    /// Returns as soon as the process exists, before it has done anything; a large argument does
    /// not make it wait.
    ///
    /// # What the process inherits
    ///
    /// - The environment, the arguments, the working directory, standard output and standard error.
    ///   No other descriptor is open in it but those in its argument.
    /// - Whatever the *calling thread* has at this moment: the processors it may run on, its
    ///   priority, its capabilities, its resource limits and its sandbox (`no_new_privs`, seccomp,
    ///   Landlock).
    /// - Nothing of signals: no signal is blocked, and each is handled in the default way, whatever
    ///   this process does with it. Only `SIGPIPE` is ignored, as in every Rust program; `SIGHUP`,
    ///   `SIGINT` and `SIGQUIT` are, if they were when this program was started (by `nohup`, or by
    ///   a shell in the background).
    ///
    /// # When this process ends
    ///
    /// The process is killed when this process ends, however that happens; when the *thread* that
    /// started it ends, nothing happens. (A process that replaces itself by `exec` takes its
    /// children along too.)
    ///
    /// # Errors
    ///
    /// [`SpawnError`]: `init` was not called, the argument cannot be encoded, the function is not
    /// in the executable, this program cannot be started again, this process is a fork or is
    /// exiting, or the system refuses (too many processes, threads or descriptors, no memory). No
    /// process is left then.
    pub fn spawn<A, T>(self, argument: A) -> Result<Child<T>, SpawnError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        self.spawn_and_then(argument, None)
    }

    /// The same; `on_end` is called when the process has ended, on the thread that watches over it.
    pub(crate) fn spawn_and_then<A, T>(
        self,
        argument: A,
        on_end: Option<reaper::OnEnd>,
    ) -> Result<Child<T>, SpawnError>
    where
        F: Fn(A) -> T + Copy + Send + 'static,
        A: Serialize + DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        if fork::is_fork() {
            return Err(SpawnError::Forked);
        }
        if sync::is_thread_ending() || packet::check_thread().is_err() {
            return Err(SpawnError::Exiting);
        }
        let entry =
            Remote::new::<F, Run<A, T>>(self.function).map_err(|_| SpawnError::NotInExecutable)?;
        if !is_initialized() {
            return Err(SpawnError::NotInitialized);
        }
        can_start_again().map_err(SpawnError::CannotStartAgain)?;
        fork::begin_use()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let lineage = match IDENTITY.get() {
            None => number.to_string(),
            Some(identity) => format!("{}:{number}", identity.lineage),
        };
        let name = self.name.unwrap_or_else(|| format!("Process-{lineage}"));
        let start = Start {
            name: name.clone(),
            lineage,
            parent_id: std::process::id(),
            inherit_stdin: self.inherit_stdin,
            entry,
        };
        let mut packet = packet::encode(bootstrap::start_packet(&start), &argument)
            .map_err(SpawnError::Encode)?;
        // This process's copies of what traveled are closed before the child runs.
        drop(argument);

        let mut ours_to_give =
            vec![own_pidfd()?.try_clone()?, crate::shm::arena::descriptor()?.try_clone_to_owned()?];
        if self.inherit_stdin {
            ours_to_give.push(rustix::stdio::stdin().try_clone_to_owned()?);
        }
        packet.descriptors.splice(0..0, ours_to_give);

        let (socket, theirs) = packet::pair()?;
        let mark = bootstrap::mark_for(theirs.as_fd())
            .ok_or_else(|| io::Error::other("a socket without an inode"))?;
        // Into the socket's buffer: the child finds it there.
        packet::send(socket.as_fd(), &packet, None)?;
        drop(packet);
        let own_group = self.own_process_group;
        let started = reaper::start(move || exec(theirs, &mark, name, own_group, on_end))?;
        observer::report(Event::Spawned { id: started.id, name: &started.name });
        Ok(Child { started, answer: Mutex::new(Answer::Awaited(socket)), result: PhantomData })
    }
}

/// The numbers in default names.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// Why a child of this process would not come as far as its function, if so.
fn can_start_again() -> Result<(), &'static str> {
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
            "its real and effective user or group ids differ, and a child would not trust what it is given: \
             make them equal",
        );
    }
    if !*IS_THIS_PROGRAM.get_or_init(is_this_program) {
        return Err(
            "/proc/self/exe is another program: start this one directly, not through the dynamic loader or an emulator",
        );
    }
    Ok(())
}

/// Starts this program again with the socket as its standard input.
fn exec(
    socket: OwnedFd,
    mark: &str,
    name: String,
    own_group: bool,
    on_end: Option<reaper::OnEnd>,
) -> io::Result<Started> {
    let text = |bytes: Vec<u8>| CString::new(bytes).map_err(io::Error::from);
    let mut arguments: Vec<CString> =
        std::env::args_os().map(|argument| text(argument.into_vec())).collect::<io::Result<_>>()?;
    if arguments.is_empty() {
        arguments.push(c"/proc/self/exe".to_owned());
    }
    let mut ours = observer::environment();
    ours.push((MARK.into(), mark.into()));
    let environment: Vec<CString> = std::env::vars_os()
        .filter(|(name, _)| ours.iter().all(|(own, _)| name != own))
        .chain(ours.iter().cloned())
        .map(|(name, value)| text([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect::<io::Result<_>>()?;

    let mut descriptors = PosixSpawnFileActions::init()?;
    descriptors.add_dup2(socket.as_raw_fd(), 0)?;
    let mut attributes = PosixSpawnAttr::init()?;
    let mut flags =
        PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&reset_in_children())?;
    if own_group {
        flags |= PosixSpawnFlags::POSIX_SPAWN_SETPGROUP; // 0 by default: a new one
    }
    attributes.set_flags(flags)?;
    // Not a `fork`: what happens in between takes no lock of this process and copies none of its
    // memory.
    let path = c"/proc/self/exe";
    let spawned = posix_spawn(path, &descriptors, &attributes, &arguments, &environment);
    let pid = spawned.map_err(|error| match io::Error::from(error) {
        error
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            io::Error::new(error.kind(), format!("/proc/self/exe: {error}"))
        }
        error => error,
    })?;

    let pid = rustix::process::Pid::from_raw(pid.as_raw()).ok_or(rustix::io::Errno::SRCH)?;
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => {
            Ok(Started::new(pid.as_raw_nonzero().get().cast_unsigned(), name, pidfd, on_end))
        }
        Err(error) => {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            Err(error.into())
        }
    }
}

/// This process's descriptor of itself, by which its children learn of its end.
fn own_pidfd() -> io::Result<&'static OwnedFd> {
    static OWN: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(own) = OWN.get() {
        return Ok(own);
    }
    let own = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).map_err(|error| {
        let missing = "there is no `pidfd_open`: Linux 5.4 is needed, and some tools that run a program (old versions of Valgrind) do not offer it";
        if error == rustix::io::Errno::NOSYS {
            io::Error::new(io::ErrorKind::Unsupported, missing)
        } else {
            error.into()
        }
    })?;
    Ok(OWN.get_or_init(|| own))
}

/// What the child does with a function of these types.
struct Run<A, T>(PhantomData<fn(A) -> T>);

impl<F, A, T> Entry<F, Call> for Run<A, T>
where
    F: Fn(A) -> T,
    A: DeserializeOwned,
    T: Serialize,
{
    fn run(function: F, call: &mut Call) {
        let Packet { bytes, descriptors } = std::mem::take(&mut call.argument);
        let argument = match panics::catch(|| packet::decode::<A>(&bytes[call.at..], descriptors)) {
            Ok(Ok(argument)) => argument,
            Ok(Err(error)) => {
                return call.answer = report(&Report::Argument(error.reason().to_owned()));
            }
            Err(panic) => {
                fork::leave_if_fork(101);
                return call.answer = report(&Report::Panicked(panic));
            }
        };
        drop(bytes);
        // The result is encoded and dropped inside as well: both run code of the caller's.
        let answer =
            panics::catch(|| packet::encode(report(&Report::Returned).bytes, &function(argument)));
        // The answer is the original process's to give.
        fork::leave_if_fork(if answer.is_ok() { 0 } else { 101 });
        call.answer = match answer {
            Ok(Ok(packet)) => packet,
            Ok(Err(error)) => report(&Report::Result(error.reason().to_owned())),
            Err(panic) => report(&Report::Panicked(panic)),
        };
    }
}

/// A process that was started, and the result it will have.
///
/// Dropping it leaves the process running; it is reaped when it ends, so no zombie stays. As a
/// descriptor ([`AsFd`]) it is the process's pidfd: readable once the process has ended, so it can
/// be waited for together with others, by [`pipe::wait`](crate::ipc::pipe::wait) or by `poll`.
pub struct Child<T> {
    started: Arc<Started>,
    answer: Mutex<Answer>,
    result: PhantomData<fn() -> T>,
}

/// What is known of a child's answer.
enum Answer {
    /// It is or will be in this socket.
    Awaited(OwnedFd),
    /// The result, encoded from this position on.
    Returned(Packet, usize),
    Failed(JoinError),
}

impl<T: DeserializeOwned> Child<T> {
    /// Waits until the process has ended, and returns the function's result. May be called again,
    /// from any thread, with the same outcome.
    ///
    /// What the process wrote to its standard output is written when this returns.
    ///
    /// # Errors
    ///
    /// [`JoinError`]: it panicked, exited or was killed before the function returned, or the result
    /// could not travel.
    pub fn join(&self) -> Result<T, JoinError> {
        self.join_until(None)
    }

    /// Waits like [`join`](Self::join), but not longer than `timeout`; [`Duration::ZERO`] does not
    /// wait at all.
    ///
    /// # Errors
    ///
    /// [`JoinError::TimedOut`] if it still runs then (it goes on running); else as
    /// [`join`](Self::join).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use multiproc::JoinError;
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     multiproc::init();
    ///     let child = multiproc::spawn(|()| std::thread::sleep(Duration::from_secs(60)), ())?;
    ///     assert_eq!(child.join_timeout(Duration::ZERO), Err(JoinError::TimedOut));
    ///     child.kill()?;
    ///     assert_eq!(child.join(), Err(JoinError::Killed { signal: 9 }));
    ///     Ok(())
    /// }
    /// ```
    pub fn join_timeout(&self, timeout: Duration) -> Result<T, JoinError> {
        self.join_until(deadline_after(timeout))
    }

    fn join_until(&self, deadline: packet::Deadline) -> Result<T, JoinError> {
        if fork::is_fork() {
            return Err(JoinError::Forked);
        }
        let end = match self.started.wait(deadline) {
            Ok(Some(end)) => end,
            Ok(None) => return Err(JoinError::TimedOut),
            Err(error) => return Err(JoinError::Io(error.kind())),
        };
        let mut answer = lock(&self.answer);
        if let Answer::Awaited(socket) = &*answer {
            *answer = received(socket, end)?;
        }
        let (packet, at) = match &*answer {
            Answer::Awaited(_) => unreachable!("it was received just now"),
            Answer::Failed(error) => return Err(error.clone()),
            Answer::Returned(packet, at) => {
                let packet = packet.try_clone().map_err(limits::descriptors);
                (packet.map_err(|error| JoinError::Io(error.kind()))?, *at)
            }
        };
        // Decoding runs code of the caller's, which may join as well.
        drop(answer);
        packet::decode(&packet.bytes[at..], packet.descriptors).map_err(JoinError::Decode)
    }
}

/// The answer of a process that has ended: all it will ever send has been sent. An error where it
/// is still to be received.
fn received(socket: &OwnedFd, end: End) -> Result<Answer, JoinError> {
    let packet = match packet::receive(socket.as_fd(), deadline_after(Duration::ZERO)) {
        Ok(Some(packet)) => packet,
        Ok(None) => return Ok(Answer::Failed(JoinError::from(end))),
        Err(error) => match error.kind() {
            io::ErrorKind::TimedOut => return Ok(Answer::Failed(JoinError::from(end))),
            kind @ io::ErrorKind::QuotaExceeded => return Err(JoinError::Io(kind)),
            kind => return Ok(Answer::Failed(JoinError::Io(kind))),
        },
    };
    let total = packet.bytes.len();
    Ok(match codec::decode_header::<Report>(&packet.bytes) {
        Ok((Report::Returned, rest)) => {
            let at = total - rest.len();
            Answer::Returned(packet, at)
        }
        Ok((Report::Panicked(panic), _)) => Answer::Failed(panic.into()),
        Ok((Report::Argument(error) | Report::Setup(error), _)) => {
            Answer::Failed(JoinError::NotRun(error))
        }
        Ok((Report::Result(reason), _)) => {
            Answer::Failed(JoinError::Encode(EncodeError::new(reason)))
        }
        Err(error) => Answer::Failed(JoinError::Decode(error)),
    })
}

impl<T> Child<T> {
    /// Its process id. Once it has ended, the system may give the number to another process; no
    /// method here is misled by that.
    pub fn id(&self) -> u32 {
        self.started.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.started.name
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.started.end().is_none()
    }

    /// How it ended: 0 after the function returned, 101 after a panic, the number it gave to
    /// [`std::process::exit`], or a signal.
    ///
    /// `None` while it runs, and also if the status was lost because this program ignores `SIGCHLD`
    /// or waits for any child itself.
    ///
    /// ```
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     multiproc::init();
    ///     let child = multiproc::spawn(|code: i32| -> () { std::process::exit(code) }, 3)?;
    ///     assert_eq!(child.join(), Err(multiproc::JoinError::Exited { code: 3 }));
    ///     assert_eq!(child.exit_status().and_then(|status| status.code()), Some(3));
    ///     Ok(())
    /// }
    /// ```
    pub fn exit_status(&self) -> Option<ExitStatus> {
        match self.started.end()? {
            End::Status(status) => Some(status),
            End::Unknown => None,
        }
    }

    /// Asks it to end (`SIGTERM`). Does not wait; nothing happens if it has ended.
    ///
    /// # Errors
    ///
    /// If the system does not permit it: the process has become another user's.
    pub fn terminate(&self) -> io::Result<()> {
        self.started.signal(Signal::TERM)
    }

    /// Ends it (`SIGKILL`). Does not wait; nothing happens if it has ended.
    ///
    /// # Errors
    ///
    /// If the system does not permit it: the process has become another user's.
    pub fn kill(&self) -> io::Result<()> {
        self.started.signal(Signal::KILL)
    }
}

impl<T> AsFd for Child<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.started.as_fd()
    }
}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.started.id)
            .field("name", &self.started.name)
            .field("alive", &self.is_alive())
            .finish_non_exhaustive()
    }
}

/// A living process that this one started, whoever holds its [`Child`]; see [`active_children`].
#[derive(Clone)]
pub struct ActiveChild {
    started: Arc<Started>,
}

impl ActiveChild {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.started.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.started.name
    }

    /// Whether it has not ended since.
    pub fn is_alive(&self) -> bool {
        self.started.end().is_none()
    }

    /// Asks it to end (`SIGTERM`); as [`Child::terminate`].
    ///
    /// # Errors
    ///
    /// As [`Child::terminate`].
    pub fn terminate(&self) -> io::Result<()> {
        self.started.signal(Signal::TERM)
    }

    /// Ends it (`SIGKILL`); as [`Child::kill`].
    ///
    /// # Errors
    ///
    /// As [`Child::kill`].
    pub fn kill(&self) -> io::Result<()> {
        self.started.signal(Signal::KILL)
    }
}

impl AsFd for ActiveChild {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.started.as_fd()
    }
}

impl fmt::Debug for ActiveChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveChild").field("id", &self.id()).field("name", &self.name()).finish()
    }
}

/// The living processes that this one started, the oldest first: those of pools too, and those
/// whose [`Child`] was dropped.
///
/// ```
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     multiproc::init();
///     let child = multiproc::spawn(|()| -> () { loop { std::thread::park() } }, ())?;
///     assert_eq!(multiproc::active_children()[0].id(), child.id());
///     child.kill()?;
///     let _ = child.join();
///     assert!(multiproc::active_children().is_empty());
///     Ok(())
/// }
/// ```
pub fn active_children() -> Vec<ActiveChild> {
    reaper::living().into_iter().map(|started| ActiveChild { started }).collect()
}

/// What a process knows of itself; see [`current`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// `MainProcess`, or the name it was started under.
    pub name: String,
    /// Its process id.
    pub id: u32,
    /// The id of the process that started it; `None` in the main process, which this library did
    /// not start.
    pub parent_id: Option<u32>,
}

/// The process this is called in. A process that the program made by `fork` itself has the name of
/// the one it was forked from, and no `parent_id`.
///
/// ```
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     multiproc::init();
///     assert_eq!(multiproc::current().name, "MainProcess");
///     let child = multiproc::spawn(|()| multiproc::current().parent_id, ())?;
///     assert_eq!(child.join()?, Some(std::process::id()));
///     Ok(())
/// }
/// ```
pub fn current() -> Current {
    let identity = IDENTITY.get();
    let parent_id = identity.filter(|_| !fork::is_fork()).map(|identity| identity.parent_id);
    Current {
        name: identity.map_or_else(|| "MainProcess".to_owned(), |identity| identity.name.clone()),
        id: std::process::id(),
        parent_id,
    }
}

/// Why a process could not be started. None is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// The program has not called [`init`](crate::init()), so a child could not find out that it is
    /// one.
    NotInitialized,
    /// The argument cannot be encoded.
    Encode(EncodeError),
    /// The function is in a shared library, not in the program's executable, and its address there
    /// cannot be told to another process.
    NotInExecutable,
    /// This program, started again, would not get as far as the function; the reason. It runs
    /// set-user-ID, for example, or was started through the dynamic loader.
    CannotStartAgain(&'static str),
    /// This process is a fork of one that has used this library.
    Forked,
    /// The thread is ending: `main` has returned, or this is an exit handler.
    Exiting,
    /// The system refused.
    Io(io::Error),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInitialized => f.write_str(
                "no process can be started before `multiproc::init()`: make it the first statement of `main` \
                 (in tests: `multiproc::init_tests!();` at the top of the file)",
            ),
            Self::Encode(error) => write!(f, "the argument cannot be encoded: {}", error.reason()),
            Self::NotInExecutable => f.write_str("the function is not in the program's executable"),
            Self::CannotStartAgain(reason) => write!(f, "this program cannot be started again: {reason}"),
            Self::Forked => write!(f, "the process cannot be started: {}", fork::EXPLANATION),
            Self::Exiting => write!(f, "the process cannot be started: {}", sync::ENDING),
            Self::Io(error) => write!(f, "the process cannot be started: {error}"),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for SpawnError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a process has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// It has not ended within the time given. It goes on running.
    TimedOut,
    /// The function panicked.
    Panicked {
        /// What the panic said.
        message: String,
        /// `file:line:column`.
        location: String,
    },
    /// The process exited before the function returned ([`std::process::exit`]).
    Exited {
        /// The exit code, 0 to 255.
        code: i32,
    },
    /// A signal killed it before the function returned.
    Killed {
        /// The signal's number: 9 is `SIGKILL`, 15 is `SIGTERM`, 11 is `SIGSEGV`.
        signal: i32,
    },
    /// The function did not run: the argument could not be decoded, or the process could not set
    /// itself up; the reason.
    NotRun(String),
    /// The result cannot be encoded, or the system did not let the process send it.
    Encode(EncodeError),
    /// The result cannot be decoded: its bytes are in the error.
    Decode(DecodeError),
    /// It ended without a result, and its exit status was taken by somebody else: this program
    /// ignores `SIGCHLD` or waits for any child.
    StatusLost,
    /// This process is a fork of the one that started it.
    Forked,
    /// The system refused to wait or to receive. [`QuotaExceeded`](io::ErrorKind::QuotaExceeded):
    /// too many files are open to receive a result that has descriptors in it or is larger than 32
    /// KiB. It is not lost: join again when some have been closed.
    Io(io::ErrorKind),
}

impl From<Panic> for JoinError {
    fn from(Panic { message, location }: Panic) -> Self {
        Self::Panicked { message, location }
    }
}

impl From<End> for JoinError {
    fn from(end: End) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match end {
            End::Unknown => Self::StatusLost,
            End::Status(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Self::Exited { code },
                (None, signal) => Self::Killed { signal: signal.unwrap_or(0) },
            },
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the process has not ended yet"),
            Self::Panicked { message, location } => {
                write!(f, "the process panicked at {location}: {message}")
            }
            Self::Exited { code } => {
                write!(f, "the process exited with code {code} before its function returned")
            }
            Self::Killed { signal } => write!(f, "the process was killed by signal {signal}"),
            Self::NotRun(reason) => write!(f, "the process could not run its function: {reason}"),
            Self::Encode(error) => {
                write!(f, "the process's result cannot be encoded: {}", error.reason())
            }
            Self::Decode(error) => {
                write!(f, "the process's result cannot be decoded: {}", error.reason())
            }
            Self::StatusLost => {
                f.write_str("the process ended, and somebody else took its exit status")
            }
            Self::Forked => f.write_str(fork::EXPLANATION),
            Self::Io(io::ErrorKind::QuotaExceeded) => f.write_str(
                "the process's result cannot be received: too many open files; join again when \
                 some have been closed",
            ),
            Self::Io(kind) => write!(f, "the process's result cannot be received: {kind}"),
        }
    }
}

impl std::error::Error for JoinError {}
