//! Processes: starting, joining, ending, and what is left behind.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::{Stat, helper, is_gone, open_descriptors, wait_until};
use multiproc::{Builder, JoinError, Queue, SpawnError, active_children, current, spawn};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

harness::tests!([
    the_result_comes_back,
    the_name_is_given_or_numbered,
    ids_of_child_and_parent,
    exit_status_is_zero_a_number_or_a_signal,
    a_panic_arrives_with_message_and_place,
    a_panic_in_another_thread_of_the_child_is_not_its_own,
    join_with_a_time_out,
    joining_twice_is_fine,
    joining_from_many_threads_is_fine,
    terminate_is_sigterm_and_kill_is_sigkill,
    signals_after_the_end_do_nothing,
    the_living_children_are_listed,
    a_child_can_be_waited_for_as_a_descriptor,
    a_child_may_start_children,
    a_hundred_at_once,
    descriptors_do_not_depend_on_siblings,
    standard_input_is_empty_or_inherited,
    closed_or_broken_output_is_tolerated,
    output_is_whole_after_join,
    threads_that_hold_locks_do_no_harm,
    the_thread_that_started_it_may_end,
    a_killed_parent_takes_its_descendants_along,
    a_parent_that_exits_takes_its_descendants_along,
    a_parent_killed_at_once_leaves_nothing,
    a_dropped_child_runs_on_and_is_reaped,
    a_child_nobody_joins_is_no_zombie,
    an_ignored_sigchld_does_no_harm,
    large_arguments_and_results,
    a_large_argument_does_not_make_spawn_wait,
    a_large_result_does_not_make_the_child_wait,
    what_cannot_be_encoded_or_decoded,
    serde_attributes_that_need_names_are_errors,
    a_function_that_exits_has_no_result,
    functions_of_every_kind,
    a_mark_inherited_by_another_program_is_ignored,
] helpers [
    family,
    hasty_parent,
    exiting_parent,
    starter_with_any_output,
    echo_standard_input,
    no_child_at_all,
    status_keeper,
]);

fn sleep_for_ever(_: ()) {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

fn increment(n: u32) -> u32 {
    n + 1
}

fn the_result_comes_back() {
    assert_eq!(spawn(increment, 41).unwrap().join(), Ok(42));
    let child =
        spawn(|words: Vec<String>| words.join(" "), vec!["a".to_owned(), "b".to_owned()]).unwrap();
    assert_eq!(child.join().unwrap(), "a b");
}

fn the_name_is_given_or_numbered() {
    let named = Builder::new(|()| (current().name, Stat::of(std::process::id()).unwrap().name))
        .name("reader")
        .spawn(())
        .unwrap();
    assert_eq!(named.name(), "reader");
    assert_eq!(named.join().unwrap(), ("reader".to_owned(), "reader".to_owned()));

    let (first, second) =
        (spawn(|()| current().name, ()).unwrap(), spawn(|()| current().name, ()).unwrap());
    let number = |name: &str| name.strip_prefix("Process-").unwrap().parse::<u32>().unwrap();
    assert_eq!(number(second.name()), number(first.name()) + 1);
    assert_eq!(first.join().unwrap(), first.name());

    let parent = spawn(|()| spawn(|()| current().name, ()).unwrap().join().unwrap(), ()).unwrap();
    assert_eq!(parent.join().unwrap(), format!("{}:1", parent.name()));
    assert_eq!(current().name, "MainProcess");
}

fn ids_of_child_and_parent() {
    let child =
        spawn(|()| (current().id, current().parent_id, std::os::unix::process::parent_id()), ())
            .unwrap();
    let me = std::process::id();
    assert_eq!(child.join().unwrap(), (child.id(), Some(me), me));
    assert_eq!(current().parent_id, None);
}

fn exit_status_is_zero_a_number_or_a_signal() {
    let child = spawn(increment, 1).unwrap();
    child.join().unwrap();
    assert!(child.exit_status().unwrap().success());

    for code in [1, 3, 255] {
        let child = spawn(|code: i32| -> () { std::process::exit(code) }, code).unwrap();
        assert_eq!(child.join(), Err(JoinError::Exited { code }));
        assert_eq!(child.exit_status().unwrap().code(), Some(code));
    }

    let child = spawn(|()| -> () { std::process::abort() }, ()).unwrap();
    assert_eq!(child.join(), Err(JoinError::Killed { signal: 6 }));
    assert_eq!(child.exit_status().unwrap().signal(), Some(6));

    let running = spawn(sleep_for_ever, ()).unwrap();
    assert_eq!(running.exit_status(), None);
    running.kill().unwrap();
    assert_eq!(running.join(), Err(JoinError::Killed { signal: 9 }));
}

fn a_panic_arrives_with_message_and_place() {
    let line = line!() + 1;
    let child = spawn(|n: u32| -> () { panic!("no {n} here") }, 7).unwrap();
    let Err(JoinError::Panicked { message, location }) = child.join() else {
        panic!("{:?}", child.join())
    };
    assert_eq!(message, "no 7 here");
    assert!(location.starts_with(&format!("{}:{line}:", file!())), "{location}");
    assert_eq!(child.exit_status().unwrap().code(), Some(101));

    let child = spawn(|()| -> () { std::panic::panic_any(5) }, ()).unwrap();
    assert!(
        matches!(child.join(), Err(JoinError::Panicked { message, .. }) if message.contains("no text"))
    );
}

fn a_panic_in_another_thread_of_the_child_is_not_its_own() {
    let child = spawn(|()| thread::spawn(|| panic!("beside")).join().is_err(), ()).unwrap();
    assert_eq!(child.join(), Ok(true));
}

fn join_with_a_time_out() {
    let child = spawn(sleep_for_ever, ()).unwrap();
    let start = Instant::now();
    assert_eq!(child.join_timeout(Duration::ZERO), Err(JoinError::TimedOut));
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert!(child.is_alive());

    let start = Instant::now();
    assert_eq!(child.join_timeout(Duration::from_millis(50)), Err(JoinError::TimedOut));
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(child.is_alive());

    child.kill().unwrap();
    assert_eq!(child.join_timeout(Duration::MAX), Err(JoinError::Killed { signal: 9 }));
    assert_eq!(child.join_timeout(Duration::ZERO), Err(JoinError::Killed { signal: 9 }));
    assert!(!child.is_alive());
}

fn joining_twice_is_fine() {
    let child = spawn(increment, 1).unwrap();
    assert_eq!(child.join(), Ok(2));
    assert_eq!(child.join(), Ok(2));
    assert_eq!(child.join_timeout(Duration::ZERO), Ok(2));
}

fn joining_from_many_threads_is_fine() {
    let child = spawn(
        |n: u32| {
            thread::sleep(Duration::from_millis(20));
            n
        },
        5,
    )
    .unwrap();
    thread::scope(|scope| {
        (0..8).for_each(|_| drop(scope.spawn(|| assert_eq!(child.join(), Ok(5)))));
    });
}

fn terminate_is_sigterm_and_kill_is_sigkill() {
    let terminated = spawn(sleep_for_ever, ()).unwrap();
    terminated.terminate().unwrap();
    assert_eq!(terminated.join(), Err(JoinError::Killed { signal: 15 }));
    let killed = spawn(sleep_for_ever, ()).unwrap();
    killed.kill().unwrap();
    assert_eq!(killed.join(), Err(JoinError::Killed { signal: 9 }));
}

fn signals_after_the_end_do_nothing() {
    let child = spawn(increment, 1).unwrap();
    child.join().unwrap();
    child.terminate().unwrap();
    child.kill().unwrap();
    assert!(child.exit_status().unwrap().success());
}

fn the_living_children_are_listed() {
    assert_eq!(active_children().len(), 0);
    let children: Vec<_> = (0..3).map(|_| spawn(sleep_for_ever, ()).unwrap()).collect();
    let ids: Vec<u32> = children.iter().map(multiproc::Child::id).collect();
    let listed = active_children();
    assert_eq!(listed.iter().map(multiproc::ActiveChild::id).collect::<Vec<_>>(), ids);
    assert_eq!(listed[0].name(), children[0].name());
    listed[1].kill().unwrap();
    children[1].join().unwrap_err();
    assert!(!listed[1].is_alive() && listed[0].is_alive());
    assert_eq!(
        active_children().iter().map(multiproc::ActiveChild::id).collect::<Vec<_>>(),
        [ids[0], ids[2]]
    );
    // Dropped children are still listed.
    drop(children);
    assert_eq!(active_children().len(), 2);
    active_children().iter().for_each(|child| child.terminate().unwrap());
    assert!(wait_until(Duration::from_secs(10), || active_children().is_empty()));
}

fn a_child_can_be_waited_for_as_a_descriptor() {
    let (first, second) = (spawn(sleep_for_ever, ()).unwrap(), spawn(sleep_for_ever, ()).unwrap());
    assert!(
        multiproc::pipe::wait(&[&first, &second], Duration::from_millis(10)).unwrap().is_empty()
    );
    second.kill().unwrap();
    assert_eq!(multiproc::pipe::wait(&[&first, &second], Duration::MAX).unwrap(), [1]);
    assert!(!second.is_alive());
    first.kill().unwrap();
    first.join().unwrap_err();
}

fn a_child_may_start_children() {
    fn descend(depth: u32) -> Vec<u32> {
        let mut ids = if depth == 0 {
            Vec::new()
        } else {
            spawn(descend, depth - 1).unwrap().join().unwrap()
        };
        ids.push(std::process::id());
        ids
    }
    let ids = spawn(descend, 4).unwrap().join().unwrap();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 5);
}

fn a_hundred_at_once() {
    let (here, there) = multiproc::pipe::simplex::<()>().unwrap();
    // All are alive at the same time: each waits until the pipe is closed.
    fn wait(((), n, end): ((), u32, multiproc::pipe::Receiver<()>)) -> u32 {
        assert!(matches!(end.recv(), Err(multiproc::pipe::RecvError::Closed)));
        n
    }
    let children: Vec<_> =
        (0..100).map(|n| spawn(wait, ((), n, there.try_clone().unwrap())).unwrap()).collect();
    assert_eq!(active_children().len(), 100);
    drop(here);
    let results: Vec<u32> = children.iter().map(|child| child.join().unwrap()).collect();
    assert_eq!(results, (0..100).collect::<Vec<_>>());
}

fn descriptors_do_not_depend_on_siblings() {
    let alone = spawn(|()| open_descriptors(), ()).unwrap().join().unwrap();
    let (_a, _b) = multiproc::pipe::duplex::<(), ()>().unwrap();
    let siblings: Vec<_> = (0..20).map(|_| spawn(sleep_for_ever, ()).unwrap()).collect();
    let among_many = spawn(|()| open_descriptors(), ()).unwrap().join().unwrap();
    siblings.iter().for_each(|child| child.kill().unwrap());
    siblings.iter().for_each(|child| drop(child.join()));
    assert_eq!(alone, among_many);
    assert!(alone.len() < 12, "{alone:?}");
}

fn standard_input_is_empty_or_inherited() {
    let read = |()| std::io::read_to_string(std::io::stdin()).unwrap();
    assert_eq!(spawn(read, ()).unwrap().join().unwrap(), "");

    let mut program =
        helper("echo_standard_input").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(b"hello").unwrap();
    let output = program.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "hello");
}

fn echo_standard_input() {
    let read = |()| std::io::read_to_string(std::io::stdin()).unwrap();
    print!("{}", Builder::new(read).inherit_stdin().spawn(()).unwrap().join().unwrap());
}

fn closed_or_broken_output_is_tolerated() {
    // Closed from the start, and closed only for the children to come.
    for redirection in [">&-", "2>&-", ">&- 2>&-", "<&-"] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec /proc/{}/exe {redirection}", std::process::id())]);
        let status = shell.env(harness::HELPER, "starter_with_any_output").status().unwrap();
        assert!(status.success(), "{redirection}: {status}");
    }
    // A pipe that nobody reads.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = helper("starter_with_any_output")
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

fn starter_with_any_output() {
    let print = |n: u32| {
        println!("to nobody");
        eprintln!("to nobody");
        n
    };
    assert_eq!(spawn(print, 5).unwrap().join(), Ok(5));
}

fn output_is_whole_after_join() {
    // Not flushed by the function, which does not end its line either.
    let mut program = helper("starter_with_any_output")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut text = String::new();
    program.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(program.wait().unwrap().success());
    assert_eq!(text, "to nobody\n");
}

fn threads_that_hold_locks_do_no_harm() {
    static HELD: Mutex<u32> = Mutex::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // The allocator's lock, the environment's, the output's, and one of ours.
                    let memory: Vec<Vec<u8>> = (1..50).map(|n| vec![0; n * 100]).collect();
                    let _held = HELD.lock().unwrap();
                    let _error = std::io::stderr().lock();
                    std::hint::black_box((memory, std::env::vars_os().count()));
                }
            });
        }
        let lock_all = |n: u32| {
            let mut held = HELD.lock().unwrap();
            *held += n;
            eprint!("");
            *held
        };
        for _ in 0..25 {
            assert_eq!(spawn(lock_all, 3).unwrap().join(), Ok(3));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

fn the_thread_that_started_it_may_end() {
    let child = thread::spawn(|| spawn(sleep_for_ever, ()).unwrap()).join().unwrap();
    thread::sleep(Duration::from_millis(300));
    assert!(child.is_alive());
    child.kill().unwrap();
    assert_eq!(child.join(), Err(JoinError::Killed { signal: 9 }));
}

/// Starts two children which start one child each, and says their ids once all are there.
fn family() {
    fn grandchild(begun: Queue<()>) {
        begun.put(&()).unwrap();
        sleep_for_ever(());
    }
    fn parent(_: ()) {
        let begun = Queue::unbounded().unwrap();
        let child = spawn(grandchild, begun.clone()).unwrap();
        begun.get().unwrap();
        println!("{}\n{}", std::process::id(), child.id());
        child.join().unwrap_err();
    }
    let children = [spawn(parent, ()).unwrap(), spawn(parent, ()).unwrap()];
    children.iter().for_each(|child| drop(child.join()));
}

fn a_killed_parent_takes_its_descendants_along() {
    for signal in ["KILL", "TERM", "STOP"] {
        let mut program = helper("family").stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(program.stdout.take().unwrap()).lines().take(4);
        let ids: Vec<u32> = lines.map(|line| line.unwrap().parse().unwrap()).collect();
        assert!(ids.iter().all(|id| !is_gone(*id)));
        if signal == "STOP" {
            // Those that are stopped cannot see for themselves that their parent dies.
            kill("STOP", &ids);
            kill("KILL", &[program.id()]);
        } else {
            kill(signal, &[program.id()]);
        }
        program.wait().unwrap();
        let start = Instant::now();
        assert!(
            wait_until(Duration::from_secs(1), || ids.iter().all(|id| is_gone(*id))),
            "{signal}"
        );
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

fn kill(signal: &str, ids: &[u32]) {
    let ids = ids.iter().map(ToString::to_string);
    assert!(Command::new("kill").arg(format!("-{signal}")).args(ids).status().unwrap().success());
}

fn a_parent_that_exits_takes_its_descendants_along() {
    let output = helper("exiting_parent").output().unwrap();
    let ids: Vec<u32> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(ids.len(), 3);
    assert!(wait_until(Duration::from_secs(1), || ids.iter().all(|id| is_gone(*id))));
}

fn exiting_parent() {
    for _ in 0..3 {
        println!("{}", spawn(sleep_for_ever, ()).unwrap().id());
    }
}

/// Starts children and kills itself before they can have begun.
fn hasty_parent() {
    for _ in 0..10 {
        println!("{}", spawn(sleep_for_ever, ()).unwrap().id());
    }
    kill("KILL", &[std::process::id()]);
    sleep_for_ever(());
}

fn a_parent_killed_at_once_leaves_nothing() {
    for _ in 0..5 {
        let output = helper("hasty_parent").output().unwrap();
        assert_eq!(output.status.signal(), Some(9));
        let ids: Vec<u32> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| line.parse().unwrap())
            .collect();
        assert_eq!(ids.len(), 10);
        assert!(wait_until(Duration::from_secs(1), || ids.iter().all(|id| is_gone(*id))));
    }
}

fn a_dropped_child_runs_on_and_is_reaped() {
    let (sender, receiver) = multiproc::pipe::simplex::<u32>().unwrap();
    let child = spawn(
        |sender: multiproc::pipe::Sender<u32>| {
            thread::sleep(Duration::from_millis(100));
            sender.send(&5).unwrap();
        },
        sender,
    )
    .unwrap();
    let id = child.id();
    drop(child);
    assert_eq!(receiver.recv().unwrap(), 5);
    assert!(wait_until(Duration::from_secs(5), || Stat::of(id).is_none()), "a zombie");
}

fn a_child_nobody_joins_is_no_zombie() {
    let children: Vec<_> = (0..10).map(|n| spawn(increment, n).unwrap()).collect();
    let ids: Vec<u32> = children.iter().map(multiproc::Child::id).collect();
    assert!(wait_until(Duration::from_secs(10), || ids.iter().all(|id| Stat::of(*id).is_none())));
    assert_eq!(children[4].join(), Ok(5));
}

fn an_ignored_sigchld_does_no_harm() {
    let mut shell = Command::new("sh");
    let exec = format!("trap '' CHLD; exec /proc/{}/exe", std::process::id());
    let status = shell.args(["-c", &exec]).env(harness::HELPER, "status_keeper").status();
    assert!(status.unwrap().success());
}

fn status_keeper() {
    for code in 0..5 {
        let child = spawn(|code: i32| -> () { std::process::exit(code) }, code).unwrap();
        assert_eq!(child.join(), Err(JoinError::Exited { code }));
        assert_eq!(child.exit_status().unwrap().code(), Some(code));
    }
}

fn large_arguments_and_results() {
    for size in [0, 1 << 15, (1 << 15) + 1, 64 << 20] {
        let argument = "0123456789abcdef".repeat(size / 16 + 1)[..size].to_owned();
        let child = spawn(|text: String| text + "!", argument.clone()).unwrap();
        assert!(child.join().unwrap() == argument + "!");
    }
}

fn a_large_argument_does_not_make_spawn_wait() {
    let stopped = || {
        let child = spawn(|text: String| text.len(), "x".repeat(8 << 20)).unwrap();
        let _ = signal::kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGSTOP);
        let stat = || Stat::of(child.id());
        assert!(wait_until(Duration::from_secs(20), || {
            stat().is_none_or(|stat| matches!(stat.state, 'T' | 'Z' | 'X'))
        }));
        stat().is_some_and(|stat| stat.state == 'T').then_some(child)
    };
    // The child does not read: it is stopped before it can. One that was quicker is of no use here.
    let child = (0..100).find_map(|_| stopped()).expect("one is stopped before it has ended");
    let other = spawn(increment, 1).unwrap();
    assert_eq!(other.join(), Ok(2));
    kill("CONT", &[child.id()]);
    assert_eq!(child.join(), Ok(8 << 20));
}

fn a_large_result_does_not_make_the_child_wait() {
    let child = spawn(|size: usize| "x".repeat(size), 8 << 20).unwrap();
    // It ends although nobody takes its result.
    assert!(wait_until(Duration::from_secs(20), || !child.is_alive()));
    assert_eq!(child.join().unwrap().len(), 8 << 20);
}

/// A value that refuses to be encoded (1), or decoded (2).
#[derive(Debug, PartialEq)]
struct Refuses(u8);

impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == 1 {
            Err(serde::ser::Error::custom("never"))
        } else {
            serializer.serialize_u8(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Refuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            2 => Err(serde::de::Error::custom("never")),
            n => Ok(Self(n)),
        }
    }
}

fn what_cannot_be_encoded_or_decoded() {
    let take = |refuses: Refuses| refuses.0;
    let give = |n: u8| Refuses(n);
    assert!(matches!(spawn(take, Refuses(1)), Err(SpawnError::Encode(_))));
    assert!(matches!(spawn(take, Refuses(2)).unwrap().join(), Err(JoinError::NotRun(_))));
    assert!(matches!(spawn(give, 1).unwrap().join(), Err(JoinError::Encode(_))));
    assert!(matches!(spawn(give, 2).unwrap().join(), Err(JoinError::Decode(_))));
    assert_eq!(spawn(give, 3).unwrap().join(), Ok(Refuses(3)));
    assert_eq!(active_children().len(), 0);
}

/// Values whose encoding relies on names or types, which the format does not have.
mod attributes {
    use super::{Deserialize, Serialize};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Skips {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub first: Option<u32>,
        pub second: u32,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    pub enum Untagged {
        Number(u32),
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    pub enum Tagged {
        Number { number: u32 },
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Flattens {
        #[serde(flatten)]
        pub inner: Skips,
    }
}

fn serde_attributes_that_need_names_are_errors() {
    use attributes::{Flattens, Skips, Tagged, Untagged};
    fn is_error<T>(value: T) -> bool
    where
        T: Clone + PartialEq + Serialize + serde::de::DeserializeOwned + Send + 'static,
    {
        let queue = Queue::unbounded().unwrap();
        let (sender, receiver) = multiproc::pipe::simplex().unwrap();
        let pool = multiproc::Pool::builder().workers(1).build().unwrap();
        let count = |_: T| 1;
        [
            queue.put(&value).is_err() || queue.get().is_err(),
            sender.send(&value).is_err() || receiver.recv().is_err(),
            spawn(count, value.clone()).is_err()
                || spawn(count, value.clone()).unwrap().join().is_err(),
            pool.apply(count, value).is_err(),
        ] == [true; 4]
    }
    assert!(is_error(Skips { first: None, second: 2 }));
    assert!(!is_error(Skips { first: Some(1), second: 2 }), "nothing is skipped");
    assert!(is_error(Untagged::Number(1)));
    assert!(is_error(Tagged::Number { number: 1 }));
    assert!(is_error(Flattens { inner: Skips { first: Some(1), second: 2 } }));
}

fn a_function_that_exits_has_no_result() {
    let child = spawn(|code: i32| -> u32 { std::process::exit(code) }, 0).unwrap();
    assert_eq!(child.join(), Err(JoinError::Exited { code: 0 }));
    assert!(child.exit_status().unwrap().success());
}

fn functions_of_every_kind() {
    fn generic<T: ToString>(value: T) -> String {
        value.to_string()
    }
    trait Shape {
        fn area(side: u32) -> u32;
    }
    struct Square;
    impl Shape for Square {
        fn area(side: u32) -> u32 {
            side * side
        }
    }
    assert_eq!(spawn(generic::<u32>, 7).unwrap().join().unwrap(), "7");
    assert_eq!(spawn(generic::<bool>, true).unwrap().join().unwrap(), "true");
    assert_eq!(spawn(Square::area, 4).unwrap().join(), Ok(16));
    assert_eq!(spawn(u32::count_ones, 255).unwrap().join(), Ok(8));
    assert_eq!(spawn(Some, 1).unwrap().join(), Ok(Some(1)));
}

/// A child's environment tells of its socket; a program it starts by other means has another
/// standard input, and is no child.
fn a_mark_inherited_by_another_program_is_ignored() {
    let start = |()| {
        assert!(std::env::vars().any(|(name, _)| name.contains("MULTIPROC_BOOTSTRAP")));
        let output = Command::new("/proc/self/exe")
            .env(harness::HELPER, "no_child_at_all")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(spawn(start, ()).unwrap().join().unwrap(), "MainProcess\n");
}

fn no_child_at_all() {
    println!("{}", current().name);
}
