//! 1_1_8_job_queue as its users would run it: producers and workers as programs of their own, over a SQLite file and over a
//! real redis-server, with workers and the server killed. Each promise is put to the test over both.

use checks::run;
use libtest_mimic::{Arguments, Failed, Trial};
use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Only reached when something is wrong.
const DEADLINE: Duration = Duration::from_secs(60);

type Test = fn(&mut Bench);

const ON_BOTH: [(&str, Test); 9] = [
    ("a_killed_workers_job_runs_elsewhere", a_killed_workers_job_runs_elsewhere),
    ("a_failing_job_is_tried_again_later_and_kept", a_failing_job_is_tried_again_later_and_kept),
    ("a_job_that_kills_its_workers_is_given_up", a_job_that_kills_its_workers_is_given_up),
    ("sigterm_finishes_what_is_in_hand", sigterm_finishes_what_is_in_hand),
    ("ctrl_c_gives_back_what_was_not_begun", ctrl_c_gives_back_what_was_not_begun),
    ("a_worker_taken_for_dead_does_no_harm", a_worker_taken_for_dead_does_no_harm),
    ("random_kills_lose_nothing", random_kills_lose_nothing),
    ("many_at_once_make_one_store", many_at_once_make_one_store),
    ("ten_thousand_jobs", ten_thousand_jobs),
];

const ON_REDIS: [(&str, Test); 2] = [
    ("a_server_killed_under_its_workers_loses_nothing", a_server_killed_loses_nothing),
    ("a_job_that_was_taken_in_is_on_the_disk", a_job_that_was_taken_in_is_on_the_disk),
];

fn main() {
    let mut arguments = Arguments::from_args();
    // They wait most of their time, for workers to be found dead.
    arguments.test_threads.get_or_insert(8);
    let mut trials = vec![Trial::test("what_is_wrong_is_said", || {
        what_is_wrong_is_said();
        Ok(())
    })];
    for (name, test) in ON_BOTH {
        trials.push(Trial::test(format!("sqlite::{name}"), move || {
            test(&mut Bench::new(None));
            Ok(())
        }));
    }
    for (name, test) in ON_BOTH.into_iter().chain(ON_REDIS) {
        trials.push(Trial::test(format!("redis::{name}"), move || on_redis(name, test)));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn on_redis(name: &str, test: Test) -> Result<(), Failed> {
    let mut found = Command::new("redis-server");
    if found.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        writeln!(io::stderr(), "SKIPPED redis::{name}: skipped: no redis-server on the PATH")?;
        return Ok(());
    }
    test(&mut Bench::new(Some(Server::new())));
    Ok(())
}

/// A redis-server of a test's own, that keeps what it has acknowledged on the disk.
struct Server {
    running: Running,
    folder: TempDir,
    port: u16,
}

/// A process that ends at the latest when this does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Server {
    fn new() -> Server {
        let folder = tempfile::tempdir().unwrap();
        loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            // Somebody else may have taken the port meanwhile: then it ends, and another one is tried.
            if let Some(running) = Server::start(&folder, port) {
                return Server { running, folder, port };
            }
        }
    }

    fn start(folder: &TempDir, port: u16) -> Option<Running> {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
        command.args(["--appendfsync", "always", "--port", &port.to_string()]);
        command.arg("--dir").arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut running = Running(command.spawn().unwrap());
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            if running.0.try_wait().unwrap().is_some() {
                return None;
            }
            if Server::answers(port).is_ok_and(|answer| answer == *b"+PONG") {
                return Some(running);
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("redis-server does not answer");
    }

    fn answers(port: u16) -> io::Result<[u8; 5]> {
        let mut connection = TcpStream::connect(("127.0.0.1", port))?;
        connection.set_read_timeout(Some(DEADLINE))?;
        connection.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        connection.read_exact(&mut answer)?;
        Ok(answer)
    }

    fn kill(&mut self) {
        self.running.0.kill().unwrap();
        self.running.0.wait().unwrap();
    }

    fn start_again(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            if let Some(running) = Server::start(&self.folder, self.port) {
                self.running = running;
                return;
            }
        }
        panic!("redis-server does not start again");
    }
}

/// A folder with files, a folder for the results, and a store.
struct Bench {
    folder: TempDir,
    server: Option<Server>,
}

impl Bench {
    fn new(server: Option<Server>) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        Bench { folder, server }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    /// Makes files `0` to `count - 1` and a job for each.
    fn produce(&self, count: usize) {
        for number in 0..count {
            fs::write(self.file(&number.to_string()), format!("this is file {number}")).unwrap();
        }
        let said = self.says(PRODUCE, Some(0));
        assert_eq!(said, format!("{count} jobs, {count} of them new\n"));
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(checks::program("1_1_8_job_queue"));
        command.args(words.split_whitespace()).current_dir(self.folder.path());
        command.env_remove("REDIS_URL").stdin(Stdio::null());
        if let Some(server) = &self.server {
            command.env("REDIS_URL", format!("redis://127.0.0.1:{}", server.port));
        }
        command
    }

    /// What it prints until it ends, with this exit status.
    fn says(&self, words: &str, status: Option<i32>) -> String {
        let mut program = Program::start(self.command(words));
        assert_eq!(program.ends(), status, "{words}");
        program.lines.iter().map(|line| line + "\n").collect()
    }

    fn work(&self, words: &str) -> Program {
        Program::start(self.command(&format!("work --dead-after 2 {words}")))
    }

    /// State, runs and result of each file, once all are over.
    fn results(&self, status: i32) -> HashMap<String, (String, u32, String)> {
        let said = self.says("results --wait", Some(status));
        let line = |line: &str| {
            let [state, runs, file, result] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            let file = file.rsplit('/').next().unwrap();
            (file.into(), (state.into(), runs.parse().unwrap(), result.into()))
        };
        said.lines().map(line).collect()
    }

    fn status(&self) -> String {
        self.says("status", Some(0)).trim_end().to_owned()
    }

    fn parts(&self) -> usize {
        let entries = fs::read_dir(self.folder.path().join("results")).unwrap();
        let is_part =
            |name: &OsStr| name.as_bytes().starts_with(b".") && name.as_bytes().ends_with(b".part");
        entries.filter(|entry| is_part(&entry.as_ref().unwrap().file_name())).count()
    }

    /// All of `count` results are there, each once, as `sha256sum` sees them, and nothing else.
    fn all_there(&self, count: usize) {
        let mut named: Vec<String> = Vec::new();
        let mut check = Command::new("sha256sum");
        check.args(["--check", "--strict", "--quiet"]);
        for path in checks::entries(&self.folder.path().join("results")).unwrap() {
            let text = fs::read_to_string(&path).unwrap();
            let (_, file) =
                text.trim_end().split_once("  ").unwrap_or_else(|| panic!("{path:?}: {text:?}"));
            named.push(file.to_owned());
            check.arg(path);
        }
        named.sort();
        named.dedup();
        assert_eq!((named.len(), check.get_args().count() - 3), (count, count));
        assert!(check.status().unwrap().success());
    }
}

const PRODUCE: &str = "produce --folder files --results results";

/// A running program, and what it has said.
struct Program {
    process: Running,
    lines: Receiver<String>,
}

impl Program {
    fn start(mut command: Command) -> Program {
        let mut process = Running(command.stdout(Stdio::piped()).spawn().unwrap());
        let stdout = BufReader::new(process.0.stdout.take().unwrap());
        let (line, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|l| _ = line.send(l)));
        Program { process, lines }
    }

    /// Waits for its next line.
    fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).unwrap_or_else(|e| panic!("it says no more: {e}"))
    }

    /// Waits until it begins a job; tells which one, and which run of it.
    fn begins(&self) -> (String, u32) {
        loop {
            let line = self.line();
            if let Some(begun) = begun(&line) {
                return begun;
            }
        }
    }

    /// All that it has begun and not told yet, once it has ended.
    fn all_begun(self) -> Vec<(String, u32)> {
        self.lines.iter().filter_map(|line| begun(&line)).collect()
    }

    fn signal(&self, name: &str) {
        let id = self.process.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Kills it as if its machine had failed.
    fn kill(&mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    fn ends(&mut self) -> Option<i32> {
        run::ended(&mut self.process.0).code()
    }

    fn is_told_to_stop(&mut self) {
        self.signal("TERM");
        assert_eq!(self.ends(), Some(0));
    }
}

/// `NAME begins FILE, run N`
fn begun(line: &str) -> Option<(String, u32)> {
    let (_, begun) = line.split_once(" begins ")?;
    let (file, run) = begun.split_once(", run ")?;
    Some((file.to_owned(), run.parse().unwrap()))
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < DEADLINE, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Longer than any test.
const FOR_EVER: &str = "--slow 600000";

fn a_killed_workers_job_runs_elsewhere(bench: &mut Bench) {
    bench.produce(5);
    let mut killed = bench.work(&format!("--name killed {FOR_EVER}"));
    let (file, run) = killed.begins();
    assert_eq!(run, 1);
    until("the killed one has written half of it", || bench.parts() == 1);
    let mut other = bench.work("--name other");
    killed.kill();
    let results = bench.results(0);
    assert!(results.values().all(|(state, ..)| state == "Done"), "{results:?}");
    assert_eq!(results[&file].1, 2);
    bench.all_there(5);
    other.is_told_to_stop();
    let mut all = other.all_begun();
    all.sort();
    let expected: Vec<_> =
        (0..5).map(|n| n.to_string()).map(|n| (n.clone(), 1 + u32::from(n == file))).collect();
    assert_eq!(all, expected);
    assert_eq!(bench.status(), "0 waiting, 0 running, 5 done, 0 failed");
}

fn a_failing_job_is_tried_again_later_and_kept(bench: &mut Bench) {
    bench.produce(4);
    fs::remove_file(bench.file("2")).unwrap();
    let begun = Instant::now();
    let mut worker = bench.work("--runs 3");
    let results = bench.results(1);
    // Clocks tick in seconds: the second run came in the next one at the earliest, the third in the next but one after that.
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    let (state, runs, reason) = &results["2"];
    assert_eq!((state.as_str(), *runs), ("Failed", 3));
    assert!(reason.contains("files/2: No such file or directory"), "{reason}");
    assert!(reason.starts_with("(/"), "{reason}");
    worker.is_told_to_stop();
    let runs: Vec<_> = worker.all_begun().into_iter().filter(|(file, _)| file == "2").collect();
    assert_eq!(runs, [1, 2, 3].map(|run| ("2".into(), run)));
    // Kept means kept: not begun again by another worker, and still told.
    let mut another = bench.work("--runs 24");
    fs::write(bench.file("new"), "one more").unwrap();
    bench.says(PRODUCE, Some(0));
    assert_eq!(another.begins(), ("new".into(), 1));
    assert_eq!(bench.results(1)["2"].0, "Failed");
    another.is_told_to_stop();
    assert!(another.all_begun().is_empty());
    bench.all_there(4);
}

fn a_job_that_kills_its_workers_is_given_up(bench: &mut Bench) {
    bench.produce(1);
    for run in 1..=2 {
        let mut worker = bench.work(&format!("--runs 2 {FOR_EVER}"));
        assert_eq!(worker.begins(), ("0".into(), run));
        // What number it is, is stored before it begins.
        worker.kill();
    }
    let worker = bench.work(&format!("--runs 2 {FOR_EVER}"));
    let results = bench.results(1);
    assert_eq!(results["0"].0, "Failed");
    assert_eq!(results["0"].2, "(its worker died each time)");
    drop(worker);
}

fn sigterm_finishes_what_is_in_hand(bench: &mut Bench) {
    bench.produce(3);
    // Its last job takes longer than a dead worker is waited for: it must go on telling that it lives.
    let mut first = Program::start(bench.command("work --dead-after 5 --name first --slow 8000"));
    let (file, _) = first.begins();
    first.signal("TERM");
    let mut second = Program::start(bench.command("work --dead-after 5 --name second"));
    let results = bench.results(0);
    assert_eq!(first.ends(), Some(0));
    assert_eq!(first.line(), format!("first did {file}"));
    assert!(results.values().all(|(state, runs, _)| state == "Done" && *runs == 1), "{results:?}");
    second.is_told_to_stop();
    let begun = second.all_begun();
    assert!(begun.len() == 2 && begun.iter().all(|(other, _)| *other != file), "{begun:?}");
    bench.all_there(3);
}

fn ctrl_c_gives_back_what_was_not_begun(bench: &mut Bench) {
    bench.produce(6);
    let mut worker = bench.work("--jobs 2 --slow 1000");
    let in_hand = [worker.begins(), worker.begins()];
    worker.signal("INT");
    assert_eq!(worker.ends(), Some(0));
    assert!(worker.all_begun().is_empty());
    assert_eq!(bench.status(), "4 waiting, 0 running, 2 done, 0 failed");
    bench.all_there(2);
    // A second one leaves what is in hand to others, which find it at once or when it is taken for dead.
    let mut worker = bench.work(&format!("--jobs 2 {FOR_EVER}"));
    worker.begins();
    worker.signal("INT");
    until("it is told to stop before it is told again", || {
        worker.signal("INT");
        thread::sleep(Duration::from_millis(50));
        worker.process.0.try_wait().unwrap().is_some()
    });
    assert_eq!(worker.ends(), Some(1));
    let mut worker = bench.work("--jobs 2");
    let results = bench.results(0);
    let once = in_hand.iter().all(|(file, _)| results[file].1 == 1);
    assert!(results.len() == 6 && once, "{results:?}");
    worker.is_told_to_stop();
    bench.all_there(6);
}

fn a_worker_taken_for_dead_does_no_harm(bench: &mut Bench) {
    bench.produce(9);
    let stalled = bench.work("--name stalled --runs 24 --slow 1000");
    let file = loop {
        let (file, _) = stalled.begins();
        stalled.signal("STOP");
        // Stopped while it writes to the file of SQLite, it would hold up all others: then later.
        let mut writer = Program::start(bench.command(PRODUCE));
        let begun = Instant::now();
        while writer.process.0.try_wait().unwrap().is_none()
            && begun.elapsed() < Duration::from_secs(5)
        {
            thread::sleep(Duration::from_millis(5));
        }
        if writer.process.0.try_wait().unwrap().is_some() {
            break file;
        }
        stalled.signal("CONT");
    };
    let mut other = bench.work("--name other --runs 24");
    let results = bench.results(0);
    assert!(results.values().all(|(state, ..)| state == "Done"), "{results:?}");
    assert!(results[&file].1 >= 2, "{results:?}");
    other.is_told_to_stop();
    assert!(other.all_begun().iter().any(|(begun, _)| *begun == file));
    // It finishes what the other one has done meanwhile, and works on.
    stalled.signal("CONT");
    assert_eq!(stalled.line(), format!("stalled did {file}"));
    fs::write(bench.file("new"), "one more").unwrap();
    bench.says(PRODUCE, Some(0));
    assert_eq!(stalled.begins(), ("new".into(), 1));
    assert_eq!(bench.results(0).len(), 10);
    bench.all_there(10);
    let mut stalled = stalled;
    stalled.is_told_to_stop();
}

fn random_kills_lose_nothing(bench: &mut Bench) {
    bench.produce(40);
    let start = || bench.work("--runs 24 --slow 20 --jobs 2");
    let mut workers = [(); 3].map(|()| start());
    for kill in 0..9 {
        let worker = &mut workers[kill % 3];
        // At another moment of its work each time.
        for _ in 0..=kill {
            if worker.lines.recv_timeout(Duration::from_millis(500)).is_err() {
                break; // nothing left to do: killed all the same
            }
        }
        worker.kill();
        *worker = start();
    }
    let results = bench.results(0);
    assert!(results.values().all(|(state, ..)| state == "Done"), "{results:?}");
    assert_eq!(results.len(), 40);
    bench.all_there(40);
    workers.iter_mut().for_each(Program::is_told_to_stop);
    assert_eq!(bench.status(), "0 waiting, 0 running, 40 done, 0 failed");
}

fn many_at_once_make_one_store(bench: &mut Bench) {
    for number in 0..20 {
        fs::write(bench.file(&number.to_string()), "something").unwrap();
    }
    let mut producers = [(); 6].map(|()| Program::start(bench.command(PRODUCE)));
    let mut workers = [(); 2].map(|()| bench.work(""));
    assert_eq!(producers.each_mut().map(Program::ends), [Some(0); 6]);
    assert_eq!(bench.results(0).len(), 20);
    bench.all_there(20);
    workers.iter_mut().for_each(Program::is_told_to_stop);
}

fn ten_thousand_jobs(bench: &mut Bench) {
    bench.produce(10_000);
    let mut worker = bench.work("");
    (0..20).for_each(|_| assert_eq!(worker.begins().1, 1));
    worker.is_told_to_stop();
    let status = bench.status();
    let [waiting, _, done] = [0, 3, 4].map(|word| status.split(' ').nth(word).unwrap());
    assert!(status.ends_with(" 0 failed") && status.contains(" 0 running"), "{status}");
    assert_eq!(waiting.parse::<u32>().unwrap() + done.parse::<u32>().unwrap(), 10_000, "{status}");
}

fn a_server_killed_loses_nothing(bench: &mut Bench) {
    bench.produce(24);
    // Nobody is found dead in this test: what they had in hand they give back themselves.
    let words = "work --dead-after 600 --runs 24 --slow 100";
    let mut workers = [(); 2].map(|()| Program::start(bench.command(words)));
    for round in 0..3 {
        workers.iter().for_each(|worker| _ = worker.begins());
        let server = bench.server.as_mut().unwrap();
        server.kill();
        thread::sleep(Duration::from_millis(300 * round)); // they look for it in vain, or not
        server.start_again();
    }
    let results = bench.results(0);
    assert!(results.values().all(|(state, ..)| state == "Done"), "{results:?}");
    assert_eq!(results.len(), 24);
    bench.all_there(24);
    // The same two processes, all the time.
    workers.iter_mut().for_each(Program::is_told_to_stop);
    assert_eq!(bench.status(), "0 waiting, 0 running, 24 done, 0 failed");
}

fn a_job_that_was_taken_in_is_on_the_disk(bench: &mut Bench) {
    bench.produce(50);
    let server = bench.server.as_mut().unwrap();
    server.kill();
    server.start_again();
    assert_eq!(bench.status(), "50 waiting, 0 running, 0 done, 0 failed");
    assert_eq!(bench.says(PRODUCE, Some(0)), "50 jobs, 0 of them new\n");
}

fn what_is_wrong_is_said() {
    let bench = Bench::new(None);
    let complaint = |words: &str, url: Option<&str>| {
        let mut command = bench.command(words);
        command.envs(url.map(|url| ("REDIS_URL", url)));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (words, url, status, said) in [
        ("produce", None, 2, "produce needs --folder DIR"),
        ("produce --folder files", None, 2, "produce needs --results DIR"),
        ("work --runs 0", None, 2, "--runs: from 1 to 24"),
        ("work --runs 25", None, 2, "--runs: from 1 to 24"),
        ("work --dead-after 1", None, 2, "--dead-after: from 2 seconds to a day"),
        ("work --jobs 0", None, 2, "--jobs 0"),
        ("work --nonsense", None, 2, "unknown argument \"--nonsense\""),
        ("nonsense", None, 2, "unknown argument \"nonsense\""),
        ("status --store x", Some("redis://127.0.0.1:1"), 2, "--store and REDIS_URL"),
        ("status", Some("redis://u:secret@127.0.0.1:1/3"), 1, "Redis at 127.0.0.1:1/3: "),
        ("work", Some("redis://127.0.0.1:1"), 1, "Redis at 127.0.0.1:1: "),
        ("work", Some("nonsense"), 1, "nonsense: "),
        ("status", None, 1, "job-queue.sqlite: "),
        ("results --wait", None, 1, "job-queue.sqlite: "),
        ("work --store no/such/folder", None, 1, "no/such/folder: "),
        ("produce --folder none --results results", None, 1, "none: No such file or directory"),
        ("status --store files", None, 1, "files: "),
    ] {
        let (code, error) = complaint(words, url);
        assert_eq!(code, Some(status), "{words}: {error}");
        assert!(error.contains(said) && !error.contains("secret"), "{words}: {error}");
    }
    assert!(!bench.folder.path().join("job-queue.sqlite").exists());
    fs::write(bench.folder.path().join("text"), "this is no database\n".repeat(100)).unwrap();
    let (code, error) = complaint("work --store text", None);
    assert_eq!((code, error.contains("text: ")), (Some(1), true), "{error}");
    fs::write(bench.folder.path().join("files").join(OsStr::from_bytes(b"\xff")), "").unwrap();
    let (code, error) = complaint(PRODUCE, None);
    assert_eq!((code, error.contains("this name is no UTF-8")), (Some(1), true), "{error}");
    assert!(bench.says("--help", Some(0)).contains("--dead-after S"));
}
