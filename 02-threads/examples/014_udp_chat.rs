//! 014 · UDP 聊天 · A chat over UDP: one thread receives while main reads the keyboard.
//!
//! Python: `recvfrom` in a thread, `input` and `sendto` in main; bytes in GBK, cut at 1,024.
//! Rust: the same two threads share one socket by reference. A datagram holds a number, the number
//! of the session, a name and a text. UDP promises little, so the program reports what it sees:
//! - lost: the numbers have a gap, and the receiver reports how many messages are missing;
//! - duplicated: a number that has been received in this session is not shown again;
//! - late: a message that arrives behind a later one is shown and marked;
//! - restarted: a new session of the peer begins at number 1;
//! - too long: the sender reports it and sends nothing, so no text is ever cut;
//! - not a message (not UTF-8, no number): the receiver reports the sender's address and continues;
//! - not from the peer: dropped and counted.
//!
//! Run: `cargo run --example 014_udp_chat -- --name Ann`, and in another terminal
//! `cargo run --example 014_udp_chat -- --name Bob --listen 127.0.0.1:7891 --peer 127.0.0.1:7890`
//! Notes: `notes/en/02-threads.md#chat` · `notes/zh-CN/02-threads.md#chat`
//!
//! ```output args="--listen 127.0.0.1:0"
//! listening on 127.0.0.1:[..]; waiting for the first message; /quit ends
//! ```

use std::{
    env,
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, ErrorKind},
    net::{SocketAddr, UdpSocket},
    process::{self, ExitCode},
    sync::{Arc, OnceLock},
    thread,
};
use threads::chat::{self, Arrival, Received};
use util::{args::Args, eprintln, text::visible};

const HELP: &str = "\
A chat over UDP for two.

Usage: 014_udp_chat [OPTIONS]

Options:
  --listen <IP:PORT>  where to receive; port 0 is any free port [default: 127.0.0.1:7890]
  --peer <HOST:PORT>  where to send to; only messages from there are shown [default: the first sender of a message]
  --name <NAME>       the name that the peer sees [default: $USER, or \"anonymous\"]
  -h, --help          print this help
  -V, --version       print the version

Write a line to send it. /quit, the end of the input or Ctrl-C ends the program. Characters that could mislead a
reader are shown escaped: a backslash as \\\\, the control character ESC as \\u{1b}.";

/// The longest datagram sent, in bytes: short enough for any network to carry it in one piece.
const LONGEST: usize = 1200;

fn main() -> ExitCode {
    let _output = util::output::start();
    let mut args = Args::new(HELP);
    let listen = args.value("--listen").unwrap_or(SocketAddr::from(([127, 0, 0, 1], 7890)));
    let name = args.value("--name").or_else(|| env::var("USER").ok());
    let name = name.unwrap_or_else(|| "anonymous".into());
    if !is_name(&name) || name.contains(char::is_control) {
        args.refuse(
            "--name needs 1 to 40 bytes: no control characters, no parenthesis at the beginning",
        );
    }
    let peer = OnceLock::new();
    if let Some(address) = args.value::<String>("--peer") {
        match chat::resolve(&address, listen) {
            Ok(address) => peer.set(address).expect("it is new"),
            Err(error) => {
                let address = visible(&address);
                args.refuse(&format!("--peer {address:?}: {error}; expected HOST:PORT"))
            }
        }
    }
    args.finish();
    match chat(listen, Arc::new(peer), &name) {
        Ok(()) => ExitCode::SUCCESS, // and the receiving thread ends with main
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What this program reports itself begins with a parenthesis, so a name does not.
fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= 40 && !name.starts_with('(')
}

// ANCHOR: chat
fn chat(listen: SocketAddr, peer: Arc<OnceLock<SocketAddr>>, name: &str) -> io::Result<()> {
    let socket = UdpSocket::bind(listen)
        .map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {listen}: {e}")))?;
    let socket = Arc::new(socket);
    let sends_to = match peer.get() {
        Some(peer) => format!("sending to {peer}"),
        None => "waiting for the first message".into(),
    };
    println!("listening on {}; {sends_to}; /quit ends", socket.local_addr()?);

    let (its_socket, its_peer) = (Arc::clone(&socket), Arc::clone(&peer));
    let receiver = thread::Builder::new().name("receiver".into());
    receiver.spawn(move || {
        let Err(error) = receive(&its_socket, &its_peer);
        eprintln!("error: cannot receive any more: {error}");
        process::exit(1);
    })?;
    read_and_send(&socket, &peer, name)
}
// ANCHOR_END: chat

fn read_and_send(socket: &UdpSocket, peer: &OnceLock<SocketAddr>, name: &str) -> io::Result<()> {
    // Two sessions of one sender are told apart by a random number.
    let session = RandomState::new().build_hasher().finish();
    let mut number = 0;
    let mut keyboard = io::stdin().lock();
    while let Some((line, length)) = chat::read_line(&mut keyboard, LONGEST)? {
        if line == b"/quit" {
            break;
        }
        let head = format!("{} {session:016x}\n{name}\n", number + 1);
        let most = LONGEST - head.len();
        if length > most {
            println!("(not sent: {length} bytes are too long, {most} are the most)");
            continue;
        }
        let Ok(text) = str::from_utf8(&line) else {
            println!("(not sent: that line is not UTF-8)");
            continue;
        };
        if text.is_empty() {
            continue;
        } else if let Some(peer) = peer.get() {
            match socket.send_to((head + text).as_bytes(), peer) {
                Ok(_) => number += 1,
                Err(error) => println!("(not sent: {error})"),
            }
        } else {
            println!("(not sent: nobody to send to yet; give --peer, or wait for a message)");
        }
    }
    Ok(())
}

// ANCHOR: receive
fn receive(
    socket: &UdpSocket,
    peer: &OnceLock<SocketAddr>,
) -> io::Result<std::convert::Infallible> {
    let mut buffer = [0; 65_536]; // no datagram is longer, so none is cut on arrival
    let (mut received, mut dropped) = (Received::default(), 0_u64);
    loop {
        let (length, from) = match socket.recv_from(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        };
        if peer.get().is_some_and(|peer| !chat::is_same(from, *peer)) {
            dropped += 1;
            if dropped.is_power_of_two() {
                println!(
                    "({dropped} dropped that did not come from the peer, the last one from {from})"
                );
            }
            continue;
        }
        let Some(message) = Message::parse(&buffer[..length]) else {
            println!("({length} bytes from {from} are no message)");
            continue;
        };
        peer.get_or_init(|| from);
        let (name, text) = (visible(message.name), visible(message.text));
        match received.add(message.session, message.number) {
            Arrival::InOrder => println!("{name}: {text}"),
            Arrival::AfterGap(missing) => {
                println!("({missing} from {name} did not arrive)");
                println!("{name}: {text}");
            }
            Arrival::Late => println!("(late) {name}: {text}"),
            Arrival::Duplicate => {}
        }
    }
}

/// `NUMBER SESSION \n NAME \n TEXT` in UTF-8.
struct Message<'a> {
    number: u64,
    session: &'a str,
    name: &'a str,
    text: &'a str,
}

impl Message<'_> {
    fn parse(datagram: &[u8]) -> Option<Message<'_>> {
        let mut parts = str::from_utf8(datagram).ok()?.splitn(3, '\n');
        let head = parts.next()?;
        let (number, session) = head.split_once(' ').unwrap_or((head, ""));
        let number = number.parse().ok().filter(|number| *number > 0)?;
        let name = parts.next().filter(|name| is_name(name))?;
        Some(Message { number, session, name, text: parts.next()? })
    }
}
// ANCHOR_END: receive
