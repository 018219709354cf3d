//! The two ends of the web server's benchmarks: the server in a process of its own, so that its
//! descriptors and its threads are not ours; and a client that needs little, one thread for all of
//! its connections.

use benches::curves::after;
use multiproc::{Child, Queue};
use multitask::cores;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use servers::{Model, Options, Stop};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// What is asked for: the file of the workspace that is nearest to 1 KiB.
const REQUEST: &[u8] = b"GET /LICENSE-MIT HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST_REQUEST: &[u8] =
    b"GET /LICENSE-MIT HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// In the head of an answer that is the connection's last one.
const CLOSE: &[u8] = b"\r\nConnection: close";
const BODY: &[u8] = include_bytes!("../../../LICENSE-MIT");
/// An answer that takes longer than this is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long a server of many processes may be at starting them.
const BEGINNING: Duration = Duration::from_secs(5);

/// A web server in a process of its own, which serves one small file. It ends when this is dropped.
pub struct Server {
    process: Child<()>,
    /// What it said when it gave up.
    said: Queue<String>,
    pub address: SocketAddr,
}

impl Server {
    /// One that holds `connections` at once; by processes, it has one for each.
    pub fn start(model: Model, connections: usize) -> io::Result<Server> {
        let mut options =
            Options { root: benches::files::root().into(), connections, ..Options::new(model) };
        if model == Model::Process {
            options.workers = connections;
        }
        let ready = Queue::<Beginning>::bounded(1).map_err(io::Error::other)?;
        let said = Queue::bounded(1).map_err(io::Error::other)?;
        let cores = apart()[1].clone();
        let process = multiproc::spawn(serve, (ready.clone(), said.clone(), options, cores))
            .map_err(io::Error::other)?;
        let mut server = Server { process, said, address: ([127, 0, 0, 1], 0).into() };
        let address = ready.get_timeout(PATIENCE).map_err(io::Error::other)?;
        server.address = address.map_err(io::Error::other)?;
        Ok(server)
    }
}

impl Server {
    /// Why it did not answer: what it said itself, or else what its client noticed.
    #[allow(dead_code)] // of the two benchmarks, one does not break it
    pub fn why(&self, noticed: impl ToString) -> String {
        self.said.get_timeout(Duration::from_millis(500)).unwrap_or(noticed.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked to end, it waits for its own processes.
        _ = self.process.terminate();
        if self.process.join_timeout(PATIENCE).is_err() {
            _ = self.process.kill();
            _ = self.process.join();
        }
    }
}

type Beginning = Result<SocketAddr, String>;

/// The cores of the client, and those of the server: of several the last one and the others, as if
/// it were another machine. Left to itself, the kernel at times puts the client on the core of a
/// server's thread that wakes it, while another core idles.
fn apart() -> &'static [Vec<usize>; 2] {
    static APART: OnceLock<[Vec<usize>; 2]> = OnceLock::new();
    APART.get_or_init(|| {
        let all = cores::allowed().expect("some core");
        let (last, others) = all.split_last().expect("some core");
        [vec![*last], if others.is_empty() { all.clone() } else { others.to_vec() }]
    })
}

/// Does `work`, which starts servers and asks them, on the client's cores.
pub fn as_client<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    cores::on(&apart()[0], work)
}

fn serve((ready, said, options, on): (Queue<Beginning>, Queue<String>, Options, Vec<usize>)) {
    cores::on(&on, || serve_there(&ready, &said, &options)).expect("it may run there");
}

fn serve_there(ready: &Queue<Beginning>, said: &Queue<String>, options: &Options) {
    servers::raise_descriptor_limit();
    let begin = || -> io::Result<_> {
        let listener = servers::listen(([127, 0, 0, 1], 0).into())?;
        let (address, stop) = (listener.local_addr()?, Arc::new(Stop::new()?));
        stop.on_signals()?;
        Ok((listener, address, stop))
    };
    match begin() {
        Ok((listener, address, stop)) => {
            ready.put(&Ok(address)).expect("room");
            if let Err(e) = servers::serve(listener, options, &stop) {
                said.put(&e.to_string()).expect("room");
            }
        }
        Err(e) => ready.put(&Err(e.to_string())).expect("room"),
    }
}

/// One connection, and what has come of its answer.
struct Connection {
    socket: TcpStream,
    /// Whether an answer is to come.
    waits: bool,
    answer: Vec<u8>,
}

/// One thread that waits for many connections.
pub struct Client {
    address: SocketAddr,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    keeps: bool,
    is_settling: bool,
    /// Connections that the server ended without being asked to.
    ended: u64,
}

impl Client {
    /// With so many connections at once. If it does not keep them, each serves one request, and
    /// another one takes its place.
    pub fn connect(address: SocketAddr, count: usize, keeps: bool) -> io::Result<Client> {
        let mut client = Client {
            address,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: Vec::with_capacity(count),
            keeps,
            is_settling: false,
            ended: 0,
        };
        for n in 0..count {
            let connection = client.open(n).map_err(|e| io::Error::other(after(e, n)))?;
            client.connections.push(connection);
        }
        Ok(client)
    }

    fn open(&self, n: usize) -> io::Result<Connection> {
        let socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        epoll::add(&self.epoll, &socket, EventData::new_u64(n as u64), EventFlags::IN)?;
        Ok(Connection { socket, waits: false, answer: Vec::with_capacity(2 * BODY.len()) })
    }

    /// Asks once on each connection, until the server keeps all of them: by processes, it ends some
    /// while others of its processes still start.
    pub fn settle(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + BEGINNING;
        loop {
            let before = self.ended;
            self.is_settling = true;
            let asked = self.ask(self.connections.len() as u64);
            self.is_settling = false;
            asked?;
            if self.ended == before || !self.keeps {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::other("the server keeps ending connections"));
            }
        }
    }

    fn send(&mut self, n: usize) -> io::Result<()> {
        let request = if self.keeps { REQUEST } else { LAST_REQUEST };
        let connection = &mut self.connections[n];
        connection.waits = true;
        // Far less than a socket's buffer takes.
        match connection.socket.write_all(request) {
            Err(e) if self.is_settling && has_ended(&e) => self.again(n),
            other => other,
        }
    }

    /// Another connection in place of one that the server has ended.
    fn again(&mut self, n: usize) -> io::Result<()> {
        self.ended += 1;
        let waited = self.connections[n].waits;
        self.connections[n] = self.open(n)?;
        if waited { self.send(n) } else { Ok(()) }
    }

    /// Asks so many times in all, on each connection for the next one as soon as the last one was
    /// answered. A wrong answer is an error of the kind `InvalidData`.
    pub fn ask(&mut self, requests: u64) -> io::Result<()> {
        let (mut sent, mut answered) = (0, 0);
        for n in 0..self.connections.len().min(requests as usize) {
            self.send(n)?;
            sent += 1;
        }
        let mut events = Vec::with_capacity(256);
        while answered < requests {
            events.clear();
            let patience =
                rustix::event::Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&patience))?;
            if events.is_empty() {
                return Err(io::Error::other(after("not answered in time", answered as usize)));
            }
            for event in &events {
                let n = event.data.u64() as usize;
                if !self.receive(n)? {
                    continue;
                }
                answered += 1;
                if !self.keeps {
                    self.connections[n] = self.open(n)?;
                }
                if sent < requests {
                    self.send(n)?;
                    sent += 1;
                }
            }
        }
        Ok(())
    }

    /// Takes what has come; whether it was a whole answer, and the right one.
    fn receive(&mut self, n: usize) -> io::Result<bool> {
        let Connection { socket, waits, answer } = &mut self.connections[n];
        let mut room = [0; 4096];
        match socket.read(&mut room) {
            Ok(0) if self.is_settling => return self.again(n).map(|()| false),
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => answer.extend(&room[..read]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(e) if self.is_settling && has_ended(&e) => {
                return self.again(n).map(|()| false);
            }
            Err(e) => return Err(e),
        }
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(false);
        };
        let is = &answer[head + 4..];
        if is.len() < BODY.len() {
            return Ok(false);
        }
        if !answer.starts_with(b"HTTP/1.1 200 OK\r\n") || is != BODY {
            let head = String::from_utf8_lossy(&answer[..head]);
            let (status, length) = (head.lines().next().unwrap_or_default(), is.len());
            let what = format!("a wrong answer: {status}, and {length} bytes");
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        *waits = false;
        let ends = self.keeps && answer[..head].windows(CLOSE.len()).any(|line| line == CLOSE);
        answer.clear();
        if ends && self.is_settling {
            self.again(n)?;
        }
        Ok(true)
    }
}

fn has_ended(error: &io::Error) -> bool {
    [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error.kind())
}

/// How long so many requests take.
pub fn timed(client: &mut Client, requests: u64) -> io::Result<Duration> {
    let started = Instant::now();
    client.ask(requests)?;
    Ok(started.elapsed())
}
