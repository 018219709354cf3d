//! 1_4_7_task_manager and 1_4_8_task_worker as two people would use them: a program each, with a
//! worker that is killed in the middle, a wrong key, and, where network namespaces can be made, on
//! two hosts with addresses of their own.

use multiproc_manager::Client;
use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader, Write},
    os::unix::ffi::OsStrExt,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

/// Only reached when something is wrong.
const DEADLINE: Duration = Duration::from_secs(60);
const KEY: &str = "a key for this test";

struct Program {
    process: Child,
    lines: Receiver<String>,
}

impl Program {
    /// Starts the example `name`, on `host` if that is one.
    fn start(host: Option<&str>, name: &str, arguments: &[&str], key: &str) -> Program {
        let program = checks::program(name);
        let mut command = match host {
            None => Command::new(program),
            Some(host) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", host]).arg(program);
                command
            }
        };
        command.args(arguments).env("MANAGER_KEY", key).env("TICK_MS", "5");
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (line, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|l| _ = line.send(l)));
        Program { process, lines }
    }

    /// Waits for a line that begins with `begin` and returns the rest.
    fn says(&self, begin: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).unwrap_or_else(|e| panic!("{begin}: {e}"));
            if let Some(rest) = line.strip_prefix(begin) {
                return rest.to_owned();
            }
        }
    }

    fn ends(&mut self) -> Option<i32> {
        checks::run::ended(&mut self.process).code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const SQUARES: &str = "got 10 results: [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]";

#[test]
fn a_killed_worker_loses_no_task_and_a_wrong_key_is_refused() {
    let mut manager = Program::start(None, "1_4_7_task_manager", &["--listen", "127.0.0.1:0"], KEY);
    let address = manager.says("listening on ");
    let worker = |key| Program::start(None, "1_4_8_task_worker", &["--connect", &address], key);

    assert_eq!(worker("another key").ends(), Some(1));

    let mut killed = worker(KEY);
    killed.says("0 * 0"); // it has the first task on lease
    killed.process.kill().unwrap();
    let mut workers = [worker(KEY), worker(KEY), worker(KEY)];
    assert_eq!(format!("got {}", manager.says("got ")), SQUARES);
    assert_eq!(manager.ends(), Some(0));
    let codes = workers.each_mut().map(|worker| worker.ends());
    assert_eq!(codes, [Some(0); 3]);
}

#[test]
fn a_key_that_is_set_is_used_or_refused() {
    for key in [&b""[..], b"\xff", b"abc\xc3"] {
        for (name, arguments) in [
            ("1_4_7_task_manager", ["--listen", "127.0.0.1:0"]),
            ("1_4_8_task_worker", ["--connect", "127.0.0.1:1"]),
        ] {
            let mut command = Command::new(checks::program(name));
            command.args(arguments).env("MANAGER_KEY", OsStr::from_bytes(key));
            let output = command.output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{name}: {error}");
            assert!(error.contains("MANAGER_KEY") && output.stdout.is_empty(), "{name}: {error}");
        }
    }
    for (name, argument) in [
        ("1_4_7_task_manager", "--tasks=1000001"),
        ("1_4_7_task_manager", "--tasks=-1"),
        ("1_4_7_task_manager", "--workers=18446744073709551616"),
        ("1_4_7_task_manager", "--workers=nan"),
        ("1_4_7_task_manager", "--listen=localhost"),
        ("1_4_8_task_worker", "--connect=127.0.0.1"),
        ("1_4_8_task_worker", "--connect=127.0.0.1:65536"),
        ("1_4_8_task_worker", "--connect="),
    ] {
        let output = Command::new(checks::program(name)).arg(argument).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let (flag, _) = argument.split_once('=').unwrap();
        assert_eq!(output.status.code(), Some(2), "{argument}: {error}");
        assert!(error.starts_with(&format!("error: {flag} ")), "{argument}: {error}");
    }
}

#[test]
fn whatever_others_put_the_manager_and_its_workers_go_on() {
    let mut manager = Program::start(None, "1_4_7_task_manager", &["--listen", "127.0.0.1:0"], KEY);
    let address = manager.says("listening on ");
    manager.says("put 10 tasks");
    let client = Client::new(&address[..], KEY.as_bytes()).unwrap();
    // Results that are none, that are wrong, and a right one twice.
    let mut texts = client.queue::<String>("results").unwrap();
    for text in ["", "nonsense", &"\u{202e}".repeat(1000)] {
        texts.put(&text.to_owned()).unwrap();
    }
    let mut results = client.queue::<(u32, u64)>("results").unwrap();
    for result in [(3, 10), (10, 100), (u32::MAX, 1), (4, 16), (4, 16), (0, u64::MAX)] {
        results.put(&result).unwrap();
    }
    // One who takes tasks and says that they are done.
    let mut tasks = client.queue::<u32>("tasks").unwrap();
    (0..5).for_each(|number| assert_eq!(tasks.get().unwrap().acknowledge().unwrap(), number));
    // Tasks that are none, or nobody's.
    client.queue::<[u8; 7]>("tasks").unwrap().put(&[0xff; 7]).unwrap();
    tasks.put(&77).unwrap();
    let mut workers =
        [(); 2].map(|()| Program::start(None, "1_4_8_task_worker", &["--connect", &address], KEY));
    assert_eq!(format!("got {}", manager.says("got ")), SQUARES);
    assert_eq!(manager.ends(), Some(0));
    workers.iter_mut().for_each(|worker| assert_eq!(worker.ends(), Some(0)));
}

#[test]
fn a_manager_that_is_gone_is_an_error_and_its_port_is_free_at_once() {
    let manager = Program::start(None, "1_4_7_task_manager", &["--listen", "127.0.0.1:0"], KEY);
    let address = manager.says("listening on ");
    let mut worker = Program::start(None, "1_4_8_task_worker", &["--connect", &address], KEY);
    worker.says("0 * 0");
    drop(manager); // killed
    assert_eq!(worker.ends(), Some(1));
    let again = Program::start(None, "1_4_7_task_manager", &["--listen", &address], KEY);
    assert_eq!(again.says("listening on "), address);
}

/// Two hosts, joined by a cable: network namespaces with a pair of virtual interfaces.
struct Hosts {
    names: [String; 2],
}

impl Hosts {
    /// `None`, where they cannot be made: it takes Linux's `ip` and the right to use it.
    fn new() -> Option<Hosts> {
        let id = std::process::id();
        let names = [format!("case-a-{id}"), format!("case-b-{id}")];
        let hosts = Hosts { names };
        let [a, b] = &hosts.names;
        let (near, far) = (format!("ca{id}"), format!("cb{id}"));
        let steps = [
            format!("netns add {a}"),
            format!("netns add {b}"),
            format!("link add {near} netns {a} type veth peer name {far} netns {b}"),
            format!("-n {a} addr add 10.77.0.1/24 dev {near}"),
            format!("-n {b} addr add 10.77.0.2/24 dev {far}"),
            format!("-n {a} link set lo up"), // the manager is its own client as well
            format!("-n {a} link set {near} up"),
            format!("-n {b} link set {far} up"),
        ];
        steps.iter().all(|step| ip(step)).then_some(hosts)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.names.iter().for_each(|name| _ = ip(&format!("netns delete {name}")));
    }
}

fn ip(arguments: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(arguments.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn on_two_hosts() {
    let Some(hosts) = Hosts::new() else {
        let why = "no network namespaces here (needs iproute2's `ip`, and root)";
        // Written past the test harness, which would swallow it.
        writeln!(io::stderr(), "SKIPPED on_two_hosts: {why}").unwrap();
        return;
    };
    let [a, b] = &hosts.names;
    let listen = ["--listen", "10.77.0.1:5000"];
    let mut manager = Program::start(Some(a), "1_4_7_task_manager", &listen, KEY);
    assert_eq!(manager.says("listening on "), "10.77.0.1:5000");
    let connect = ["--connect", "10.77.0.1:5000"];
    let mut workers = [(); 2].map(|()| Program::start(Some(b), "1_4_8_task_worker", &connect, KEY));
    assert_eq!(format!("got {}", manager.says("got ")), SQUARES);
    assert_eq!(manager.ends(), Some(0));
    workers.iter_mut().for_each(|worker| assert_eq!(worker.ends(), Some(0)));
}
