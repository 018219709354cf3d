//! Which events an observer is told of, by which process, for each kind of end.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use harness::{Scratch, wait_until};
use multiproc::observer::{self, Event, Observer};
use multiproc::{Builder, JoinError, Pool, TaskError, current, spawn};
use serde::{Deserialize, Deserializer, Serialize};

fn main() -> ExitCode {
    observer::set(&LOG);
    multiproc::init();
    macro_rules! tests {
        ($($test:ident)*) => {
            harness::run(&[$((stringify!($test), $test as fn())),*], &[])
        };
    }
    tests! {
        a_child_that_returns_or_panics
        a_child_that_is_killed_or_exits
        a_child_whose_argument_cannot_be_decoded
        children_that_end_at_once
        a_child_nobody_joins
        processes_of_processes
        tasks_of_a_pool
        a_task_that_ends_its_worker
        an_observer_that_panics
    }
}

/// How long to wait for what happens soon.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names the log in the environment of children.
const VARIABLE: &str = "MULTIPROC_TEST_OBSERVED";

/// The log of the test that runs, in the process that runs the tests.
static PATH: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Appends each event to the log as a line with the process's id.
struct Log;

static LOG: Log = Log;

impl Observer for Log {
    fn event(&self, event: Event<'_>) {
        let own = PATH.lock().unwrap().clone();
        let Some(path) = own.or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from)) else {
            return;
        };
        let line = match event {
            Event::Spawned { id, name } => format!("spawned {id} {name}"),
            Event::Started { name: "unlucky", .. } => panic!("an observer that panics"),
            Event::Started { name, parent_id } => format!("started {name} by {parent_id}"),
            Event::Finished => "finished".to_owned(),
            Event::Reaped { id } => format!("reaped {id}"),
            Event::TaskStarted => "task started".to_owned(),
            Event::TaskFinished => "task finished".to_owned(),
            _ => unreachable!("a new event"),
        };
        let line = format!("{} {line}\n", std::process::id());
        // One write, so lines of several processes do not mix.
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let own = PATH.lock().unwrap().clone().map(OsString::from);
        let path = own.or_else(|| std::env::var_os(VARIABLE));
        path.map(|path| (VARIABLE.into(), path)).into_iter().collect()
    }
}

/// The log of one test.
struct Observed {
    directory: Scratch,
}

impl Observed {
    fn begin() -> Observed {
        let directory = Scratch::new();
        *PATH.lock().unwrap() = Some(directory.at("events"));
        Observed { directory }
    }

    /// What the process has reported, in its order.
    fn of(&self, id: u32) -> Vec<String> {
        let text = fs::read_to_string(self.directory.at("events")).unwrap_or_default();
        let prefix = format!("{id} ");
        text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
    }

    fn own(&self) -> Vec<String> {
        self.of(std::process::id())
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        *PATH.lock().unwrap() = None;
    }
}

fn started(name: &str) -> String {
    format!("started {name} by {}", std::process::id())
}

fn a_child_that_returns_or_panics() {
    for panics in [false, true] {
        let log = Observed::begin();
        let function = |panics: bool| assert!(!panics, "as it was asked to");
        let child = Builder::new(function).name("child").spawn(panics).unwrap();
        assert_eq!(child.join().is_err(), panics);
        let id = child.id();
        assert_eq!(log.own(), [format!("spawned {id} child"), format!("reaped {id}")]);
        assert_eq!(log.of(id), [started("child"), "finished".to_owned()]);
        let _ = (child.join(), child.is_alive(), child.exit_status());
        assert_eq!(log.own().len(), 2, "reaped once, however often one asks");
    }
}

fn a_child_that_is_killed_or_exits() {
    let log = Observed::begin();
    let park = |()| -> () {
        loop {
            thread::park()
        }
    };
    let child = Builder::new(park).name("killed").spawn(()).unwrap();
    let id = child.id();
    assert!(wait_until(PATIENCE, || !log.of(id).is_empty()), "the child has started");
    child.kill().unwrap();
    assert_eq!(child.join(), Err(JoinError::Killed { signal: 9 }));
    assert_eq!(log.of(id), [started("killed")]);
    assert_eq!(log.own(), [format!("spawned {id} killed"), format!("reaped {id}")]);

    let log = Observed::begin();
    let exit = |code: i32| -> () { std::process::exit(code) };
    let child = Builder::new(exit).name("exits").spawn(0).unwrap();
    let id = child.id();
    assert_eq!(child.join(), Err(JoinError::Exited { code: 0 }));
    assert_eq!(log.of(id), [started("exits")]);
    assert_eq!(log.own(), [format!("spawned {id} exits"), format!("reaped {id}")]);
}

/// Encoded as any, decoded as none.
#[derive(Serialize)]
struct Refused;

impl<'de> Deserialize<'de> for Refused {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("not this one"))
    }
}

fn a_child_whose_argument_cannot_be_decoded() {
    let log = Observed::begin();
    let child = Builder::new(|_: Refused| ()).name("child").spawn(Refused).unwrap();
    assert!(matches!(child.join(), Err(JoinError::NotRun(_))));
    let id = child.id();
    assert_eq!(log.of(id), [started("child"), "finished".to_owned()]);
    assert_eq!(log.own(), [format!("spawned {id} child"), format!("reaped {id}")]);
}

fn children_that_end_at_once() {
    let log = Observed::begin();
    let children: Vec<_> = (0..60).map(|n: u32| spawn(|n: u32| n, n).unwrap()).collect();
    // Any child may be reaped before the next is spawned, and is by then known as spawned.
    children.iter().zip(0..).for_each(|(child, n)| assert_eq!(child.join(), Ok(n)));
    let own = log.own();
    assert_eq!(own.len(), 120, "{own:?}");
    for child in &children {
        let (spawned, reaped) =
            (format!("spawned {} ", child.id()), format!("reaped {}", child.id()));
        let of_child: Vec<_> =
            own.iter().filter(|line| line.starts_with(&spawned) || **line == reaped).collect();
        assert_eq!(of_child.len(), 2, "{of_child:?}");
        assert!(of_child[0].starts_with("spawned"), "{of_child:?}");
    }
}

fn a_child_nobody_joins() {
    let log = Observed::begin();
    let child = spawn(|()| (), ()).unwrap();
    let id = child.id();
    drop(child);
    assert!(
        wait_until(PATIENCE, || log.own().contains(&format!("reaped {id}"))),
        "it has been reaped"
    );
    assert_eq!(log.own().len(), 2);
}

fn processes_of_processes() {
    let log = Observed::begin();
    let parent = |()| {
        let child = Builder::new(|()| current().parent_id).name("grandchild").spawn(()).unwrap();
        (child.id(), child.join().unwrap())
    };
    let child = Builder::new(parent).name("child").spawn(()).unwrap();
    let (grandchild, its_parent) = child.join().unwrap();
    let id = child.id();
    assert_eq!(its_parent, Some(id));
    assert_eq!(log.own(), [format!("spawned {id} child"), format!("reaped {id}")]);
    assert_eq!(
        log.of(id),
        [
            started("child"),
            format!("spawned {grandchild} grandchild"),
            format!("reaped {grandchild}"),
            "finished".to_owned(),
        ]
    );
    let of_grandchild = [format!("started grandchild by {id}"), "finished".to_owned()];
    assert_eq!(log.of(grandchild), of_grandchild);
}

/// How many of these events the workers have reported.
fn tasks(log: &Observed, workers: &[u32], event: &str) -> usize {
    let count = |id: &u32| log.of(*id).iter().filter(|line| *line == event).count();
    workers.iter().map(count).sum()
}

fn tasks_of_a_pool() {
    let log = Observed::begin();
    let pool = Pool::builder().workers(2).build().unwrap();
    let results = pool.map_each(|n: u32| assert!(n != 5, "not five"), 0..10);
    let panicked =
        results.iter().filter(|result| matches!(result, Err(TaskError::Panicked { .. })));
    assert_eq!(panicked.count(), 1);
    assert!(matches!(pool.apply(|_: Refused| (), Refused), Err(TaskError::Decode(_))));
    let workers = pool.worker_ids();
    assert_eq!(workers.len(), 2);
    assert_eq!(tasks(&log, &workers, "task started"), 11);
    assert_eq!(tasks(&log, &workers, "task finished"), 11);
    for id in &workers {
        let events = log.of(*id);
        assert!(events[0].starts_with("started "), "{events:?}");
        let alternate = ["task started", "task finished"].iter().cycle();
        assert!(events[1..].iter().zip(alternate).all(|(event, due)| event == due), "{events:?}");
    }
    drop(pool);
    for id in workers {
        assert!(
            wait_until(PATIENCE, || log.own().contains(&format!("reaped {id}"))),
            "each worker has been reaped"
        );
    }
    assert_eq!(log.own().len(), 4, "{:?}", log.own());
}

fn a_task_that_ends_its_worker() {
    let log = Observed::begin();
    let pool = Pool::builder().workers(1).build().unwrap();
    let id = pool.apply(|()| std::process::id(), ()).unwrap();
    let kill_itself = |()| -> () {
        let me = rustix::process::getpid();
        rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
        unreachable!("it was killed");
    };
    let lost = pool.apply(kill_itself, ());
    assert!(matches!(lost, Err(TaskError::WorkerLost { signal: Some(9) })), "{lost:?}");
    let next = pool.apply(|()| std::process::id(), ()).unwrap();
    assert_ne!(id, next);
    assert_eq!(log.of(id)[1..], ["task started", "task finished", "task started"]);
    assert_eq!(log.of(next)[1..], ["task started", "task finished"]);
    let own = log.own();
    assert!(own[0].starts_with(&format!("spawned {id} ")), "{own:?}");
    assert_eq!(own[1], format!("reaped {id}"));
    assert!(own[2].starts_with(&format!("spawned {next} ")), "{own:?}");
    pool.close();
    pool.join();
}

fn an_observer_that_panics() {
    let log = Observed::begin();
    let child = Builder::new(|n: u32| n + 1).name("unlucky").spawn(41).unwrap();
    assert_eq!(child.join(), Ok(42), "the event is lost, and nothing else");
    assert_eq!(log.of(child.id()), ["finished"]);
}
