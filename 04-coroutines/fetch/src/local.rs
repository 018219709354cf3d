//! A server on this machine, so that the cases have pages to fetch, each as slow as one wants.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
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

/// A web server on the loopback interface, until the program ends. It answers GET, keeps connections open, and counts how
/// many requests it has at once. Each connection has a thread.
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    pages: Box<dyn Fn(&str) -> Answer + Send + Sync>,
    idle: AtomicUsize,
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
    /// Starts a server on a port that the system chooses. `pages` gives the answer to a path, such as `/index.html`.
    ///
    /// # Errors
    ///
    /// If no port or no thread can be had.
    pub fn start(pages: impl Fn(&str) -> Answer + Send + Sync + 'static) -> io::Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        // Who comes while this many wait is turned away, and tries again a second later. `std` says 128.
        socket2::SockRef::from(&listener).listen(4096)?;
        let (idle, now, peak, all) = Default::default();
        let state = Arc::new(State { pages: Box::new(pages), idle, now, peak, all });
        let server = Server { address: listener.local_addr()?, state: Arc::clone(&state) };
        state.wait_for_one_more(&Arc::new(listener))?;
        Ok(server)
    }

    /// The URL of `path`, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The most requests it has had at once.
    pub fn peak(&self) -> usize {
        self.state.peak.load(SeqCst)
    }

    /// The requests it has had in all.
    pub fn requests(&self) -> usize {
        self.state.all.load(SeqCst)
    }
}

impl State {
    /// Starts a thread that answers one connection after the other. One is always left that waits for the next.
    fn wait_for_one_more(self: &Arc<State>, listener: &Arc<TcpListener>) -> io::Result<()> {
        let (state, listener) = (Arc::clone(self), Arc::clone(listener));
        let thread = thread::Builder::new().name("local server".into()).stack_size(64 << 10);
        self.idle.fetch_add(1, SeqCst);
        let started = thread.spawn(move || {
            loop {
                let Ok((connection, _)) = listener.accept() else { continue };
                if state.idle.fetch_sub(1, SeqCst) == 1 {
                    // Without another thread, the next connection waits until this one is closed.
                    let _ = state.wait_for_one_more(&listener);
                }
                let _ = state.answer_all(&connection); // an error is the client's going away
                drop(connection);
                state.idle.fetch_add(1, SeqCst);
            }
        });
        started.map(drop).inspect_err(|_| _ = self.idle.fetch_sub(1, SeqCst))
    }

    /// Answers one request after the other until the client closes.
    fn answer_all(&self, connection: &TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut reader = BufReader::new(connection);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
            while line != "\r\n" {
                line.clear();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(()); // it went away in the middle of a request
                }
            }
            line.clear();
            self.all.fetch_add(1, SeqCst);
            self.peak.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
            let answer = (self.pages)(&path);
            thread::sleep(answer.delay);
            // Counted as over before it is sent: the client may ask for the next one as soon as it has this.
            self.now.fetch_sub(1, SeqCst);
            let Answer { status, headers, body, .. } = answer;
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n");
            (&mut &*connection).write_all(&[head.as_bytes(), &body].concat())?;
        }
        Ok(())
    }
}
