//! Starting a process: its function and argument, and its options.

use std::io;
use std::os::fd::AsFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ipc::packet;
use crate::ipc::passing;
use crate::ipc::socket;
use crate::process::call::Run;
use crate::process::child::Child;
use crate::process::error::SpawnError;
use crate::process::identity;
use crate::process::messages::{self, Start};
use crate::process::reaper;
use crate::process::remote::Remote;
use crate::process::starter::{self, Plan};
use crate::shm::arena;
use crate::sys::fork;
use crate::sys::sync;

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
///     let builder = multiproc::Builder::new(|()| multiproc::current().name);
///     let child = builder.name("reader").spawn(())?;
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
        if sync::is_thread_ending() || passing::check_thread().is_err() {
            return Err(SpawnError::Exiting);
        }
        let entry =
            Remote::new::<F, Run<A, T>>(self.function).map_err(|_| SpawnError::NotInExecutable)?;
        if !identity::is_initialized() {
            return Err(SpawnError::NotInitialized);
        }
        starter::can_start_again().map_err(SpawnError::CannotStartAgain)?;
        fork::begin_use()?;
        let lineage = identity::next_lineage();
        let name = self.name.unwrap_or_else(|| format!("Process-{lineage}"));
        let start = Start {
            name: name.clone(),
            lineage,
            parent_id: std::process::id(),
            inherit_stdin: self.inherit_stdin,
            entry,
        };
        let mut packet = packet::encode(messages::start_packet(&start), &argument)
            .map_err(SpawnError::Encode)?;
        // This process's copies of what traveled are closed before the child runs.
        drop(argument);

        let mut ours_to_give =
            vec![starter::own_pidfd()?.try_clone()?, arena::descriptor()?.try_clone_to_owned()?];
        if self.inherit_stdin {
            ours_to_give.push(rustix::stdio::stdin().try_clone_to_owned()?);
        }
        packet.descriptors.splice(0..0, ours_to_give);

        let (ours, theirs) = socket::pair()?;
        let mark = messages::mark_for(theirs.as_fd())
            .ok_or_else(|| io::Error::other("a socket without an inode"))?;
        // Into the socket's buffer: the child finds it there.
        socket::send(ours.as_fd(), &packet, None)?;
        drop(packet);
        let own_process_group = self.own_process_group;
        let plan = Plan { socket: theirs, mark, name, own_process_group, on_end };
        Ok(Child::new(reaper::start(move || starter::start(plan))?, ours))
    }
}
