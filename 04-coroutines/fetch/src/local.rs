//! A server on this machine, so that the cases have pages to fetch, each as slow as one wants.

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{self, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// What a server answers to one request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How long it takes to say so.
    pub delay: Duration,
    /// `200 OK`.
    pub status: &'static str,
    /// Further header lines, each with `\r\n` at its end.
    pub headers: String,
    /// The page.
    pub body: Vec<u8>,
}

impl Answer {
    /// A page, at once.
    pub fn page(body: impl Into<Vec<u8>>) -> Answer {
        let (delay, status, headers) = (Duration::ZERO, "200 OK", String::new());
        Answer { delay, status, headers, body: body.into() }
    }

    /// No page: 404.
    pub fn missing() -> Answer {
        Answer { status: "404 Not Found", ..Answer::page("no such page") }
    }

    /// The same after `delay`.
    pub fn after(self, delay: Duration) -> Answer {
        Answer { delay, ..self }
    }
}

/// A web server on the loopback interface, until the program ends. It answers GET, keeps
/// connections open, and counts how many requests it has at once. One thread does all of it, by an
/// event queue (epoll, kqueue or IOCP): it is to cost those who fetch as little as it can.
pub struct Server {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    now: AtomicUsize,
    peak: AtomicUsize,
    all: AtomicUsize,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server on a port that the system chooses. `pages` gives the answer to a path, such
    /// as `/index.html`; while it does, all other requests wait. What is to take long is said by
    /// [`Answer::after`].
    ///
    /// # Errors
    ///
    /// If no port, no event queue or no thread can be had.
    pub fn start(pages: impl Fn(&str) -> Answer + Send + 'static) -> io::Result<Server> {
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        // Who comes while this many wait is turned away, and tries again a second later. `std` says
        // 128.
        socket2::SockRef::from(&listener).listen(4096)?;
        let server = Server { address: listener.local_addr()?, counts: Arc::default() };
        let (queue, mut listener) = (Poll::new()?, TcpListener::from_std(listener));
        queue.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let counts = Arc::clone(&server.counts);
        let (connections, due) = (HashMap::new(), BinaryHeap::new());
        let mut events = Loop { queue, listener, pages, counts, connections, due, next: 0 };
        let thread = thread::Builder::new().name("local server".into());
        thread.spawn(move || events.run().expect("an event queue goes on"))?;
        Ok(server)
    }

    /// The URL of `path`, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The most requests it has had at once.
    pub fn peak(&self) -> usize {
        self.counts.peak.load(SeqCst)
    }

    /// The requests it has had in all.
    pub fn requests(&self) -> usize {
        self.counts.all.load(SeqCst)
    }
}

/// What an event is about, if it is none of the connections, which are numbered from 0.
const LISTENER: Token = Token(usize::MAX);

struct Loop<P> {
    queue: Poll,
    listener: TcpListener,
    pages: P,
    counts: Arc<Counts>,
    connections: HashMap<usize, Connection>,
    /// When connections are to get their answers, the next one first.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    next: usize,
}

/// Waits until something happens, or `patience` is over.
fn wait(queue: &mut Poll, events: &mut Events, patience: Option<Duration>) -> io::Result<()> {
    // To wait is `poll`'s part: epoll's own time is in whole milliseconds, and rounds up.
    #[cfg(target_os = "linux")]
    let patience = {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let time = patience.map(|time| Timespec::try_from(time).expect("no more than a delay"));
        poll(&mut [PollFd::new(queue.registry(), PollFlags::IN)], time.as_ref())?;
        Some(Duration::ZERO)
    };
    queue.poll(events, patience)
}

struct Connection {
    stream: TcpStream,
    /// What came and is not answered.
    came: Vec<u8>,
    /// The answer that waits for its time.
    answer: Option<Answer>,
    /// What is to go, from `sent` on.
    goes: Vec<u8>,
    sent: usize,
}

impl<P: Fn(&str) -> Answer> Loop<P> {
    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            let now = Instant::now();
            // A few at a time: a request's delay begins when it is read, and that is not to wait
            // for a hundred answers.
            for _ in 0..16 {
                if let Some(Reverse((at, number))) = self.due.peek().copied()
                    && at <= now
                {
                    self.due.pop();
                    self.with(number, Loop::answer);
                }
            }
            let patience =
                self.due.peek().map(|Reverse((at, _))| at.saturating_duration_since(now));
            match wait(&mut self.queue, &mut events, patience) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    Token(number) => self.with(number, Loop::go_on),
                }
            }
        }
    }

    /// Takes all connections that wait. What cannot be taken is tried again when the next one
    /// comes.
    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let _ = stream.set_nodelay(true);
            let number = self.next;
            // Said once for both: each is told when it becomes so, and not as long as it is.
            let both = Interest::READABLE | Interest::WRITABLE;
            if self.queue.registry().register(&mut stream, Token(number), both).is_ok() {
                self.next += 1;
                let (came, answer, goes) = Default::default();
                self.connections.insert(number, Connection { stream, came, answer, goes, sent: 0 });
            }
        }
    }

    /// Does `step` for one connection. An error is the client's going away: the connection is
    /// closed, and its request over.
    fn with(
        &mut self,
        number: usize,
        step: fn(&mut Self, usize, &mut Connection) -> io::Result<()>,
    ) {
        let Some(mut connection) = self.connections.remove(&number) else { return };
        if step(self, number, &mut connection).is_ok() {
            self.connections.insert(number, connection);
        } else if connection.answer.is_some() {
            self.counts.now.fetch_sub(1, SeqCst);
        }
    }

    /// Writes what waits for room, and reads what came.
    fn go_on(&mut self, number: usize, connection: &mut Connection) -> io::Result<()> {
        connection.write()?;
        connection.read()?;
        self.take_request(number, connection)
    }

    /// Sends the answer that was due, and looks whether there is another request already.
    fn answer(&mut self, number: usize, connection: &mut Connection) -> io::Result<()> {
        let Some(Answer { status, headers, body, .. }) = connection.answer.take() else {
            return Ok(());
        };
        // Counted as over before it is sent: the client may ask for the next one as soon as it has
        // this.
        self.counts.now.fetch_sub(1, SeqCst);
        let length = body.len();
        connection.goes.clear();
        connection.sent = 0;
        write!(connection.goes, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n")?;
        connection.goes.extend_from_slice(&body);
        connection.write()?;
        self.take_request(number, connection)
    }

    /// Begins with the next request, if it is there whole and the last one is answered.
    fn take_request(&mut self, number: usize, connection: &mut Connection) -> io::Result<()> {
        if connection.came.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
            return Err(ErrorKind::InvalidData.into()); // no `GET`: a client that wants TLS, say
        }
        let end = connection.came.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end.filter(|_| connection.answer.is_none() && connection.is_sent()) else {
            return Ok(());
        };
        let head = String::from_utf8_lossy(&connection.came[..end]);
        let answer = (self.pages)(head.split(' ').nth(1).unwrap_or("/"));
        connection.came.drain(..end + 4);
        self.due.push(Reverse((Instant::now() + answer.delay, number)));
        connection.answer = Some(answer);
        self.counts.all.fetch_add(1, SeqCst);
        self.counts.peak.fetch_max(self.counts.now.fetch_add(1, SeqCst) + 1, SeqCst);
        Ok(())
    }
}

impl Connection {
    fn is_sent(&self) -> bool {
        self.sent == self.goes.len()
    }

    /// Reads all that is there.
    fn read(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.came.extend_from_slice(&piece[..count]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            // No more than a page's address is expected: whoever sends on and on is a stranger.
            if self.came.len() > 1 << 16 {
                return Err(ErrorKind::InvalidData.into());
            }
        }
    }

    /// Writes as much as there is room for.
    fn write(&mut self) -> io::Result<()> {
        while !self.is_sent() {
            match self.stream.write(&self.goes[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}
