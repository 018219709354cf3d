//! 014_udp_chat, as two people use it: real processes that talk over the loopback interface.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, UdpSocket},
    process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

/// Only reached when something is wrong.
const DEADLINE: Duration = Duration::from_secs(30);

struct Chat {
    process: Child,
    keyboard: Option<ChildStdin>,
    screen: Receiver<String>,
    address: SocketAddr,
}

impl Chat {
    fn start(name: &str, peer: Option<SocketAddr>) -> Chat {
        let mut command = Command::new(checks::program("014_udp_chat"));
        command.args(["--listen", "127.0.0.1:0", "--name", name]);
        if let Some(peer) = peer {
            command.args(["--peer", &peer.to_string()]);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (line, screen) = mpsc::channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|l| _ = line.send(l));
        });
        let greeting = screen.recv_timeout(DEADLINE).unwrap();
        let address = greeting.split([' ', ';']).nth(2).unwrap().parse().unwrap();
        let keyboard = process.stdin.take();
        Chat { process, keyboard, screen, address }
    }

    fn types(&mut self, line: &[u8]) {
        let keyboard = self.keyboard.as_mut().unwrap();
        keyboard.write_all(&[line, b"\n"].concat()).unwrap();
    }

    fn shows(&self, line: &str) {
        assert_eq!(self.screen.recv_timeout(DEADLINE).as_deref(), Ok(line));
    }

    fn ends(&mut self) -> ExitStatus {
        checks::run::ended(&mut self.process)
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ann, who waits, and Bob, who writes to her.
fn two() -> (Chat, Chat) {
    let ann = Chat::start("Ann", None);
    let bob = Chat::start("Bob 鲍勃", Some(ann.address));
    (ann, bob)
}

#[test]
fn two_people_talk_in_any_script() {
    let (mut ann, mut bob) = two();
    ann.types("too early".as_bytes());
    ann.shows("(not sent: nobody to send to yet; give --peer, or wait for a message)");
    bob.types("你好，安! 🎉".as_bytes());
    ann.shows("Bob 鲍勃: 你好，安! 🎉");
    ann.types(b"hello");
    bob.shows("Ann: hello");
    for number in 0..50 {
        bob.types(format!("line {number}").as_bytes());
        ann.shows(&format!("Bob 鲍勃: line {number}"));
    }
}

#[test]
fn it_ends_on_quit_on_the_end_of_input_and_on_ctrl_c() {
    let (mut ann, mut bob) = two();
    ann.types(b"/quit");
    assert!(ann.ends().success());
    bob.keyboard = None;
    assert!(bob.ends().success());

    use std::os::unix::process::ExitStatusExt;
    let mut cid = Chat::start("Cid", None);
    let id = cid.process.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(cid.ends().signal(), Some(2));
}

#[test]
fn what_cannot_be_sent_is_said_and_the_chat_goes_on() {
    let (ann, mut bob) = two();
    bob.types(b"\xff\xfe");
    bob.shows("(not sent: that line is not UTF-8)");
    bob.types("长".repeat(500).as_bytes());
    let most = 1200 - "1\nBob 鲍勃\n".len();
    bob.shows(&format!("(not sent: 1500 bytes are too long, {most} are the most)"));
    bob.types("x".repeat(most).as_bytes());
    ann.shows(&format!("Bob 鲍勃: {}", "x".repeat(most)));
    bob.types(b"");
    bob.types(b"after all that");
    ann.shows("Bob 鲍勃: after all that");
}

#[test]
fn what_arrives_wrong_is_said_and_the_chat_goes_on() {
    let ann = Chat::start("Ann", None);
    let mallory = UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = mallory.local_addr().unwrap();
    let send = |bytes: &[u8]| _ = mallory.send_to(bytes, ann.address).unwrap();
    for (bytes, length) in
        [(&b"\xff\xff"[..], 2), (b"", 0), (b"no number", 9), (b"0\nM\nx", 5), (b"1\nM", 3)]
    {
        send(bytes);
        ann.shows(&format!("({length} bytes from {from} are no message)"));
    }
    send(b"1\nM\none");
    ann.shows("M: one");
    send(b"1\nM\none"); // doubled: shown once
    send(b"4\nM\nfour"); // 2 and 3 were lost
    ann.shows("(2 from M did not arrive)");
    ann.shows("M: four");
    send(b"1\nM\nback"); // M has started again
    ann.shows("M: back");
    send("2\nM\x1b[2J\n\x07a\tb\u{9b}c".as_bytes()); // nothing that a terminal would obey
    ann.shows("M\u{fffd}[2J: \u{fffd}a\u{fffd}b\u{fffd}c");
    send(&[b"3\nM\n", "y".repeat(60_000).as_bytes()].concat()); // whole, however long
    ann.shows(&format!("M: {}", "y".repeat(60_000)));
}

#[test]
fn wrong_arguments_are_named() {
    for (arguments, named) in [
        ("--listen nowhere", "--listen \"nowhere\""),
        ("--peer nowhere", "--peer \"nowhere\""),
        ("--peer 127.0.0.1:99999", "--peer \"127.0.0.1:99999\""),
        ("--peer [::1]:7890", "no address that 127.0.0.1:7890 can reach"),
        ("--name", "--name needs a value"),
        ("--name=", "--name needs 1 to 40 bytes"),
        ("--colour", "unknown argument \"--colour\""),
    ] {
        let output = run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(named) && said.contains("Usage:"), "{arguments}: {said}");
    }
    let help = run("--help");
    assert!(help.status.success() && help.stdout.starts_with(b"A chat over UDP"));
}

#[test]
fn a_port_that_is_taken_is_a_failure() {
    let owner = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = owner.local_addr().unwrap();
    let output = run(&format!("--listen {taken}"));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("cannot listen on {taken}")));
}

fn run(arguments: &str) -> Output {
    let mut command = Command::new(checks::program("014_udp_chat"));
    command.args(arguments.split(' ')).stdin(Stdio::null()).output().unwrap()
}
