//! 1_4_7_task_manager and 1_4_8_task_worker as two people would use them: a program each, with a worker that is killed in
//! the middle, a wrong key, and, where network namespaces can be made, on two hosts with addresses of their own.

use std::{
    io::{self, BufRead, BufReader, Write},
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
