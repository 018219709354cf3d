//! Processes killed while they notify an event count, at each single instruction of it, and while
//! they make rings and give them up.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use harness::{Stat, wait_until};
use multiproc::ring::{self, EventCount, Receiver, RingError, Sender};
use nix::errno::Errno;
use nix::sys::{ptrace, wait};
use nix::unistd::Pid;

harness::tests! {
    [
        a_notifier_killed_at_any_instruction_loses_no_notification,
        one_killed_while_it_makes_rings_and_drops_them_stops_nobody_and_leaves_nothing,
    ]
    helpers []
}

/// Longer than anyone sleeps whom somebody wakes.
const LONG: Duration = Duration::from_secs(30);

/// Somebody sleeps, and one process after the other notifies it: the n-th one is killed after n
/// instructions, until one comes to the end of its notification. Wherever it was killed, the next
/// notification wakes the sleeper: as the one does that tells a pool of a worker's death.
fn a_notifier_killed_at_any_instruction_loses_no_notification() {
    for instructions in 0.. {
        match notify_and_be_killed_after(instructions) {
            Ok(false) => {}
            Ok(true) => return assert!(instructions > 20, "only {instructions} instructions"),
            Err(Errno::EPERM) => return println!("skipped: no process may be traced here"),
            Err(error) => panic!("after {instructions} instructions: {error}"),
        }
    }
}

/// Whether the notification was over by then.
fn notify_and_be_killed_after(instructions: u32) -> nix::Result<bool> {
    let events = EventCount::new().unwrap();
    let (mut go, gate) = ring::create(4096).unwrap();
    let (tell, mut told) = ring::create(4096).unwrap();
    let child = multiproc::spawn(notifier, (gate, events.clone(), tell)).unwrap();
    told.recv(None).unwrap();
    thread::scope(|scope| {
        let (id, known) = mpsc::channel();
        let sleeper = scope.spawn({
            let events = events.clone();
            move || {
                let key = events.prepare();
                id.send(rustix::thread::gettid()).unwrap();
                let start = Instant::now();
                events.wait(key, Some(start + LONG));
                start.elapsed() < LONG
            }
        });
        let id = known.recv().unwrap().as_raw_pid().cast_unsigned();
        wait_until(LONG, || Stat::of(id).is_none_or(|stat| stat.state == 'S'));

        let pid = Pid::from_raw(child.id().cast_signed());
        let mut step = || {
            ptrace::attach(pid)?;
            wait::waitpid(pid, None)?;
            go.try_send(b"go").unwrap();
            for _ in 0..instructions {
                ptrace::step(pid, None)?;
                wait::waitpid(pid, None)?;
            }
            Ok(told.try_recv() == Err(RingError::Closed))
        };
        let is_over = step();
        child.kill().unwrap();
        let _ = child.join();
        events.notify_all();
        assert!(
            sleeper.join().unwrap(),
            "killed after {instructions}, and nobody woke the sleeper"
        );
        is_over
    })
}

fn notifier((mut gate, events, mut tell): (Receiver, EventCount, Sender)) {
    // Sleeps once: then what a notification calls has been found, which takes the linker a thousand
    // instructions.
    let soon = Instant::now() + Duration::from_millis(1);
    assert_eq!(gate.recv(Some(soon)), Err(RingError::TimedOut));
    tell.try_send(b"at the gate").unwrap();
    while !gate.has_bytes() {
        std::hint::spin_loop();
    }
    events.notify_all();
    tell.close();
}

/// Two processes make rings and drop them, and are killed at any moment. Meanwhile this one makes
/// some too, and finds them empty; and what the dead held is used again, so that the shared memory
/// does not grow with each.
fn one_killed_while_it_makes_rings_and_drops_them_stops_nobody_and_leaves_nothing() {
    let mut after_some = (0, 0);
    for kill in 0..300 {
        let (tell, mut told) = ring::create(4096).unwrap();
        let for_ever = |mut tell: Sender| loop {
            make_rings();
            let _ = tell.try_send(b"once more");
        };
        let first = multiproc::spawn(for_ever, tell).unwrap();
        told.recv(None).unwrap();
        let (tell, mut told) = ring::create(4096).unwrap();
        let second = multiproc::spawn(for_ever, tell).unwrap();
        told.recv(None).unwrap();
        (0..kill % 7).for_each(|_| make_rings());
        for child in [first, second] {
            child.kill().unwrap();
            make_rings();
            let _: Result<(), _> = child.join();
        }
        if kill == 30 {
            after_some = shared_memory();
        }
    }
    let ((held, length), in_the_end, ring) = (after_some, shared_memory(), 8192);
    assert!(in_the_end.0 <= held + 20 * ring, "{held} bytes became {}", in_the_end.0);
    // The file is sparse. Each ring has a window of it, and windows are used again.
    assert!(in_the_end.1 <= 2 * length, "a length of {length} became {}", in_the_end.1);
}

fn make_rings() {
    let rings: Vec<_> = (0..4).map(|_| ring::create(4096).unwrap()).collect();
    for (mut sender, mut receiver) in rings {
        assert_eq!(receiver.try_recv(), Ok(None), "it is new, and so empty");
        sender.try_send(b"not empty").unwrap();
    }
}

/// How many bytes the memory that this process shares with all it has started holds, and the length
/// of its file.
fn shared_memory() -> (u64, u64) {
    let open = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let is_shared = |path: &PathBuf| {
        fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:multiproc"))
    };
    let path = open.into_iter().find(is_shared).expect("rings have been made");
    let memory = fs::metadata(path).unwrap();
    (512 * memory.blocks(), memory.len())
}
