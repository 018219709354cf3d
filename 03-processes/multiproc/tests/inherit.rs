//! What a child inherits from the thread that starts it, and what of signals it does not; and which
//! signals the library's threads take.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use harness::{helper, is_gone, wait_until};
use multiproc::{Builder, Descriptor, JoinError, Pool, Queue, pipe, spawn};
use nix::libc;
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

harness::tests!([
    threads_of_the_library_block_all_signals,
    an_iterators_own_programs_have_no_signal_blocked,
    a_program_that_waits_for_signals_gets_them_all,
    children_start_with_no_signal_blocked_or_ignored,
    a_child_of_a_program_that_ignores_sigterm_can_be_terminated,
    what_the_program_was_started_to_ignore_is_ignored,
    a_process_group_of_its_own_keeps_the_terminals_signals_away,
    processors_and_priority_are_the_callers,
    directory_umask_limits_and_environment_are_those_of_now,
    no_new_privileges_is_the_callers,
    a_seccomp_filter_is_the_callers,
    a_landlock_sandbox_is_the_callers,
    dropped_capabilities_stay_dropped,
    a_program_that_gave_up_root_starts_children_without_it,
    a_directory_of_the_calling_thread_alone_is_the_childs,
    a_stopped_child_of_a_thread_that_has_ended_dies_with_the_process,
] helpers [
    wait_for_signals,
    ignore_and_block_everything,
    terminate_one,
    print_ignored,
    start_in_two_groups,
    set_no_new_privileges,
    install_a_filter,
    enter_a_landlock,
    drop_a_capability,
    give_up_root,
    start_on_a_thread_and_wait,
]);

fn sleep_for_ever(_: ()) {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

/// The numbers in the signal sets of a thread, by their names in `/proc`. `None` if the thread has
/// ended; the kernel prints empty sets for one that is ending.
fn signal_sets_if_alive(thread: &str) -> Option<BTreeMap<String, u64>> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let mut sets = status.lines().filter_map(|line| line.split_once(":\t"));
    let (_, state) = sets.by_ref().find(|(name, _)| *name == "State")?;
    if state.starts_with(['X', 'Z']) {
        return None;
    }
    // The C library keeps the first real-time signals for itself.
    let internal: u64 = (32..libc::SIGRTMIN()).map(bit).sum();
    let sets = sets.filter(|(name, _)| name.starts_with("Sig") || name.starts_with("Cap"));
    let sets = sets.filter_map(|(name, set)| {
        let numbers = u64::from_str_radix(set, 16).ok()?;
        let mask = if name.starts_with("Sig") { !internal } else { u64::MAX };
        Some((name.to_owned(), numbers & mask))
    });
    Some(sets.collect())
}

fn signal_sets(thread: &str) -> BTreeMap<String, u64> {
    signal_sets_if_alive(thread).unwrap_or_else(|| panic!("{thread} has ended"))
}

/// Whether a thread of this process would be given a signal. A thread that has ended would not.
fn takes_signals(id: &str) -> bool {
    signal_sets_if_alive(&format!("self/task/{id}"))
        .is_some_and(|sets| sets["SigBlk"] & all_signals() != all_signals())
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// All signals that can be blocked.
fn all_signals() -> u64 {
    (1..=31).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).map(bit).sum::<u64>()
        & !bit(libc::SIGKILL)
        & !bit(libc::SIGSTOP)
}

/// The names of this process's threads that do not block all signals, without the first thread and
/// the watchdog of the tests.
fn threads_that_take_signals() -> (Vec<String>, Vec<String>) {
    let (mut names, mut takers) = (Vec::new(), Vec::new());
    for thread in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let id = thread.file_name().into_string().unwrap();
        let Ok(name) = fs::read_to_string(thread.path().join("comm")) else { continue };
        let name = name.trim().to_owned();
        if ["child-watch", "parent-watch", "pool"].contains(&name.as_str()) {
            if takes_signals(&id) {
                takers.push(name.clone());
            }
            names.push(name);
        }
    }
    names.sort();
    names.dedup();
    (names, takers)
}

fn threads_of_the_library_block_all_signals() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let before = signal_sets("thread-self")["SigBlk"];
    // A thread gives itself its name, a moment after it has begun.
    let all_are_named = || threads_that_take_signals().0 == ["child-watch", "pool"];
    assert!(
        wait_until(Duration::from_secs(20), all_are_named),
        "{:?}",
        threads_that_take_signals()
    );
    let (_, takers) = threads_that_take_signals();
    assert!(takers.is_empty(), "{takers:?}");
    assert_eq!(signal_sets("thread-self")["SigBlk"], before, "the caller's mask is as it was");
    let in_child = |()| {
        wait_until(Duration::from_secs(20), || !threads_that_take_signals().0.is_empty());
        threads_that_take_signals()
    };
    let in_worker = pool.apply(in_child, ()).unwrap();
    let in_child = spawn(in_child, ()).unwrap().join().unwrap();
    assert_eq!(in_child, (vec!["parent-watch".to_owned()], Vec::new()));
    assert_eq!(in_worker, in_child);
}

/// The caller's code runs on a thread of the pool there, and starts programs as it would elsewhere.
fn an_iterators_own_programs_have_no_signal_blocked() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let blocked = (0..3).map(|_| {
        let output = Command::new("grep").args(["SigBlk", "/proc/self/status"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    });
    for line in pool.imap(|line: String| line, blocked) {
        assert_eq!(line.unwrap(), "SigBlk:\t0000000000000000\n");
    }
}

fn a_program_that_waits_for_signals_gets_them_all() {
    let output = helper("wait_for_signals").stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{}", output.status);
}

fn wait_for_signals() {
    // First the library's threads, and then the signals: a thread started later would have them
    // blocked anyway.
    let pool = Pool::builder().workers(2).build().unwrap();
    let queue = Queue::<u32>::unbounded().unwrap();
    let child = spawn(|queue: Queue<u32>| queue.get().unwrap(), queue.clone()).unwrap();
    assert_eq!(pool.apply(|n: u32| n, 1), Ok(1));
    let mut set = SigSet::empty();
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGCHLD, Signal::SIGHUP]
        .into_iter()
        .for_each(|signal| set.add(signal));
    set.thread_block().unwrap();
    for round in 0..200 {
        for wanted in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGHUP] {
            signal::kill(Pid::this(), wanted).unwrap();
            assert_eq!(set.wait().unwrap(), wanted, "in round {round}");
        }
        if round % 50 == 0 {
            assert_eq!(pool.apply(|n: u32| n, round), Ok(round));
        }
    }
    queue.put(&1).unwrap();
    child.join().unwrap();
    assert_eq!(set.wait().unwrap(), Signal::SIGCHLD);
    drop(pool);
}

/// The signals that a child blocks, ignores and handles; and those of a child of its own.
fn sets_of_child_and_grandchild(depth: u32) -> Vec<BTreeMap<String, u64>> {
    let mut sets = vec![signal_sets("self")];
    if depth > 0 {
        sets.extend(spawn(sets_of_child_and_grandchild, depth - 1).unwrap().join().unwrap());
    }
    sets
}

fn children_start_with_no_signal_blocked_or_ignored() {
    let output = helper("ignore_and_block_everything").stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{}", output.status);
}

fn ignore_and_block_everything() {
    for number in (1..=31).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()) {
        // SIGCHLD too would lose the exit statuses.
        if ![libc::SIGKILL, libc::SIGSTOP, libc::SIGCHLD].contains(&number) {
            // SAFETY: ignoring a signal has no precondition.
            unsafe { libc::signal(number, libc::SIG_IGN) };
        }
    }
    SigSet::all().thread_block().unwrap();
    let mut all = spawn(sets_of_child_and_grandchild, 1).unwrap().join().unwrap();
    let pool = Pool::builder().workers(1).build().unwrap();
    all.extend(pool.apply(sets_of_child_and_grandchild, 1).unwrap());
    assert_eq!(all.len(), 4);
    for sets in all {
        assert_eq!(sets["SigBlk"], 0, "{sets:x?}");
        assert_eq!(sets["SigIgn"], bit(libc::SIGPIPE), "{sets:x?}");
    }
}

fn a_child_of_a_program_that_ignores_sigterm_can_be_terminated() {
    // Ignored by the program itself, and by whoever started it.
    for trap in ["", "trap '' TERM; "] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{trap}exec /proc/{}/exe", std::process::id())]);
        let status = shell.env(harness::HELPER, "terminate_one").status().unwrap();
        assert!(status.success(), "{trap}: {status}");
    }
}

fn terminate_one() {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: ignoring a signal has no precondition.
    unsafe { signal::sigaction(Signal::SIGTERM, &ignore) }.unwrap();
    SigSet::from(Signal::SIGTERM).thread_block().unwrap();
    for _ in 0..20 {
        // At once: the child has not come as far as `init`.
        let child = spawn(sleep_for_ever, ()).unwrap();
        child.terminate().unwrap();
        assert_eq!(
            child.join_timeout(Duration::from_secs(20)),
            Err(JoinError::Killed { signal: 15 })
        );
    }
}

fn what_the_program_was_started_to_ignore_is_ignored() {
    for (trap, expected) in [
        ("trap '' HUP; ", bit(libc::SIGHUP)),
        ("trap '' INT QUIT TERM USR1; ", bit(libc::SIGINT) | bit(libc::SIGQUIT)),
        ("", 0),
    ] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{trap}exec /proc/{}/exe", std::process::id())]);
        let output = shell.env(harness::HELPER, "print_ignored").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // The tests themselves may have been started by `nohup`.
        let mut inherited = signal_sets("self")["SigIgn"];
        inherited &= bit(libc::SIGHUP) | bit(libc::SIGINT) | bit(libc::SIGQUIT);
        let expected = expected | inherited | bit(libc::SIGPIPE);
        assert_eq!(text, format!("{expected:x} {expected:x}\n"), "{trap}");
    }
}

fn print_ignored() {
    let all = spawn(sets_of_child_and_grandchild, 1).unwrap().join().unwrap();
    println!("{:x} {:x}", all[0]["SigIgn"], all[1]["SigIgn"]);
}

fn a_process_group_of_its_own_keeps_the_terminals_signals_away() {
    let mut program = helper("start_in_two_groups");
    // A group as a shell makes one: what a terminal does at Ctrl-C is to signal it.
    let program = program.process_group(0).stdout(Stdio::piped()).spawn().unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "Killed { signal: 2 }\nalive\n");
}

fn start_in_two_groups() {
    extern "C" fn handle(_: i32) {}
    let action = SigAction::new(SigHandler::Handler(handle), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { signal::sigaction(Signal::SIGINT, &action) }.unwrap();
    let own = Builder::new(sleep_for_ever).own_process_group().spawn(()).unwrap();
    let same = spawn(sleep_for_ever, ()).unwrap();
    signal::killpg(nix::unistd::getpgrp(), Signal::SIGINT).unwrap();
    println!("{:?}", same.join().unwrap_err());
    println!("{}", if own.is_alive() { "alive" } else { "ended" });
    own.kill().unwrap();
    own.join().unwrap_err();
}

/// The processors this thread may run on.
fn processors(_: ()) -> Vec<usize> {
    // SAFETY: a set of zeros is an empty set, and the call writes no more than its size.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    // SAFETY: reads the set.
    (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

fn run_on(cpus: &[usize]) {
    // SAFETY: a set of zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the numbers come from a set.
    cpus.iter().for_each(|cpu| unsafe { libc::CPU_SET(*cpu, &mut set) });
    // SAFETY: reads the set.
    assert_eq!(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) }, 0);
}

fn priority(_: ()) -> i32 {
    // SAFETY: has no precondition.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

fn processors_and_priority_are_the_callers() {
    let all = processors(());
    assert_eq!(spawn(processors, ()).unwrap().join().unwrap(), all, "the first one");
    for cpu in all.iter().copied() {
        run_on(&[cpu]);
        assert_eq!(spawn(processors, ()).unwrap().join().unwrap(), [cpu]);
        let pool = Pool::builder().workers(1).build().unwrap();
        assert_eq!(pool.apply(processors, ()).unwrap(), [cpu]);
    }
    run_on(&all);
    assert_eq!(spawn(processors, ()).unwrap().join().unwrap(), all);
    // Those of the calling thread, not of the first one.
    let last = *all.last().unwrap();
    let of_thread = thread::spawn(move || {
        run_on(&[last]);
        // SAFETY: has no precondition. On Linux it is the thread's.
        assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 7) }, 0);
        let child = |()| (processors(()), priority(()));
        spawn(child, ()).unwrap().join().unwrap()
    });
    assert_eq!(of_thread.join().unwrap(), (vec![last], 7.max(priority(()))));
    assert_eq!(spawn(processors, ()).unwrap().join().unwrap(), all);
    assert_eq!(spawn(priority, ()).unwrap().join().unwrap(), priority(()));
}

fn directory_umask_limits_and_environment_are_those_of_now() {
    fn see(_: ()) -> (PathBuf, u32, Option<u64>, Option<String>) {
        let mask = rustix::process::umask(rustix::fs::Mode::empty());
        let limit = getrlimit(Resource::Nofile).current;
        (std::env::current_dir().unwrap(), mask.as_raw_mode(), limit, std::env::var("SEEN").ok())
    }
    let before = spawn(see, ()).unwrap().join().unwrap();
    let (directory, limit) = (std::env::current_dir().unwrap(), getrlimit(Resource::Nofile));
    assert_eq!((&before.0, before.3), (&directory, None));
    std::env::set_current_dir("/").unwrap();
    let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), ..limit }).unwrap();
    // SAFETY: no other thread reads or changes the environment now.
    unsafe { std::env::set_var("SEEN", "yes") };
    let after = spawn(see, ()).unwrap().join().unwrap();
    assert_eq!(after, ("/".into(), 0o027, Some(200), Some("yes".to_owned())));
    std::env::set_current_dir(directory).unwrap();
    rustix::process::umask(mask);
    setrlimit(Resource::Nofile, limit).unwrap();
    // SAFETY: as above.
    unsafe { std::env::remove_var("SEEN") };
}

/// Runs a helper that sets something for good.
fn run_helper(name: &str) {
    let output = helper(name).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{name}: {}", output.status);
    print!("{}", String::from_utf8(output.stdout).unwrap());
}

fn no_new_privileges(_: ()) -> bool {
    rustix::thread::no_new_privs().unwrap()
}

fn no_new_privileges_is_the_callers() {
    run_helper("set_no_new_privileges");
}

fn set_no_new_privileges() {
    assert_eq!(spawn(no_new_privileges, ()).unwrap().join(), Ok(false), "the first one");
    let of_thread = thread::spawn(|| {
        rustix::thread::set_no_new_privs(true).unwrap();
        let pool = Pool::builder().workers(1).build().unwrap();
        (spawn(no_new_privileges, ()).unwrap().join(), pool)
    });
    let (child, pool) = of_thread.join().unwrap();
    assert_eq!(child, Ok(true));
    // Also a worker that takes another one's place, when the thread has long ended.
    for _ in 0..3 {
        let worker = pool.worker_ids()[0];
        assert_eq!(pool.apply(no_new_privileges, ()), Ok(true));
        signal::kill(Pid::from_raw(worker.cast_signed()), Signal::SIGKILL).unwrap();
        let is_replaced = || pool.worker_ids().first().is_some_and(|other| *other != worker);
        assert!(wait_until(Duration::from_secs(20), is_replaced));
    }
    pool.join();
    assert_eq!(spawn(no_new_privileges, ()).unwrap().join(), Ok(false), "the first thread's");
    rustix::thread::set_no_new_privs(true).unwrap();
    assert_eq!(spawn(no_new_privileges, ()).unwrap().join(), Ok(true));
    let pool = Pool::builder().workers(2).build().unwrap();
    assert_eq!(pool.map(no_new_privileges, [(), ()]).unwrap(), [true, true]);
}

/// The error of making a directory.
fn make_a_directory(_: ()) -> Option<i32> {
    let place = std::env::temp_dir().join(format!("made-by-{}", std::process::id()));
    let made = fs::create_dir(&place);
    let _ = fs::remove_dir(&place);
    made.err().and_then(|error| error.raw_os_error())
}

fn a_seccomp_filter_is_the_callers() {
    run_helper("install_a_filter");
}

fn install_a_filter() {
    assert_eq!(spawn(make_a_directory, ()).unwrap().join(), Ok(None), "the first one");
    rustix::thread::set_no_new_privs(true).unwrap();
    const EXPECTED: i32 = libc::EXDEV;
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut calls = vec![libc::SYS_mkdirat];
    #[cfg(target_arch = "x86_64")]
    calls.push(libc::SYS_mkdir);
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)];
    for call in calls {
        program.push(libc::sock_filter {
            jf: 1,
            ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32)
        });
        program.push(statement(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_ERRNO | EXPECTED as u32,
        ));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the filter and its program live during the call.
    let installed =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    if installed != 0 {
        return println!(
            "SKIPPED: seccomp filters cannot be installed here: {}",
            std::io::Error::last_os_error()
        );
    }
    assert_eq!(make_a_directory(()), Some(EXPECTED), "the filter is at work");
    assert_eq!(spawn(make_a_directory, ()).unwrap().join(), Ok(Some(EXPECTED)));
    let pool = Pool::builder().workers(1).build().unwrap();
    assert_eq!(pool.apply(make_a_directory, ()), Ok(Some(EXPECTED)));
}

fn a_landlock_sandbox_is_the_callers() {
    run_helper("enter_a_landlock");
}

fn enter_a_landlock() {
    assert_eq!(spawn(make_a_directory, ()).unwrap().join(), Ok(None), "the first one");
    // SAFETY: only asks for the version.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0usize, 0usize, 1u32) };
    if version < 1 {
        return println!(
            "SKIPPED: this kernel has no Landlock: {}",
            std::io::Error::last_os_error()
        );
    }
    rustix::thread::set_no_new_privs(true).unwrap();
    let handled: u64 = 1 << 7; // making directories
    // SAFETY: the attribute is a `u64` that lives during the call.
    let rules = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, 8usize, 0u32)
    };
    assert!(rules >= 0);
    // SAFETY: the descriptor is the one made just above.
    assert_eq!(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules, 0u32) }, 0);
    assert_eq!(make_a_directory(()), Some(libc::EACCES), "the sandbox is at work");
    assert_eq!(spawn(make_a_directory, ()).unwrap().join(), Ok(Some(libc::EACCES)));
    let pool = Pool::builder().workers(1).build().unwrap();
    assert_eq!(pool.apply(make_a_directory, ()), Ok(Some(libc::EACCES)));
}

fn dropped_capabilities_stay_dropped() {
    run_helper("drop_a_capability");
}

fn drop_a_capability() {
    const CAP_SYS_TIME: i32 = 25;
    let bounding = |()| signal_sets("self")["CapBnd"];
    let before = spawn(bounding, ()).unwrap().join().unwrap();
    // SAFETY: has no precondition.
    if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0) } != 0 {
        return println!("SKIPPED: only root can drop capabilities from its bounding set");
    }
    let after = before & !(1 << CAP_SYS_TIME);
    assert_eq!(spawn(bounding, ()).unwrap().join(), Ok(after));
}

fn a_program_that_gave_up_root_starts_children_without_it() {
    run_helper("give_up_root");
}

fn give_up_root() {
    use rustix::process::{getegid, geteuid, getgid, getuid};
    const NOBODY: u32 = 65_534;
    if !geteuid().is_root() {
        return println!("SKIPPED: only root can become another user");
    }
    fn ids(_: ()) -> [u32; 4] {
        [getuid().as_raw(), geteuid().as_raw(), getgid().as_raw(), getegid().as_raw()]
    }
    let pool = Pool::builder().workers(1).build().unwrap();
    assert_eq!(spawn(ids, ()).unwrap().join(), Ok([0; 4]));
    // SAFETY: has no precondition. The C library changes the ids of all threads.
    assert_eq!(unsafe { (libc::setgid(NOBODY), libc::setuid(NOBODY)) }, (0, 0));
    assert_eq!(spawn(ids, ()).unwrap().join(), Ok([NOBODY; 4]));
    let without = Pool::builder().workers(1).build().unwrap();
    assert_eq!(without.apply(ids, ()), Ok([NOBODY; 4]));
    // What was started before is root's, and cannot be killed any more: it ends with its ring of
    // tasks.
    assert_eq!(pool.apply(ids, ()), Ok([0; 4]));
    pool.join();
    let queue = Queue::unbounded().unwrap();
    let child = spawn(|queue: Queue<u32>| queue.put(&7).unwrap(), queue.clone()).unwrap();
    child.join().unwrap();
    assert_eq!(queue.get().unwrap(), 7);
}

fn a_directory_of_the_calling_thread_alone_is_the_childs() {
    let directory = |()| std::env::current_dir().unwrap();
    spawn(directory, ()).unwrap().join().unwrap();
    let of_thread = thread::spawn(move || {
        // SAFETY: from here on this thread has a working directory of its own; it uses no relative
        // path of the others.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_FS) }, 0);
        std::env::set_current_dir("/").unwrap();
        spawn(directory, ()).unwrap().join().unwrap()
    });
    assert_eq!(of_thread.join().unwrap(), PathBuf::from("/"));
    let own = std::env::current_dir().unwrap();
    assert_eq!(spawn(directory, ()).unwrap().join().unwrap(), own);
}

fn a_stopped_child_of_a_thread_that_has_ended_dies_with_the_process() {
    let (told, tell) = std::io::pipe().unwrap();
    let mut program = helper("start_on_a_thread_and_wait").stdout(tell).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(told), &mut line).unwrap();
    let child: u32 = line.trim().parse().unwrap();
    thread::sleep(Duration::from_millis(100));
    assert!(!is_gone(child), "its thread has ended, and it lives");
    signal::kill(Pid::from_raw(child.cast_signed()), Signal::SIGSTOP).unwrap();
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(wait_until(Duration::from_secs(10), || is_gone(child)));
}

fn start_on_a_thread_and_wait() {
    let (ready, end) = pipe::simplex::<u32>().unwrap();
    let start = |ready| {
        let child = |ready: Descriptor| {
            drop(ready); // it has come as far as its function
            sleep_for_ever(());
        };
        spawn(child, Descriptor::new(ready)).unwrap()
    };
    let ready = std::os::fd::AsFd::as_fd(&ready)
        .try_clone_to_owned()
        .map(|fd| (fd, drop(ready)))
        .unwrap()
        .0;
    let child = thread::spawn(move || start(ready)).join().unwrap();
    assert!(end.recv().is_err());
    println!("{}", child.id());
    sleep_for_ever(());
}
