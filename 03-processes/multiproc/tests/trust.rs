//! Whom a child trusts, and which programs can start children: other builds, other copies of the
//! library, other users, gained rights, the dynamic loader, the end of the program.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::Duration;

use harness::helper;
use multiproc::{Pool, Queue, SpawnError, active_children, pipe, spawn};
use nix::libc;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

const TESTS: &[harness::Named] = &[
    ("what_a_parent_sends_is_run_by_its_child", what_a_parent_sends_is_run_by_its_child),
    ("an_orphan_ends_without_a_word", an_orphan_ends_without_a_word),
    ("another_build_refuses", another_build_refuses),
    ("a_refusal_that_cannot_be_printed_is_the_same", a_refusal_that_cannot_be_printed_is_the_same),
    ("a_socket_that_is_not_the_parents_is_refused", a_socket_that_is_not_the_parents_is_refused),
    ("another_users_socket_is_refused", another_users_socket_is_refused),
    (
        "a_program_that_gains_rights_runs_nobodys_choice",
        a_program_that_gains_rights_runs_nobodys_choice,
    ),
    (
        "a_program_that_has_gained_rights_starts_nothing",
        a_program_that_has_gained_rights_starts_nothing,
    ),
    ("a_process_of_two_user_ids_starts_nothing", a_process_of_two_user_ids_starts_nothing),
    (
        "an_executable_replaced_on_disk_still_starts_itself",
        an_executable_replaced_on_disk_still_starts_itself,
    ),
    ("a_program_run_by_the_loader_starts_nothing", a_program_run_by_the_loader_starts_nothing),
    ("an_exit_handler_gets_errors", an_exit_handler_gets_errors),
    (
        "a_value_dropped_at_its_threads_end_gets_errors",
        a_value_dropped_at_its_threads_end_gets_errors,
    ),
    ("a_function_in_a_shared_library_is_refused", a_function_in_a_shared_library_is_refused),
    (
        "two_copies_of_the_library_keep_to_their_own_children",
        two_copies_of_the_library_keep_to_their_own_children,
    ),
];

const HELPERS: &[harness::Named] = &[
    ("attack", attack),
    ("attack_as_nobody", attack_as_nobody),
    ("leave_at_once", leave_at_once),
    ("start_plainly", start_plainly),
    ("start_with_two_ids", start_with_two_ids),
    ("replace_executable", replace_executable),
    ("start_at_exit", start_at_exit),
    ("use_and_start_at_exit", use_and_start_at_exit),
    ("start_in_a_library", start_in_a_library),
    ("start_beside_a_library", start_beside_a_library),
];

const MARK: &str = "MULTIPROC_BOOTSTRAP";
/// The program that a child is to pass its packet on to, instead of being a child; and how it is to
/// forge it.
const VICTIM: &str = "MULTIPROC_TEST_VICTIM";
const FORGERY: &str = "MULTIPROC_TEST_FORGERY";
/// A library whose copy of `multiproc` begins before this program's.
const LIBRARY: &str = "MULTIPROC_TEST_LIBRARY";

const NOBODY: u32 = 65_534;
const REFUSED: i32 = 102;

fn main() -> ExitCode {
    if let Some(victim) = std::env::var_os(VICTIM) {
        if std::env::var_os(MARK).is_some() {
            pass_on(Path::new(&victim));
        }
    } else if std::env::var_os(LIBRARY).is_some() && std::env::var_os(MARK).is_some() {
        call_library("begin");
    }
    multiproc::init();
    harness::run(TESTS, HELPERS)
}

// What an attacker does.

fn print_ids(_: ()) {
    println!(
        "ran as {} {}",
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw()
    );
}

/// Starts a child that passes on what it receives.
fn attack() {
    let _ = spawn(print_ids, ()).unwrap().join();
}

/// The same as another user.
fn attack_as_nobody() {
    rustix::thread::set_thread_groups(&[]).unwrap();
    rustix::thread::set_thread_res_gid(
        rustix::process::Gid::from_raw(NOBODY),
        rustix::process::Gid::from_raw(NOBODY),
        rustix::process::Gid::from_raw(NOBODY),
    )
    .unwrap();
    attack();
}

/// In a child, before it is one: gives its packet to the victim, as if this process were the
/// victim's parent, and prints how that ended.
fn pass_on(victim: &Path) -> ! {
    let forgery = std::env::var(FORGERY).unwrap_or_default();
    let (mut bytes, descriptors) = receive(std::io::stdin().as_fd());
    let mark = std::env::var(MARK).unwrap();
    let mut identity = mark.splitn(3, ':').nth(2).unwrap().to_owned();
    if forgery == "mark" {
        identity.replace_range(..1, if identity.starts_with('0') { "1" } else { "0" });
    }
    if forgery == "packet" {
        // Behind the length of the whole, and of the text.
        let at = bytes.windows(identity.len()).position(|bytes| bytes == identity.as_bytes());
        let first = &mut bytes[at.expect("the identity is in the packet")];
        *first = if *first == b'0' { b'1' } else { b'0' };
    }
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    send(ours.as_fd(), &bytes, &descriptors);
    let stat = rustix::fs::fstat(&theirs).unwrap();
    let mut command = Command::new(victim);
    if forgery == "grandparent" {
        command = Command::new("sh");
        command.args(["-c", "\"$0\"; exit $?"]).arg(victim);
    }
    if forgery == "uid" {
        command.uid(NOBODY);
    }
    command.env(MARK, format!("{}:{}:{identity}", stat.st_dev, stat.st_ino)).env_remove(VICTIM);
    let status = command.stdin(theirs).status().unwrap();
    println!("ended with {:?}", status.code());
    let mut answer = [0; 1000];
    let mut space = [MaybeUninit::uninit(); 100];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(&ours, &mut [IoSliceMut::new(&mut answer)], &mut control, RecvFlags::DONTWAIT);
    let answer = &answer[..received.map_or(0, |message| message.bytes)];
    println!("answered {:?}", String::from_utf8_lossy(answer));
    std::process::exit(0);
}

fn receive(socket: std::os::fd::BorrowedFd<'_>) -> (Vec<u8>, Vec<OwnedFd>) {
    let mut bytes = vec![0; 100_000];
    let mut space = [MaybeUninit::uninit(); 2000];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC);
    bytes.truncate(message.unwrap().bytes);
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    (bytes, descriptors)
}

fn send(socket: std::os::fd::BorrowedFd<'_>, bytes: &[u8], descriptors: &[OwnedFd]) {
    let rights: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); 2000];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&rights)));
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
}

/// A directory that every user can reach, with copies of this program in it; removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("multiproc-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Place(path)
    }

    /// A copy of this program with these permissions.
    fn copy(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::copy("/proc/self/exe", &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The attack on a victim; what it prints, and what is printed on standard error.
fn attacked(attacker: &mut Command, victim: &Path, forgery: &str) -> (String, String) {
    let output = attacker.env(VICTIM, victim).env(FORGERY, forgery).output().unwrap();
    texts(output)
}

fn texts(output: Output) -> (String, String) {
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn assert_refused((printed, complaint): &(String, String), reason: &str) {
    assert!(printed.contains(&format!("ended with Some({REFUSED})")), "{printed}{complaint}");
    assert!(!printed.contains("ran as"), "{printed}{complaint}");
    assert!(format!("{printed}{complaint}").contains(reason), "{printed}{complaint}");
}

fn is_root(what: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("SKIPPED: only root can {what}");
    }
    is_root
}

/// The forger's work is right: nothing forged, and the function runs.
fn what_a_parent_sends_is_run_by_its_child() {
    let place = Place::new("plain");
    let (printed, complaint) = attacked(&mut helper("attack"), &place.copy("copy", 0o755), "");
    assert!(
        printed.contains("ran as") && printed.contains("ended with Some(0)"),
        "{printed}{complaint}"
    );
}

/// Its parent has ended before it could look: that is not an attack.
fn an_orphan_ends_without_a_word() {
    for _ in 0..10 {
        // All that have the pipes open have ended when this returns.
        let (printed, complaint) = texts(helper("leave_at_once").output().unwrap());
        assert_eq!((printed.as_str(), complaint.as_str()), ("", ""));
    }
}

fn sleep_for_ever(_: ()) {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn leave_at_once() {
    for _ in 0..3 {
        drop(spawn(sleep_for_ever, ()).unwrap());
    }
    std::process::exit(0);
}

fn another_build_refuses() {
    let place = Place::new("build");
    let victim = place.copy("copy", 0o755);
    for forgery in ["mark", "packet"] {
        let outcome = attacked(&mut helper("attack"), &victim, forgery);
        assert_refused(&outcome, "another build of the program than its parent");
    }
}

fn a_socket_that_is_not_the_parents_is_refused() {
    let place = Place::new("parent");
    let outcome = attacked(&mut helper("attack"), &place.copy("copy", 0o755), "grandparent");
    assert_refused(&outcome, "is not its parent's");
}

fn a_refusal_that_cannot_be_printed_is_the_same() {
    let place = Place::new("full");
    let victim = place.copy("copy", 0o755);
    for forgery in ["mark", "packet", "grandparent"] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let outcome = attacked(helper("attack").stderr(full), &victim, forgery);
        assert_refused(&outcome, "");
    }
}

fn another_users_socket_is_refused() {
    if is_root("start a program as another user") {
        let place = Place::new("user");
        let outcome = attacked(&mut helper("attack"), &place.copy("copy", 0o755), "uid");
        assert_refused(&outcome, "is another user's");
    }
}

/// A program of this place as a user without rights.
fn as_nobody(program: &Path, name: &str) -> Command {
    let mut command = Command::new(program);
    command.uid(NOBODY).gid(NOBODY).env(harness::HELPER, name).stdin(Stdio::null());
    command.current_dir("/");
    command
}

/// Copies of this program that give rights to whoever executes them.
fn privileged(place: &Place) -> Vec<PathBuf> {
    let mut all = vec![place.copy("set-user-id", 0o4755), place.copy("set-group-id", 0o2755)];
    let capable = place.copy("capable", 0o755);
    match Command::new("setcap").arg("cap_net_bind_service+ep").arg(&capable).status() {
        Ok(status) if status.success() => all.push(capable),
        other => println!("SKIPPED: file capabilities: {other:?}"),
    }
    all
}

fn a_program_that_gains_rights_runs_nobodys_choice() {
    if !is_root("make set-user-ID programs") {
        return;
    }
    let place = Place::new("rights");
    let attacker = place.copy("attacker", 0o755);
    for victim in privileged(&place) {
        // The rights are gained indeed, or nothing would be shown.
        let plain = as_nobody(&victim, "start_plainly").output().unwrap();
        assert!(texts(plain).0.contains("gained rights"), "{victim:?}");
        let outcome = attacked(&mut as_nobody(&attacker, "attack"), &victim, "");
        assert_refused(&outcome, "gained rights");
    }
}

fn a_program_that_has_gained_rights_starts_nothing() {
    if !is_root("make set-user-ID programs") {
        return;
    }
    let place = Place::new("setuid");
    for program in privileged(&place) {
        let (printed, complaint) = texts(as_nobody(&program, "start_plainly").output().unwrap());
        assert_eq!(printed.matches("gained rights").count(), 1, "{printed}{complaint}");
        assert_eq!(printed.lines().count(), 1, "{printed}");
    }
}

/// Prints the result of a child, or the error, once.
fn start_plainly() {
    match spawn(|n: u32| n + 1, 41) {
        Ok(child) => println!("{:?}", child.join()),
        Err(error) => println!("{error}"),
    }
}

fn a_process_of_two_user_ids_starts_nothing() {
    if is_root("change its effective user") {
        let (printed, _) = texts(helper("start_with_two_ids").output().unwrap());
        assert!(printed.contains("ids differ"), "{printed}");
        assert_eq!(printed.lines().count(), 1, "{printed}");
    }
}

fn start_with_two_ids() {
    // SAFETY: has no precondition.
    assert_eq!(unsafe { libc::seteuid(NOBODY) }, 0);
    start_plainly();
}

fn an_executable_replaced_on_disk_still_starts_itself() {
    let place = Place::new("replace");
    let program = place.copy("program", 0o755);
    let mut command = Command::new(&program);
    command.env(harness::HELPER, "replace_executable").stdin(Stdio::null());
    let (printed, complaint) = texts(command.output().unwrap());
    assert_eq!(printed, "Ok(42)\nOk(42)\nOk(42)\n", "{complaint}");
}

fn replace_executable() {
    start_plainly();
    let own = std::env::current_exe().unwrap();
    let inode = fs::metadata("/proc/self/exe").unwrap().ino();
    let other = own.with_extension("new");
    fs::write(&other, "#!/bin/sh\necho not this program\n").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&other, &own).unwrap();
    assert_ne!(fs::metadata(&own).unwrap().ino(), inode);
    start_plainly();
    fs::remove_file(&own).unwrap();
    start_plainly();
}

fn a_program_run_by_the_loader_starts_nothing() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut files = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let loader = files.find(|path| path.contains("/ld-linux") || path.contains("/ld-musl"));
    let Some(loader) = loader else {
        return println!("SKIPPED: this program has no dynamic loader");
    };
    let mut command = Command::new(loader);
    // As the first argument stands what an executed loader would take for a program.
    command.arg(fs::read_link("/proc/self/exe").unwrap()).arg("/bin/echo").arg("executed");
    let (printed, complaint) =
        texts(command.env(harness::HELPER, "start_plainly").output().unwrap());
    assert!(printed.contains("dynamic loader"), "{printed}{complaint}");
    assert_eq!(printed.lines().count(), 1, "{printed}");
}

// The end of the program.

/// What an exit handler prints.
extern "C" fn at_exit() {
    start_plainly();
    println!("{}", active_children().len());
    // Nothing of this may abort, whether it works or not.
    let queue = Queue::<Vec<u32>>::unbounded().unwrap();
    queue.put(&vec![1, 2]).unwrap();
    println!("{:?}", queue.get().unwrap());
    let handles = Queue::unbounded().unwrap();
    let _ = handles.put(&queue).map(|()| handles.get());
    let (sender, receiver) = pipe::simplex().unwrap();
    let _ = sender.send(&queue).map(|()| receiver.recv());
    let (here, there) = pipe::duplex::<u32, u32>().unwrap();
    println!("{}", here.send(&1).is_ok() && there.recv().is_ok());
    println!("{}", Pool::new().is_err());
}

fn an_exit_handler_gets_errors() {
    for (name, ends) in [
        ("use_and_start_at_exit", "exit"),
        ("use_and_start_at_exit", "return"),
        ("start_at_exit", "exit"),
        ("start_at_exit", "return"),
    ] {
        let output = helper(name).env("ENDS", ends).output().unwrap();
        let status = output.status;
        let (printed, complaint) = texts(output);
        assert!(status.success(), "{name} {ends}: {status}: {printed}{complaint}");
        let lines: Vec<&str> = printed.lines().collect();
        assert!(lines[0].contains("`main` has returned"), "{name} {ends}: {printed}");
        assert_eq!(
            (lines[1], lines[2], lines[4]),
            ("0", "[1, 2]", "true"),
            "{name} {ends}: {printed}"
        );
    }
}

fn start_at_exit() {
    // SAFETY: the handler is a function without arguments that lives as long as the program.
    assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
    if std::env::var("ENDS").unwrap() == "exit" {
        std::process::exit(0);
    }
}

fn use_and_start_at_exit() {
    assert_eq!(spawn(|n: u32| n, 1).unwrap().join(), Ok(1));
    let queue = Queue::<Vec<u32>>::unbounded().unwrap();
    queue.put(&vec![1, 2, 3]).unwrap();
    queue.get().unwrap();
    let (here, there) = pipe::duplex::<u32, u32>().unwrap();
    here.send(&1).unwrap();
    there.recv().unwrap();
    start_at_exit();
}

/// Uses the library when it is dropped.
struct UsesWhenDropped;

impl Drop for UsesWhenDropped {
    fn drop(&mut self) {
        at_exit();
        let descriptor = multiproc::Descriptor::new(std::io::pipe().unwrap().0);
        assert!(Queue::unbounded().unwrap().put(&descriptor).is_err());
    }
}

/// The library's own values of the thread are gone by then, or not: both ways nothing aborts.
fn a_value_dropped_at_its_threads_end_gets_errors() {
    thread_local! {
        static LATE: UsesWhenDropped = const { UsesWhenDropped };
    }
    for first in ["the library", "the value"] {
        let run = move || {
            if first == "the value" {
                LATE.with(|_| ());
            }
            assert_eq!(spawn(|n: u32| n, 1).unwrap().join(), Ok(1));
            let queue = Queue::<Vec<u32>>::unbounded().unwrap();
            queue.put(&vec![1, 2, 3]).unwrap();
            queue.get().unwrap();
            LATE.with(|_| ());
        };
        std::thread::spawn(run).join().unwrap();
    }
}

// Shared libraries.

/// A library that holds another copy of `multiproc`.
const SOURCE: &str = r#"
use std::process::exit;

/// 0: the function was refused as one of a library.
#[unsafe(no_mangle)]
pub extern "C" fn start() -> i32 {
    multiproc::init();
    match multiproc::spawn(|n: u32| n + 1, 41) {
        Err(multiproc::SpawnError::NotInExecutable) => 0,
        Err(_) => 1,
        Ok(child) => {
            println!("started: {:?}", child.join());
            2
        }
    }
}

/// 0: it has begun, and this process is none of its children.
#[unsafe(no_mangle)]
pub extern "C" fn begin() -> i32 {
    multiproc::init();
    if multiproc::current().parent_id.is_some() { exit(77) }
    0
}
"#;

/// The library, made by the compiler from what this test itself was made from; `None` where there
/// is no compiler.
fn library(place: &Place) -> Option<PathBuf> {
    let dependencies = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libmultiproc-") && name.ends_with(".rlib")
    };
    let mut made: Vec<PathBuf> = fs::read_dir(&dependencies)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(is_ours)
        .collect();
    made.sort_by_key(|path| fs::metadata(path).and_then(|file| file.modified()).ok());
    let source = place.0.join("library.rs");
    fs::write(&source, SOURCE).unwrap();
    let mut complaint = String::new();
    // The latest one is this test's; another may have been made with other features.
    for ours in made.iter().rev() {
        let library = place.0.join("library.so");
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
        rustc
            .args(["--edition", "2024", "--crate-type", "cdylib", "-A", "warnings", "-o"])
            .arg(&library);
        rustc.arg("--extern").arg(format!("multiproc={}", ours.display()));
        rustc.arg("-L").arg(format!("dependency={}", dependencies.display())).arg(&source);
        match rustc.output() {
            Ok(output) if output.status.success() => return Some(library),
            Ok(output) => complaint = String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => {
                println!("SKIPPED: no library can be made here: {error}");
                return None;
            }
        }
    }
    panic!("the compiler refuses it: {complaint}");
}

/// Calls a function of the library in the environment.
fn call_library(function: &str) -> i32 {
    let path = std::env::var(LIBRARY).unwrap();
    let (path, function) = (CString::new(path).unwrap(), CString::new(function).unwrap());
    // SAFETY: the library was made by this test; both names end with a zero.
    unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
        assert!(!library.is_null(), "{:?}", std::ffi::CStr::from_ptr(libc::dlerror()));
        let function = libc::dlsym(library, function.as_ptr());
        assert!(!function.is_null());
        std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> i32>(function)()
    }
}

fn a_function_in_a_shared_library_is_refused() {
    let place = Place::new("library");
    let Some(library) = library(&place) else { return };
    let (printed, complaint) =
        texts(helper("start_in_a_library").env(LIBRARY, library).output().unwrap());
    assert_eq!(printed, "0\n", "{complaint}");
}

fn start_in_a_library() {
    println!("{}", call_library("start"));
}

/// In the child, the library's copy begins before this program's own, and must leave the child to
/// that.
fn two_copies_of_the_library_keep_to_their_own_children() {
    let place = Place::new("copies");
    let Some(library) = library(&place) else { return };
    let (printed, complaint) =
        texts(helper("start_beside_a_library").env(LIBRARY, library).output().unwrap());
    assert_eq!(printed, "0\nOk(42)\n", "{complaint}");
}

fn start_beside_a_library() {
    println!("{}", call_library("begin"));
    let child = spawn(|n: u32| n + 1, 41).unwrap();
    println!("{:?}", child.join_timeout(Duration::from_secs(60)));
    assert!(!matches!(spawn(|n: u32| n, 1), Err(SpawnError::NotInExecutable)));
}
