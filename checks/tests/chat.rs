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
        Chat::start_at(name, "127.0.0.1:0", peer)
    }

    fn start_at(name: &str, listen: &str, peer: Option<SocketAddr>) -> Chat {
        let mut command = Command::new(checks::program("014_udp_chat"));
        command.args(["--listen", listen, "--name", name]);
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
        let address = greeting.split([' ', ';']).nth(2).unwrap();
        let address = address.replace("[::]", "[::1]").parse().unwrap();
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
    let most = 1200 - "1 0123456789abcdef\nBob 鲍勃\n".len();
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
    let long_name = ["1\n", &"M".repeat(41), "\nx"].concat();
    for (bytes, length) in [
        (&b"\xff\xff"[..], 2),
        (b"", 0),
        (b"no number", 9),
        (b"0\nM\nx", 5),
        (b"-1\nM\nx", 6),
        (b"18446744073709551616\nM\nx", 24),
        (b"1\nM", 3),
        (b"1\n\nx", 4),
        (b"1\n(3 from M did not arrive)\nx", 29), // a name that looks like this program's own words
        (long_name.as_bytes(), 45),
    ] {
        send(bytes);
        ann.shows(&format!("({length} bytes from {from} are no message)"));
    }
    send(b"1 a\nM\none");
    ann.shows("M: one");
    send(b"1 a\nM\none"); // a duplicate: shown once
    send(b"4 a\nM\nfour"); // 2 and 3 are missing
    ann.shows("(2 from M did not arrive)");
    ann.shows("M: four");
    send(b"1 a\nM\none"); // a late duplicate
    send(b"3 a\nM\nthree");
    ann.shows("(late) M: three");
    send(b"3 a\nM\nthree");
    send(b"1 b\nM\nback"); // M has started again
    ann.shows("M: back");
    // Nothing that a terminal would obey, nothing that reorders a line or ends it.
    send("2 b\nM\x1b[2J\n\x07a\tb\u{9b}c\nd\u{2028}\u{202e}e\\".as_bytes());
    ann.shows(r"M\u{1b}[2J: \u{7}a\tb\u{9b}c\nd\u{2028}\u{202e}e\\");
    send(&[b"3 b\nM\n", "y".repeat(60_000).as_bytes()].concat()); // whole, however long
    ann.shows(&format!("M: {}", "y".repeat(60_000)));
}

#[test]
fn no_number_makes_it_deaf() {
    let ann = Chat::start("Ann", None);
    let mallory = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |bytes: &[u8]| _ = mallory.send_to(bytes, ann.address).unwrap();
    send(b"18446744073709551615\nM\nlast");
    ann.shows("(18446744073709551614 from M did not arrive)");
    ann.shows("M: last");
    send(b"18446744073709551615\nM\nlast");
    send(b"1\nM\nfirst");
    ann.shows("(late) M: first");
    send(b"18446744073709551614\nM\nbefore");
    ann.shows("(late) M: before");
    send(b"18446744073709551615 s\nM\nlast");
    ann.shows("(18446744073709551614 from M did not arrive)");
    ann.shows("M: last");
    send(b"1 t\nM\nagain");
    ann.shows("M: again");
}

#[test]
fn a_peer_that_starts_again_is_heard() {
    let mut ann = Chat::start("Ann", None);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    for before in 0..3 {
        // The same address each time, and the same first message.
        let mut bob = Chat::start_at("Bob", &address.to_string(), Some(ann.address));
        bob.types(b"hello");
        ann.shows("Bob: hello");
        ann.types(b"and you?");
        if before > 0 {
            bob.shows(&format!("({before} from Ann did not arrive)")); // not at this Bob's
        }
        bob.shows("Ann: and you?");
        bob.types(b"/quit");
        assert!(bob.ends().success());
    }
}

#[test]
fn only_the_peer_is_heard() {
    let bob = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ann = Chat::start("Ann", Some(bob.local_addr().unwrap()));
    let mallory = UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = mallory.local_addr().unwrap();
    let dropped =
        |n: u32| format!("({n} dropped that did not come from the peer, the last one from {from})");
    for n in 1..=5 {
        mallory.send_to(b"1 s\nBob\nit is me", ann.address).unwrap();
        if n != 3 && n != 5 {
            ann.shows(&dropped(n));
        }
    }
    bob.send_to(b"1 s\nBob\nhello", ann.address).unwrap();
    ann.shows("Bob: hello");
    for n in 6..=8 {
        mallory.send_to(if n == 6 { b"\xff" } else { b"2" }, ann.address).unwrap();
    }
    ann.shows(&dropped(8));
    // Without --peer, whoever writes a message first is the peer from then on.
    let cid = Chat::start("Cid", None);
    mallory.send_to(b"not a message", cid.address).unwrap();
    cid.shows(&format!("(13 bytes from {from} are no message)"));
    bob.send_to(b"1 s\nBob\nhello", cid.address).unwrap();
    cid.shows("Bob: hello");
    mallory.send_to(b"2 s\nBob\nit is me", cid.address).unwrap();
    cid.shows(&dropped(1));
}

#[test]
fn many_senders_take_no_memory() {
    let bob = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ann = Chat::start("Ann", Some(bob.local_addr().unwrap()));
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", ann.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let says = |n: u64, session: u64| {
        bob.send_to(format!("{n} {session}\nBob\n{n}").as_bytes(), ann.address).unwrap();
        ann.shows(&format!("Bob: {n}"));
    };
    says(1, 0);
    let before = resident();
    // Other addresses, other sessions, other names.
    for round in 1..200 {
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        for n in 0..10 {
            let text = format!("{n} {round}\n{n}{round}\nx");
            stranger.send_to(text.as_bytes(), ann.address).unwrap();
        }
        bob.send_to(format!("1 {round}\nBob\n1").as_bytes(), ann.address).unwrap();
        while ann.screen.recv_timeout(DEADLINE).unwrap() != "Bob: 1" {}
    }
    let after = resident();
    assert!(after < before + 1024, "{before} KiB, {after} KiB");
}

#[test]
fn ipv6_is_an_address_like_any_other() {
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: no IPv6 on this machine");
        return;
    }
    let ann = Chat::start_at("Ann", "[::1]:0", None);
    let mut bob = Chat::start_at("Bob", "[::1]:0", Some(ann.address));
    bob.types(b"hello");
    ann.shows("Bob: hello");
    // One that listens to all addresses talks to IPv4, too.
    let cid = Chat::start_at("Cid", "127.0.0.1:0", None);
    let mut all = Chat::start_at("All", "[::]:0", Some(cid.address));
    all.types(b"hello");
    cid.shows("All: hello");
    let mut cid = cid;
    cid.types(b"hello to you");
    all.shows("Cid: hello to you");
}

#[test]
fn a_line_that_never_ends_takes_no_memory() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 300000; (head -c 200000000 /dev/zero; echo; echo /quit) | \"$0\" --listen 127.0.0.1:0"]);
    let output = command.arg(checks::program("014_udp_chat")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout)
            .contains("(not sent: 200000000 bytes are too long, ")
    );
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
        ("--name (x", "--name needs 1 to 40 bytes"),
        ("--peer \u{202e}:1", r#"--peer "\u{202e}:1""#),
        ("--color", "unknown argument \"--color\""),
    ] {
        let output = run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(named) && said.contains("Usage:"), "{arguments}: {said}");
    }
    let help = run("--help");
    assert!(help.status.success() && help.stdout.starts_with(b"A chat over UDP"));
    assert_eq!(run("--version").stdout, b"014_udp_chat 0.1.0\n");
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
