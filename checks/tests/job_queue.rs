//! 1_1_8_job_queue as its users would run it: producers and workers as programs of their own, over
//! a SQLite file and over a real redis-server, with workers and the server killed. Each promise is
//! put to the test over both.

use checks::run;
use harness::{Failed, Trial};
use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Only reached when something is wrong.
const DEADLINE: Duration = Duration::from_secs(60);

type Test = fn(&mut Bench);

const ON_BOTH: [(&str, Test); 13] = [
    ("what_cannot_be_decoded_is_set_aside_and_others_go_on", what_cannot_be_decoded_is_set_aside),
    (
        "what_a_file_has_become_does_not_block_a_worker",
        what_a_file_has_become_does_not_block_a_worker,
    ),
    ("any_file_name_can_be_stored_shown_and_checked", any_file_name_can_be_stored),
    (
        "jobs_stored_before_the_clock_was_set_back_run",
        jobs_stored_before_the_clock_was_set_back_run,
    ),
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

fn main() -> ExitCode {
    let alone: [(&'static str, fn()); 10] = [
        ("a_store_that_is_read_only_can_be_read", a_store_that_is_read_only),
        ("an_output_that_cannot_be_written_is_no_panic", an_output_that_cannot_be_written),
        ("what_is_wrong_is_said", what_is_wrong_is_said),
        ("too_few_open_files_are_one_error", too_few_open_files_are_one_error),
        ("a_role_is_a_word_and_not_the_value_of_a_flag", a_role_is_a_word),
        ("a_file_that_is_not_a_store_is_not_changed", a_file_that_is_not_a_store_is_not_changed),
        ("results_and_the_store_do_not_become_jobs", results_and_the_store_do_not_become_jobs),
        ("a_store_that_others_hold_is_not_waited_for_without_end", a_store_that_others_hold),
        ("a_store_of_an_earlier_version_is_used_further", a_store_of_an_earlier_version),
        ("a_full_disk_and_an_early_end_lose_nothing", a_full_disk_and_an_early_end_lose_nothing),
    ];
    let alone = alone.into_iter().map(|(name, test)| {
        Trial::new(name, move || {
            test();
            Ok(())
        })
    });
    let mut trials: Vec<_> = alone.collect();
    for (name, test) in ON_BOTH {
        trials.push(Trial::new(format!("sqlite::{name}"), move || {
            test(&mut Bench::new(None));
            Ok(())
        }));
    }
    for (name, test) in ON_BOTH.into_iter().chain(ON_REDIS) {
        trials.push(Trial::new(format!("redis::{name}"), move || on_redis(name, test)));
    }
    // They wait most of their time, for workers to be found dead.
    harness::run_at_once(8, trials)
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
            // Somebody else may have taken the port meanwhile: then it ends, and another one is
            // tried.
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

    /// Sends one command.
    fn command(&self, words: &[&[u8]]) {
        let answer = self.asks(words);
        assert!(!answer.starts_with('-'), "{words:?}: {answer}");
    }

    /// The answer's last line.
    fn asks(&self, words: &[&[u8]]) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).into_bytes());
            request.extend_from_slice(word);
            request.extend(b"\r\n");
        }
        connection.write_all(&request).unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer.lines().last().unwrap_or_default().to_owned()
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
    // Clocks tick in seconds: the second run came in the next one at the earliest, the third in the
    // next but one after that.
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
    // Its last job takes longer than a dead worker is waited for: it must go on telling that it
    // lives.
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
    // A second one leaves what is in hand to others, which find it at once or when it is taken for
    // dead.
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

/// Puts things into the store that this program would not put there.
fn tamper(bench: &Bench, sql: &str, redis: &[&[&[u8]]]) {
    match &bench.server {
        None => sqlite(&bench.folder.path().join("job-queue.sqlite"), sql),
        Some(server) => redis.iter().for_each(|command| server.command(command)),
    }
}

/// What `sqlite3` prints after `sql`.
fn sqlite_says(file: &Path, sql: &str) -> String {
    let mut command = Command::new("sqlite3");
    let output = command.args(["-cmd", ".timeout 20000"]).arg(file).arg(sql).output().unwrap();
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn sqlite(file: &Path, sql: &str) {
    assert_eq!(sqlite_says(file, sql), "");
}

/// A name as the store gives it, that is smaller than all others: its job comes first.
const FIRST: &str = "00000000000000000000000000";

fn what_cannot_be_decoded_is_set_aside(bench: &mut Bench) {
    bench.produce(3);
    let id = |n: u32| format!("{:026}", n);
    let job = r#"{"file":"/a","results":"/r","key":"k"}"#;
    let insert = |id: &str, job: &str, status: &str, attempts: &str, metadata: &str| {
        format!(
            "INSERT INTO Jobs (job, id, job_type, status, attempts, run_at, metadata) \
            VALUES ({job}, {id}, 'checksums', {status}, {attempts}, 0, {metadata});"
        )
    };
    let quoted = |text: &str| format!("'{text}'");
    let sql = [
        // Not a job: truncated, not UTF-8, of another version.
        insert(&quoted(FIRST), "'{\"file\":'", "'Pending'", "0", "NULL"),
        insert(&quoted(&id(1)), "x'ff00'", "'Failed'", "1", "NULL"),
        insert(&quoted(&id(2)), "'{}'", "'Pending'", "0", "NULL"),
        // A job in a row that cannot be read: its name, its number of runs, its metadata, its
        // content.
        insert(
            "'! ' || char(10) || char(27) || char(8238)",
            &quoted(job),
            "'Pending'",
            "0",
            "NULL",
        ),
        insert(&quoted(&id(4)), &quoted(job), "'Pending'", "-1", "NULL"),
        insert(&quoted(&id(5)), &quoted(job), "'Pending'", "0", "CAST(x'7bff' AS TEXT)"),
        insert(&quoted(&id(6)), &quoted(job), "'Pending'", "'many'", "NULL"),
        insert(&quoted(&id(7)), &quoted(job), "'Frozen'", "0", "NULL"),
    ];
    let queue = |name: &str| format!("checksums:{name}").into_bytes();
    let [active, data] = [queue("active"), queue("data")];
    let meta = |id: &str| queue(&format!("meta:{id}"));
    let metas: Vec<_> = (0..8).map(|n| meta(&id(n))).collect();
    let ids: Vec<_> = (0..8).map(|n| id(n).into_bytes()).collect();
    let odd = "! \n\x1b\u{202e}";
    let odd_meta = meta(odd);
    let good = [&b"attempts"[..], b"0", b"max_attempts", b"25", b"status", b"Pending"];
    fn hset<'a>(key: &'a [u8], good: &[&'a [u8]]) -> Vec<&'a [u8]> {
        [&[&b"HSET"[..], key], good].concat()
    }
    let redis: Vec<Vec<&[u8]>> = vec![
        vec![
            b"HSET",
            &data,
            &ids[0],
            b"{\"file\":",
            &ids[1],
            b"\xff\0",
            &ids[2],
            b"{}",
            odd.as_bytes(),
            b"{}",
        ],
        vec![
            b"HSET",
            &data,
            &ids[4],
            job.as_bytes(),
            &ids[5],
            job.as_bytes(),
            &ids[6],
            job.as_bytes(),
        ],
        hset(&metas[0], &good),
        hset(&metas[1], &good),
        hset(&metas[2], &good),
        hset(&odd_meta, &good),
        hset(&metas[4], &good),
        vec![b"HSET", &metas[4], b"attempts", b"-1"],
        hset(&metas[5], &good),
        vec![b"HSET", &metas[5], b"more", b"\xff"],
        vec![b"SET", &metas[6], b"not a hash"],
        // And one with nothing behind its name.
        [
            &[b"LPUSH", &active[..]],
            &[&ids[0], &ids[1], &ids[2], odd.as_bytes()][..],
            &[&ids[4], &ids[5], &ids[6], &ids[7]],
        ]
        .concat(),
    ];
    let redis: Vec<&[&[u8]]> = redis.iter().map(Vec::as_slice).collect();
    tamper(bench, &sql.concat(), &redis);

    // They are named before a worker has seen them, too.
    let status = bench.says("status", Some(0));
    assert!(status.contains(&format!("\njob {FIRST} cannot be decoded: ")), "{status}");
    let mut worker = bench.work("--name w");
    let said = bench.says("results --wait", Some(1));
    worker.is_told_to_stop();
    let done = said.lines().filter(|line| line.starts_with("Done\t1\t")).count();
    let failed: Vec<_> = said.lines().filter(|line| line.starts_with("Failed\t")).collect();
    assert_eq!((done, failed.len(), said.lines().count()), (3, 8, 11), "{said}");
    for (n, reason) in [
        (0, "cannot be decoded: "),
        (1, "cannot be decoded: "),
        (2, "cannot be decoded: missing field `file`"),
        (4, "attempts is invalid"),
        (5, ""), // metadata: the one store ignores what the other refuses
        (6, ""),
        (7, ""),
    ] {
        let name = format!("\tjob {}\t(", id(n));
        // What could be decoded, in an entry that could not be read, may be shown by its file.
        let is_it = |line: &&&str| line.contains(&name) || n >= 4 && line.contains("\t/a\t");
        let line = failed.iter().filter(is_it).find(|line| line.contains(reason));
        assert!(line.is_some(), "{n}: {said}");
    }
    let line = failed.iter().find(|line| line.contains(r"job ! \n\u{1b}\u{202e}"));
    assert!(line.is_some(), "{said}");
    let status = bench.says("status", Some(0));
    assert!(status.starts_with("0 waiting, 0 running, 3 done, 8 failed\n"), "{status}");
    assert!(status.contains(&format!("\njob {FIRST} cannot be decoded: ")), "{status}");
    bench.all_there(3);
}

fn what_a_file_has_become_does_not_block_a_worker(bench: &mut Bench) {
    bench.produce(6);
    let become_another = |name: &str, make: &dyn Fn(&Path)| {
        fs::remove_file(bench.file(name)).unwrap();
        make(&bench.file(name));
    };
    let fifo = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    become_another("0", &fifo);
    let socket = std::cell::Cell::new(None);
    become_another("1", &|path| socket.set(Some(UnixListener::bind(path).unwrap())));
    become_another("2", &|path| symlink("/dev/zero", path).unwrap()); // would never end
    become_another("3", &|path| symlink(bench.file("5"), path).unwrap());
    become_another("4", &|path| fs::create_dir(path).unwrap());
    let mut worker = bench.work("--runs 1");
    let results = bench.results(1);
    for n in 0..5 {
        let (state, _, reason) = &results[&n.to_string()];
        assert!(
            state == "Failed" && reason.ends_with(&format!("/{n}: not a regular file)")),
            "{n}: {reason}"
        );
    }
    assert_eq!(results["5"].0, "Done");
    worker.is_told_to_stop();
    // What stands where the result goes to.
    fs::write(bench.file("6"), "new").unwrap();
    bench.says(PRODUCE, Some(0));
    let parts = bench.folder.path().join("results");
    let before = checks::entries(&parts).unwrap().len();
    assert_eq!(before, 1);
    let mut worker = bench.work("--runs 1");
    bench.results(1);
    worker.is_told_to_stop();
    bench.all_there(2);
}

fn any_file_name_can_be_stored(bench: &mut Bench) {
    let names = [
        &b"a\nFailed\t1\tb"[..],
        b"a\\b",
        b"a\rb",
        b"\xff\xfe",
        "中文 名".as_bytes(),
        b"a\x1b[2J",
        "a\u{202e}b".as_bytes(),
        b" a ",
    ];
    for name in names {
        fs::write(bench.folder.path().join("files").join(OsStr::from_bytes(name)), name).unwrap();
    }
    assert_eq!(bench.says(PRODUCE, Some(0)), "8 jobs, 8 of them new\n");
    assert_eq!(bench.says(PRODUCE, Some(0)), "8 jobs, 0 of them new\n");
    let mut worker = bench.work("--name w\u{202e}");
    let said = bench.says("results --wait", Some(0));
    assert_eq!(said.lines().count(), 8, "{said}");
    for shown in [
        r"/a\nFailed\t1\tb",
        r"/a\\b",
        r"/a\rb",
        r"/\xff\xfe",
        "/中文 名",
        r"/a\u{1b}[2J",
        r"/a\u{202e}b",
        "/ a ",
    ] {
        assert!(said.contains(&format!("{shown}\t")), "{shown}: {said}");
    }
    worker.is_told_to_stop();
    // Two lines for each: nothing that is in a name has made another.
    let lines: Vec<_> = worker.lines.iter().collect();
    assert_eq!(lines.len(), 16, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with(r"w\u{202e} ")), "{lines:?}");
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "--quiet"]);
    check.args(checks::entries(&bench.folder.path().join("results")).unwrap());
    assert_eq!(check.get_args().count(), 3 + 8);
    assert!(check.status().unwrap().success());
}

fn jobs_stored_before_the_clock_was_set_back_run(bench: &mut Bench) {
    bench.produce(3);
    // As if one had failed, and a worker had died with another, before the clock went back by a
    // day.
    let job: String = match &bench.server {
        None => {
            sqlite_says(&bench.folder.path().join("job-queue.sqlite"), "SELECT min(id) FROM Jobs;")
        }
        Some(server) => server.asks(&[b"LINDEX", b"checksums:active", b"0"]),
    };
    let (job, tomorrow) = (job.trim(), now() + 86_400);
    tamper(
        bench,
        &format!(
            "INSERT INTO Workers (id, worker_type, storage_name, last_seen) VALUES ('dead', 'checksums', 's', {tomorrow}); \
            UPDATE Jobs SET status = 'Failed', attempts = 1, run_at = {tomorrow} WHERE id = (SELECT max(id) FROM Jobs); \
            UPDATE Jobs SET status = 'Running', lock_by = 'dead' WHERE id = '{job}';"
        ),
        &[
            &[b"LREM", b"checksums:active", b"1", job.as_bytes()],
            &[b"SADD", b"checksums:inflight:dead", job.as_bytes()],
            &[b"ZADD", b"checksums:workers", tomorrow.to_string().as_bytes(), b"dead"],
            &[b"EVAL", b"redis.call('ZADD', 'checksums:scheduled', ARGV[1], redis.call('LPOP', 'checksums:active'))", b"0", tomorrow.to_string().as_bytes()],
        ],
    );
    assert!(bench.status().starts_with("2 waiting, 1 running"));
    let mut worker = bench.work("");
    assert!(bench.results(0).values().all(|(state, ..)| state == "Done"));
    worker.is_told_to_stop();
    bench.all_there(3);
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn a_role_is_a_word() {
    let bench = Bench::new(None);
    fs::write(bench.file("a"), "a").unwrap();
    // Whatever the values are called, and wherever the role stands.
    let words = "--queue work --store results produce --folder files --results=status";
    assert_eq!(bench.says(words, Some(0)), "1 jobs, 1 of them new\n");
    assert!(bench.says("--queue work --store results status", Some(0)).starts_with("1 waiting"));
    assert!(bench.says("status --store results --queue status", Some(0)).starts_with("0 waiting"));
    let mut worker =
        Program::start(bench.command("--name produce --queue work work --store results"));
    assert_eq!(worker.line(), "produce begins a, run 1");
    worker.is_told_to_stop();
}

/// The directory's files and what is in them.
fn contents(folder: &Path) -> HashMap<PathBuf, Vec<u8>> {
    let files = checks::entries(folder).unwrap().into_iter().filter(|path| path.is_file());
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn a_file_that_is_not_a_store_is_not_changed() {
    let bench = Bench::new(None);
    let folder = bench.folder.path().join("foreign");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("text"), "this is no database\n".repeat(100)).unwrap();
    fs::write(folder.join("short"), "SQLite format 3\0").unwrap();
    sqlite(&folder.join("empty-log"), "PRAGMA user_version = 7;");
    sqlite(&folder.join("table"), "CREATE TABLE Jobs (job); INSERT INTO Jobs VALUES (1);");
    sqlite(&folder.join("id"), "PRAGMA application_id = 7; CREATE TABLE Jobs (job);");
    sqlite_says(&folder.join("wal"), "PRAGMA journal_mode = wal; CREATE TABLE t (a);");
    let before = contents(&folder);
    for (name, said) in [
        ("text", "it is not a SQLite file"),
        ("short", "it is not a SQLite file"),
        ("table", "another program's SQLite file"),
        ("id", "another program's SQLite file"),
        ("wal", "another program's SQLite file"),
    ] {
        for role in ["status", "results", "results --wait", "work", PRODUCE] {
            let output = bench.command(&format!("{role} --store foreign/{name}")).output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{role} {name}: {error}");
            assert!(
                error.contains(&format!("error: foreign/{name}: ")) && error.contains(said),
                "{role} {name}: {error}"
            );
            assert!(contents(&folder) == before, "{role} {name}");
        }
    }
    // What cannot even be opened without an effect, or an end.
    let fifo = folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    symlink("fifo", folder.join("link")).unwrap();
    let _socket = UnixListener::bind(folder.join("socket")).unwrap();
    for (name, said) in [
        ("fifo", "it is a FIFO"),
        ("link", "it is a FIFO"),
        ("socket", "it is a socket"),
        ("../files", "it is a directory"),
        ("none", "No such file or directory"),
        ("none/none", "No such file or directory"),
    ] {
        for role in ["status", "results --wait"] {
            let output = bench.command(&format!("{role} --store foreign/{name}")).output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(
                output.status.code() == Some(1) && error.contains(said),
                "{role} {name}: {error}"
            );
        }
    }
    // A file of SQLite's own beside the store.
    fs::write(bench.file("a"), "a").unwrap();
    bench.says(PRODUCE, Some(0));
    _ = fs::remove_file(bench.folder.path().join("job-queue.sqlite-wal"));
    assert!(
        Command::new("mkfifo")
            .arg(bench.folder.path().join("job-queue.sqlite-wal"))
            .status()
            .unwrap()
            .success()
    );
    for role in ["status", "work"] {
        let output = bench.command(role).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(1) && error.contains("-wal at its end"),
            "{role}: {error}"
        );
    }
    // A link to a store is a store.
    symlink(bench.folder.path().join("real"), bench.folder.path().join("linked")).unwrap();
    bench.says(&format!("{PRODUCE} --store linked"), Some(0));
    assert!(bench.says("status --store real", Some(0)).starts_with("1 waiting"));
}

fn results_and_the_store_do_not_become_jobs() {
    let bench = Bench::new(None);
    fs::write(bench.file("a"), "a").unwrap();
    let outer = bench.folder.path().join("outer");
    fs::create_dir(&outer).unwrap();
    symlink("files", bench.folder.path().join("link")).unwrap();
    for words in [
        "--folder files --results files",
        "--folder files --results files/results",
        "--folder files --results files/new/results",
        "--folder files --results link/results",
        "--folder files --results outer/../files/results",
        "--folder . --results results",
    ] {
        let output = bench.command(&format!("produce {words}")).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}: {error}");
        assert!(error.contains("is inside --folder") && error.contains("expected"), "{error}");
    }
    // Refused before anything was created.
    assert_eq!(checks::entries(&bench.folder.path().join("files")).unwrap(), [bench.file("a")]);
    assert!(!bench.folder.path().join("job-queue.sqlite").exists());
    assert_eq!(
        bench.says("produce --folder files --results files-results", Some(0)),
        "1 jobs, 1 of them new\n"
    );
    // A store whose name is not UTF-8 is one like any other.
    let store = OsStr::from_bytes(b"\xff store");
    for (words, said) in [
        ("produce --folder files --results outer --store", "1 jobs, 1 of them new\n"),
        ("produce --folder files --results outer --store", "1 jobs, 0 of them new\n"),
        ("status --store", "1 waiting, 0 running, 0 done, 0 failed\n"),
    ] {
        let output = bench.command(words).arg(store).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), said, "{output:?}");
    }
    let output = bench.command("status --store").arg(OsStr::from_bytes(b"\xfe")).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "error: \\xfe: No such file or directory (os error 2)\n");
    // A store among the files, with what SQLite keeps beside it, while a worker has it open.
    let words = "produce --folder files --results outer --store files/queue --queue q";
    assert_eq!(bench.says(words, Some(0)), "1 jobs, 1 of them new\n");
    let mut worker = bench.work("--store files/queue --queue q");
    assert!(
        bench.says("results --wait --store files/queue --queue q", Some(0)).starts_with("Done")
    );
    assert_eq!(bench.says(words, Some(0)), "1 jobs, 0 of them new\n");
    worker.is_told_to_stop();
}

fn a_store_that_others_hold() {
    let bench = Bench::new(None);
    fs::write(bench.file("a"), "a").unwrap();
    let lock = fs::File::open(bench.folder.path()).unwrap();
    lock.lock().unwrap();
    let error = |words: &str| {
        let output = bench.command(words).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // The lock is needed to create the tables, and only for that.
    let (code, said) = error(PRODUCE);
    assert!(
        code == Some(1) && said.contains("another program has held a lock on its directory"),
        "{said}"
    );
    drop(lock);
    assert_eq!(bench.says(PRODUCE, Some(0)), "1 jobs, 1 of them new\n");
    let lock = fs::File::open(bench.folder.path()).unwrap();
    lock.lock().unwrap();
    assert_eq!(bench.status(), "1 waiting, 0 running, 0 done, 0 failed");
    assert_eq!(bench.says(PRODUCE, Some(0)), "1 jobs, 0 of them new\n");
    let mut worker = bench.work("");
    bench.results(0);
    worker.is_told_to_stop();
    drop(lock);

    // Another program in the middle of a transaction.
    let mut sqlite = Command::new("sqlite3");
    sqlite
        .arg(bench.folder.path().join("job-queue.sqlite"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut sqlite = Running(sqlite.spawn().unwrap());
    let mut keyboard = sqlite.0.stdin.take().unwrap();
    keyboard.write_all(b"BEGIN EXCLUSIVE; SELECT 'held';\n").unwrap();
    let mut line = String::new();
    BufReader::new(sqlite.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    assert_eq!(bench.status(), "0 waiting, 0 running, 1 done, 0 failed");
    fs::write(bench.file("b"), "b").unwrap();
    let (code, said) = error(PRODUCE);
    assert!(code == Some(1) && said.contains("it is locked by another program"), "{said}");
}

fn an_output_that_cannot_be_written() {
    let bench = Bench::new(None);
    fs::write(bench.file("a"), "a").unwrap();
    for words in [PRODUCE, "status", "results", "--help", "--version"] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = bench.command(words).stdout(full).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let said =
            "error: cannot write to standard output: No space left on device (os error 28)\n";
        assert_eq!((output.status.code(), error.as_str()), (Some(1), said), "{words}");
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = bench.command(words).stdout(writer).output().unwrap();
        use std::os::unix::process::ExitStatusExt;
        // SIGPIPE
        assert_eq!((output.status.signal(), output.stderr.len()), (Some(13), 0), "{words}");
    }
    assert_eq!(bench.status(), "1 waiting, 0 running, 0 done, 0 failed");
}

fn a_store_that_is_read_only() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new(None);
    bench.produce(2);
    let folder = bench.folder.path();
    fs::copy(checks::program("1_1_8_job_queue"), folder.join("program")).unwrap();
    let mode = |mode| fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    // For root, nothing is read-only.
    let user = |words: &str| {
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg("./program");
            command
        } else {
            Command::new("./program")
        };
        command.args(words.split(' ')).current_dir(folder).env_remove("REDIS_URL");
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let counted = "2 waiting, 0 running, 0 done, 0 failed\n".to_owned();
    let read_only = "error: job-queue.sqlite: it is read-only\n".to_owned();
    mode(0o555);
    assert_eq!(user("status"), (Some(0), counted.clone()));
    mode(0o755);
    // Nothing in the log is missing in the file.
    let log = sqlite_says(&folder.join("job-queue.sqlite"), "PRAGMA wal_checkpoint(TRUNCATE);");
    assert_eq!(log, "0|0|0\n");
    for name in ["-wal", "-shm"] {
        _ = fs::remove_file(folder.join(format!("job-queue.sqlite{name}")));
    }
    fs::set_permissions(folder.join("job-queue.sqlite"), fs::Permissions::from_mode(0o444))
        .unwrap();
    mode(0o555);
    assert_eq!(user("status"), (Some(0), counted));
    assert_eq!(user(PRODUCE), (Some(1), read_only));
    mode(0o755);
}

fn a_store_of_an_earlier_version() {
    let bench = Bench::new(None);
    bench.produce(2);
    let store = bench.folder.path().join("job-queue.sqlite");
    // As the version before this one left it: no number of this program's in its header, and the
    // library's indices.
    sqlite(
        &store,
        "PRAGMA application_id = 0; PRAGMA user_version = 0; DROP INDEX job_queue_retry; DROP INDEX job_queue_held; \
        CREATE INDEX LIdx ON Jobs(lock_by); CREATE INDEX idx_jobs_status_run_at ON Jobs(status, run_at);",
    );
    assert_eq!(bench.status(), "2 waiting, 0 running, 0 done, 0 failed");
    assert_eq!(bench.says(PRODUCE, Some(0)), "2 jobs, 0 of them new\n");
    let indices = "SELECT count(*) FROM sqlite_schema WHERE name IN \
        ('LIdx', 'idx_jobs_status_run_at', 'job_queue_retry', 'job_queue_held');";
    assert_eq!(sqlite_says(&store, indices), "2\n");
    assert_eq!(sqlite_says(&store, "PRAGMA application_id;"), format!("{}\n", 0x4a6f_6251));
    let mut worker = bench.work("");
    bench.results(0);
    worker.is_told_to_stop();
    bench.all_there(2);
    // And a store whose creation was cut off.
    let cut = bench.folder.path().join("cut");
    sqlite(&cut, &format!("PRAGMA application_id = {};", 0x4a6f_6251));
    assert_eq!(bench.says(&format!("{PRODUCE} --store cut"), Some(0)), "2 jobs, 2 of them new\n");
}

fn a_full_disk_and_an_early_end_lose_nothing() {
    let bench = Bench::new(None);
    bench.produce(3);
    // Room for no more pages.
    let store = bench.folder.path().join("job-queue.sqlite");
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"])
        .arg(checks::program("1_1_8_job_queue"))
        .args(["work", "--dead-after", "2"])
        .current_dir(bench.folder.path())
        .env_remove("REDIS_URL")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut process = Running(output);
    let mut said = String::new();
    let mut stderr = BufReader::new(process.0.stderr.take().unwrap());
    stderr.read_line(&mut said).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    drop(process);
    let mut worker = bench.work("--runs 24");
    assert!(bench.results(0).values().all(|(state, ..)| state == "Done"));
    worker.is_told_to_stop();
    bench.all_there(3);
    assert_eq!(sqlite_says(&store, "PRAGMA integrity_check;"), "ok\n");
}

/// The demonstration ends with one line, nothing done and nothing left.
fn too_few_open_files_are_one_error() {
    let folder = TempDir::new().unwrap();
    for limit in [6, 9, 10, 12, 13, 14, 16, 18, 20] {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={limit}")).arg(checks::program("1_1_8_job_queue"));
        let outcome = run::run(command.env("TMPDIR", folder.path())).unwrap();
        let said = outcome.stderr.as_str();
        assert_eq!(
            (outcome.status.code(), outcome.stdout.as_str()),
            (Some(1), ""),
            "{limit}: {said}"
        );
        let is_one = said.starts_with("error: ") && said.lines().count() == 1;
        assert!(is_one && said.contains("Too many open files"), "{limit}: {said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{limit}");
    }
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
        ("work --runs 0", None, 2, "--runs \"0\": expected a whole number from 1 to 24"),
        ("work --runs 25", None, 2, "--runs \"25\": expected"),
        (
            "work --dead-after 1",
            None,
            2,
            "--dead-after \"1\": expected a whole number from 2 to 86400",
        ),
        ("work --dead-after 86401", None, 2, "--dead-after \"86401\": expected"),
        ("work --jobs 0", None, 2, "--jobs \"0\": expected a whole number from 1 to 1024"),
        ("work --jobs 18446744073709551615", None, 2, "--jobs \"18446744073709551615\": expected"),
        ("work --jobs nan", None, 2, "--jobs \"nan\": expected"),
        ("work --slow -1", None, 2, "--slow \"-1\": expected"),
        ("work --slow 18446744073709551615", None, 2, "--slow \"18446744073709551615\": expected"),
        ("work --nonsense", None, 2, "unknown argument \"--nonsense\""),
        (
            "nonsense",
            None,
            2,
            "\"nonsense\" is unknown: expected one of produce, work, status, results",
        ),
        ("status work", None, 2, "unexpected argument \"work\""),
        ("--queue work", None, 2, "--queue needs one of produce, work, status, results"),
        ("status --wait", None, 2, "--wait is an option of results only"),
        ("work --folder files", None, 2, "--folder is an option of produce only"),
        ("status --store=", None, 2, "--store \"\": expected a path"),
        (
            "status --store x",
            Some("redis://127.0.0.1:1"),
            2,
            "--store and REDIS_URL exclude each other",
        ),
        ("status", Some("redis://u:secret@127.0.0.1:1/3"), 1, "Redis at 127.0.0.1:1/3: "),
        ("status", Some("redis://127.0.0.1:1?pass=secret"), 1, "Redis at 127.0.0.1:1: "),
        ("work", Some("redis://:%73ecret%40secret@127.0.0.1:1"), 1, "Redis at 127.0.0.1:1: "),
        ("results", Some("redis+unix:///nowhere.sock?pass=secret"), 1, "Redis at /nowhere.sock: "),
        (
            "status",
            Some("redis://:se/secret@127.0.0.1:1"),
            1,
            "the Redis URL: it is invalid; expected redis://",
        ),
        ("work", Some("redis://127.0.0.1:1"), 1, "Redis at 127.0.0.1:1: "),
        ("work", Some("nonsense"), 1, "the Redis URL: it is invalid; expected redis://"),
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
    let (code, error) = complaint(&format!("{PRODUCE} --store files/\u{202e}\u{1b}"), None);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(bench.says("--help", Some(0)).contains("--dead-after <S>"));
    assert_eq!(bench.says("--version", Some(0)), "1_1_8_job_queue 0.1.0\n");
}
