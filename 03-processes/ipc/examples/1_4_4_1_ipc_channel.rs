//! 1.4.4.1 · ipc-channel 通道 · The ecosystem's own crate: two programs meet by a name, and a sender is sent through a channel.
//!
//! Python: no counterpart; the pipe of 1.4.4 comes nearest.
//! Rust: a one-shot server has a name by which another program finds it; what goes through can
//! itself be an end of a channel. What it does not have, and 004 needs: a capacity of one's choice
//! (`send` waits when the kernel's buffer for the socket is full, whenever that is), a second
//! reader, a length, a `put` with a time-out.
//!
//! Run: `cargo run --example 1_4_4_1_ipc_channel` (a picture: `TIMELINE=1` before it)
//! Notes: `notes/en/03-processes.md#pipe` · `notes/zh-CN/03-processes.md#pipe`
//!
//! ```output
//! child: connected by the server's name
//! main: got a sender from the child
//! child: got 1
//! child: got 2
//! child: got 3
//! child: the other end is gone
//! main: [..] sent before `send` waited; nobody chose that number
//! main: 1000 received
//! ```

use ipc_channel::{
    IpcError,
    ipc::{self, IpcOneShotServer, IpcSender},
};
use std::{
    env,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
};
use util::{scratch, tick, timeline};

fn main() -> util::Result<()> {
    util::case!(args);
    let server: Option<String> = args.value("--child"); // what this program is started as below
    args.finish();
    let _timeline = timeline::start();
    if let Some(name) = server {
        return child(name);
    }
    scratch::directory()?; // without a place for its socket the crate panics
    // ANCHOR: server
    let (server, name) = IpcOneShotServer::<IpcSender<u32>>::new()?;
    let mut child = util::again(["--child", &name]).spawn()?;
    let (_receiver, to_child) = server.accept()?; // what the child sent first: a sender
    // ANCHOR_END: server
    println!("main: got a sender from the child");
    for number in 1..=3 {
        to_child.send(number)?;
    }
    drop(to_child);
    assert!(child.wait()?.success());

    let (sender, receiver) = ipc::channel()?;
    let sent = AtomicU32::new(0);
    let received = thread::scope(|s| {
        s.spawn(|| {
            for number in 0..1000 {
                sender.send(number).unwrap();
                sent.fetch_add(1, SeqCst);
            }
        });
        tick::sleep(1); // long enough to see it wait; nothing depends on that
        println!("main: {} sent before `send` waited; nobody chose that number", sent.load(SeqCst));
        (0..1000).map(|_| receiver.recv()).collect::<Result<Vec<u32>, _>>()
    })?;
    println!("main: {} received", received.len());
    assert_eq!(received, (0..1000).collect::<Vec<_>>());
    Ok(())
}

// ANCHOR: child
fn child(name: String) -> util::Result<()> {
    println!("child: connected by the server's name");
    let to_main = IpcSender::connect(name)?;
    let (sender, receiver) = ipc::channel::<u32>()?;
    to_main.send(sender)?;
    loop {
        match receiver.recv() {
            Ok(number) => println!("child: got {number}"),
            Err(IpcError::Disconnected) => break,
            Err(error) => return Err(error.into()),
        }
    }
    println!("child: the other end is gone");
    Ok(())
}
// ANCHOR_END: child
