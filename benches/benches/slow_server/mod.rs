//! The other end of IO-bound work, in a process of its own so that its descriptors and its threads
//! are not ours: it speaks as `util::work::SlowServer` does, and holds ten thousand connections on
//! one thread.

use multiproc::{Child, Queue};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
    runtime,
};

/// A server that answers each number with its square, a while later. It ends when this is dropped.
pub struct SlowServer {
    process: Child<()>,
    pub address: SocketAddr,
}

impl SlowServer {
    pub fn start(delay: Duration) -> SlowServer {
        let address = Queue::<SocketAddr>::bounded(1).expect("shared memory");
        let process = multiproc::spawn(serve, (address.clone(), delay)).expect("a process");
        let there = address.get_timeout(Duration::from_secs(60)).expect("an address");
        SlowServer { process, address: there }
    }
}

impl Drop for SlowServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.join();
    }
}

fn serve((address, delay): (Queue<SocketAddr>, Duration)) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let listener = socket.listen(1 << 16).expect("a listening socket");
        address.put(&listener.local_addr().expect("an address")).expect("room");
        loop {
            // Out of descriptors: those that are open end soon.
            let Ok((connection, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            };
            tokio::spawn(answer(connection, delay));
        }
    });
}

async fn answer(connection: TcpStream, delay: Duration) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    while connection.read_line(&mut line).await? > 0 {
        let Ok(number) = line.trim().parse::<u32>() else {
            break;
        };
        tokio::time::sleep(delay).await;
        let answer = format!("{}\n", u64::from(number).pow(2));
        connection.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

/// What `util::work::ask` does, without a thread to wait in.
#[allow(dead_code)] // not each of the benchmarks asks in this way
pub async fn ask(address: SocketAddr, number: u32) -> std::io::Result<u64> {
    let mut connection = BufReader::new(TcpStream::connect(address).await?);
    connection.write_all(format!("{number}\n").as_bytes()).await?;
    let mut answer = String::new();
    connection.read_line(&mut answer).await?;
    answer.trim().parse().map_err(std::io::Error::other)
}
