//! 4.5.14 · 异步 TCP · Async TCP: frames, time limits, and a limit on connections.
//!
//! Python: `asyncio.start_server` and `open_connection` give a `StreamReader`, whose `readline` is
//! the framing; its limit is 64 KiB. There is no limit on connections.
//! Rust: TCP is a stream of bytes, so a codec cuts it into lines, each of 20 bytes at most. A
//! client that is silent for too long is closed, and a semaphore limits how many are served.
//!
//! Run: `cargo run --example 4_5_14_streams_tcp`, or try it with `nc`:
//! `cargo run --example 4_5_14_streams_tcp -- --serve`
//! Notes: `notes/en/04-coroutines.md#tcp` · `notes/zh-CN/04-coroutines.md#tcp`
//!
//! ```output
//! one line in two pieces: hello
//! two lines in one piece: a, b
//! the third client waited until the first had left: c
//! a line of 21 bytes: error: the line is too long
//! a silent client: error: timed out
//! at most 2 served at once
//! ```

use futures_util::{SinkExt, StreamExt};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{self, timeout},
};
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

const IDLE: Duration = Duration::from_secs(10);
const MOST_BYTES: usize = 20;
const MOST_CLIENTS: usize = 2;

/// How many clients are served, now and at most.
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// ANCHOR: serve
async fn serve(listener: TcpListener) -> util::Result<()> {
    let permits = Arc::new(Semaphore::new(MOST_CLIENTS));
    loop {
        // First the permit: connections beyond the limit wait in the kernel's queue.
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let _permit = permit; // returned when this task ends
            MOST.fetch_max(NOW.fetch_add(1, Relaxed) + 1, Relaxed);
            let _ = echo(stream).await; // an error is the client's: it is gone
            NOW.fetch_sub(1, Relaxed);
        });
    }
}

async fn echo(stream: TcpStream) -> Result<(), LinesCodecError> {
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(MOST_BYTES));
    let error = loop {
        match timeout(IDLE, lines.next()).await {
            Ok(Some(Ok(line))) => match timeout(IDLE, lines.send(line)).await {
                Ok(sent) => sent?,
                Err(_) => return Ok(()), // it does not read what it is sent
            },
            Ok(Some(Err(LinesCodecError::MaxLineLengthExceeded))) => break "the line is too long",
            Ok(Some(Err(error))) => return Err(error),
            Ok(None) => return Ok(()), // the client has closed the connection
            Err(_) => break "timed out",
        }
    };
    timeout(IDLE, lines.send(format!("error: {error}"))).await.unwrap_or(Ok(()))
}
// ANCHOR_END: serve

#[tokio::main(flavor = "current_thread")]
async fn main() -> util::Result<()> {
    util::case!(args);
    let until_ctrl_c = args.flag("--serve");
    args.finish();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    if until_ctrl_c {
        println!("nc {} {}", address.ip(), address.port());
        return serve(listener).await;
    }
    tokio::spawn(async { serve(listener).await.unwrap() });
    Ok(clients(address).await?)
}

// ANCHOR: clients
async fn clients(address: SocketAddr) -> io::Result<()> {
    let mut first = BufReader::new(TcpStream::connect(address).await?);
    write(&mut first, "hel").await?;
    write(&mut first, "lo\n").await?;
    println!("one line in two pieces: {}", line(&mut first).await?);
    let mut second = BufReader::new(TcpStream::connect(address).await?);
    write(&mut second, "a\nb\n").await?;
    println!("two lines in one piece: {}, {}", line(&mut second).await?, line(&mut second).await?);

    // The kernel accepts the third client, and the server does not yet.
    let mut third = BufReader::new(TcpStream::connect(address).await?);
    write(&mut third, "c\n").await?;
    drop(first);
    println!("the third client waited until the first had left: {}", line(&mut third).await?);

    write(&mut third, &"x".repeat(MOST_BYTES + 1)).await?;
    println!("a line of 21 bytes: {}", line(&mut third).await?);
    time::pause(); // from here on the clock jumps to the next timer: nobody waits ten seconds
    println!("a silent client: {}", line(&mut second).await?);
    // ANCHOR_END: clients
    let most = MOST.load(Relaxed);
    println!("at most {most} served at once");
    assert_eq!(most, MOST_CLIENTS);
    Ok(())
}

async fn write(client: &mut BufReader<TcpStream>, text: &str) -> io::Result<()> {
    client.write_all(text.as_bytes()).await
}

async fn line(client: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    client.read_line(&mut line).await?;
    Ok(line.trim_end().into())
}
