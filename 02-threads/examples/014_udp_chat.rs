//! 014 · UDP 聊天 · A chat over UDP: one thread receives while main reads the keyboard.
//!
//! Python: `recvfrom` in a thread, `input` and `sendto` in main; bytes in GBK, cut at 1,024.
//! Rust: the same two threads share one socket by reference. A datagram holds a number, a name and
//! a text. UDP promises little, so the program says what it sees:
//! - lost: the numbers have a gap, and the receiver tells how many are missing;
//! - doubled: the same number again is shown once;
//! - too long: the sender says so and sends nothing, so nothing is ever cut;
//! - not a message (not UTF-8, no number): the receiver says from whom, and goes on.
//!
//! Run: `cargo run --example 014_udp_chat -- --name Ann`, and in another terminal
//! `cargo run --example 014_udp_chat -- --name Bob --listen 127.0.0.1:7891 --peer 127.0.0.1:7890`
//! Notes: `notes/en/02-threads.md#chat` · `notes/zh-CN/02-threads.md#chat`
//!
//! ```output args="--listen 127.0.0.1:0"
//! listening on 127.0.0.1:[..]; waiting for the first message; /quit ends
//! ```

use std::{
    collections::HashMap,
    env,
    io::{self, BufRead},
    net::{SocketAddr, ToSocketAddrs, UdpSocket},
    process::{self, ExitCode},
    sync::{Arc, OnceLock},
    thread,
};
use util::args::Args;

const HELP: &str = "\
A chat over UDP for two.

Usage: 014_udp_chat [--listen IP:PORT] [--peer HOST:PORT] [--name NAME]

  --listen IP:PORT  where to receive (127.0.0.1:7890; port 0: any that is free)
  --peer HOST:PORT  whom to send to; without it, the first one who writes
  --name NAME       what the other one sees ($USER, else \"anonymous\")

Write a line to send it. /quit, the end of the input or Ctrl-C ends.";

/// The longest datagram sent, in bytes: short enough for any network to carry it in one piece.
const LONGEST: usize = 1200;

fn main() -> ExitCode {
    let _output = util::output::start();
    let mut args = Args::new(HELP);
    let listen = args.value("--listen").unwrap_or(SocketAddr::from(([127, 0, 0, 1], 7890)));
    let name = args.value("--name").or_else(|| env::var("USER").ok());
    let name = name.unwrap_or_else(|| "anonymous".into());
    if name.trim().is_empty() || name.len() > 40 || name.contains(char::is_control) {
        args.refuse("--name needs 1 to 40 bytes, none of them control characters");
    }
    let peer = OnceLock::new();
    if let Some(address) = args.value::<String>("--peer") {
        match resolve(&address, listen) {
            Ok(address) => peer.set(address).unwrap(),
            Err(error) => args.refuse(&format!("--peer {address:?}: {error}; give HOST:PORT")),
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

/// The first address of `peer` that can be reached from `listen`: both IPv4, or both IPv6.
fn resolve(peer: &str, listen: SocketAddr) -> io::Result<SocketAddr> {
    let mut addresses = peer.to_socket_addrs()?;
    let fitting = addresses.find(|address| address.is_ipv4() == listen.is_ipv4());
    fitting.ok_or_else(|| io::Error::other(format!("no address that {listen} can reach")))
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
    thread::spawn(move || {
        let Err(error) = receive(&its_socket, &its_peer);
        eprintln!("error: cannot receive any more: {error}");
        process::exit(1);
    });
    read_and_send(&socket, &peer, name)
}
// ANCHOR_END: chat

fn read_and_send(socket: &UdpSocket, peer: &OnceLock<SocketAddr>, name: &str) -> io::Result<()> {
    let mut number = 0;
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        let Ok(text) = str::from_utf8(&line) else {
            println!("(not sent: that line is not UTF-8)");
            continue;
        };
        let text = text.trim_end();
        if text == "/quit" {
            break;
        }
        let datagram = format!("{}\n{name}\n{text}", number + 1);
        let (length, most) = (text.len(), LONGEST - (datagram.len() - text.len()));
        if text.is_empty() {
            continue;
        } else if length > most {
            println!("(not sent: {length} bytes are too long, {most} are the most)");
        } else if let Some(peer) = peer.get() {
            match socket.send_to(datagram.as_bytes(), peer) {
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
    let mut last_number = HashMap::new();
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        let Some((number, name, text)) = parse(&buffer[..length]) else {
            println!("({length} bytes from {from} are no message)");
            continue;
        };
        peer.get_or_init(|| from);
        let last = last_number.insert(from, number).unwrap_or(0);
        if number == last {
            continue; // the network doubled it
        }
        if number > last + 1 {
            println!("({} from {name} did not arrive)", number - last - 1);
        } // a smaller number: it comes late, or its sender has started again
        println!("{name}: {text}");
    }
}

/// `NUMBER \n NAME \n TEXT` in UTF-8. What could upset a terminal is made visible.
fn parse(datagram: &[u8]) -> Option<(u64, String, String)> {
    let mut parts = str::from_utf8(datagram).ok()?.splitn(3, '\n');
    let number = parts.next()?.parse().ok().filter(|number| *number > 0)?;
    let mut visible = || Some(parts.next()?.replace(char::is_control, "\u{fffd}"));
    Some((number, visible()?, visible()?))
}
// ANCHOR_END: receive
