//! 4.5.11 · 优雅退出 · Shutdown: accept nothing new, finish what is in progress, within a deadline.
//!
//! Python: `loop.add_signal_handler(SIGINT, …)`, then cancel the tasks, which clean up in
//! `finally`.
//! Rust: a signal is a future like any other, so `select!` waits for it beside `accept`. Then the
//! listener is dropped, and the connections get a time limit; those still open after it are
//! aborted. By default the case interrupts itself; with `--serve` it waits for Ctrl-C.
//!
//! Run: `cargo run --example 4_5_11_shutdown`, or try it with `nc` and Ctrl-C:
//! `cargo run --example 4_5_11_shutdown -- --serve`
//! Notes: `notes/en/04-coroutines.md#shutdown` · `notes/zh-CN/04-coroutines.md#shutdown`
//!
//! ```output
//! Ctrl-C: no new connections, 2 in progress
//! a new client: connection refused
//! a client in progress: goodbye, Ann
//! a silent client: closed after 0 bytes
//! finished: 1
//! deadline: 1 aborted
//! ```

use std::{io, net::SocketAddr, pin::pin, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    select, signal,
    task::JoinSet,
    time::{self, timeout},
};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(10);

// ANCHOR: serve
/// Serves until Ctrl-C. How many connections finished after it, and how many were aborted.
async fn serve(listener: TcpListener, closed: CancellationToken) -> io::Result<(usize, usize)> {
    let mut ctrl_c = pin!(signal::ctrl_c()); // pinned, since all rounds of the loop poll it
    let mut connections = JoinSet::new();
    loop {
        select! {
            accepted = listener.accept() => drop(connections.spawn(greet(accepted?.0))),
            Some(_) = connections.join_next() => {} // one has ended: forget it
            _ = &mut ctrl_c => break,
        }
    }
    drop(listener); // from here on, new clients are refused
    closed.cancel(); // tells everybody who waits for it
    let in_progress = connections.len();
    println!("Ctrl-C: no new connections, {in_progress} in progress");
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(DEADLINE, all).await;
    let aborted = connections.len();
    connections.shutdown().await;
    Ok((in_progress - aborted, aborted))
}
// ANCHOR_END: serve

async fn greet(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"your name?\n").await?;
    let mut name = String::new();
    stream.read_line(&mut name).await?;
    stream.write_all(format!("goodbye, {name}").as_bytes()).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> util::Result<()> {
    util::case!(args);
    let until_ctrl_c = args.flag("--serve");
    args.finish();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let closed = CancellationToken::new();
    let server = tokio::spawn(serve(listener, closed.clone()));
    if until_ctrl_c {
        println!("nc {} {}", address.ip(), address.port());
    } else {
        interrupt(address, closed).await?;
    }
    let (finished, aborted) = server.await??;
    println!("finished: {finished}");
    println!("deadline: {aborted} aborted");
    assert!(until_ctrl_c || (finished, aborted) == (1, 1));
    Ok(())
}

/// Two clients are connected when Ctrl-C comes. One sends its name after it, the other never does.
async fn interrupt(address: SocketAddr, closed: CancellationToken) -> io::Result<()> {
    let mut ann = connect(address).await?;
    let mut silent = connect(address).await?;
    press_ctrl_c();
    closed.cancelled().await;
    let late = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(late.kind(), io::ErrorKind::ConnectionRefused);
    println!("a new client: {}", late.kind());
    ann.write_all(b"Ann\n").await?;
    let mut answer = String::new();
    ann.read_line(&mut answer).await?;
    print!("a client in progress: {answer}");
    time::pause(); // nothing is left but to wait for the deadline: the clock jumps there
    let bytes = silent.read_line(&mut String::new()).await?;
    println!("a silent client: closed after {bytes} bytes");
    Ok(())
}

async fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.read_line(&mut String::new()).await?; // its question: the server is at work
    Ok(stream)
}

/// Sends this program the signal that a terminal sends on Ctrl-C.
fn press_ctrl_c() {
    #[cfg(unix)]
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT).unwrap();
    #[cfg(not(unix))]
    util::fail("there is no such signal on this system: use --serve, and press Ctrl-C");
}
