//! One connection: everything that happens on it, but for the waiting.
//!
//! All sockets are non-blocking. [`Connection::advance`] does what can be done now and says what to
//! wait for, and the models wait, each in its way.

use crate::{
    answer::{After, Desk, Rest, Site, Status, refuse},
    request::{self, LONGEST_HEAD, Method, Parsed},
    unsent::unsent,
};
use rustix::{
    fs::sendfile,
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown},
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

/// A whole head, and behind it some room to read a body into, which is thrown away.
const INPUT: usize = LONGEST_HEAD + 4096;
/// So many bytes of answers may wait to be sent before the next request is looked at.
const ENOUGH: usize = 64 * 1024;
/// How much is sent before other connections get their turn.
const TURN: usize = 1024 * 1024;
/// How long a connection has been idle at least when it is closed for another one: long enough for
/// a first request to come.
pub(crate) const PATIENCE: Duration = Duration::from_millis(200);
/// How long a client has been slow at least when its connection is closed for another one.
const SLOW: Duration = Duration::from_secs(3);
/// How long to go on reading after a refusal, so that the client can read it before the connection
/// breaks.
const LINGER: Duration = Duration::from_secs(2);
/// Exchanges that are kept for later requests.
const SPARE: usize = 64;

/// One who serves: what is needed for one request at a time, and kept for the next.
#[derive(Debug)]
pub struct Worker {
    site: Arc<Site>,
    desk: Desk,
    #[expect(
        clippy::vec_box,
        reason = "they come from connections and go to connections, which hold a pointer"
    )]
    spare: Vec<Box<Exchange>>,
    /// Whether others wait for this worker, so that no connection is kept open.
    pub(crate) is_crowded: bool,
}

impl Worker {
    /// One who serves `site`.
    pub fn new(site: &Arc<Site>) -> Worker {
        Worker {
            site: Arc::clone(site),
            desk: Desk::default(),
            spare: Vec::new(),
            is_crowded: false,
        }
    }

    /// What it serves.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    fn put_back(&mut self, mut exchange: Box<Exchange>) {
        if self.spare.len() < SPARE && exchange.output.capacity() <= 4 * ENOUGH {
            exchange.reset();
            self.spare.push(exchange);
        }
    }
}

// ANCHOR: next
/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Something to read.
    Read,
    /// Room to write.
    Write,
    /// Its next turn: it could go on at once, but has had a large share.
    Turn,
    /// Nothing: it is over.
    Close,
}
// ANCHOR_END: next

/// What a connection is at, which decides how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Body,
    Write,
    Linger,
}

/// What a connection waits for, since when, and how much has moved since: by this it is judged
/// whether it takes too long, and which connection makes room for another one.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    phase: Phase,
    since: Instant,
    /// The bytes of the request that have come.
    received: u64,
    /// All the bytes that were written to this connection, and how many of them had been
    /// acknowledged then.
    written: u64,
    acknowledged: u64,
}

/// Which connection makes room first: one that is idle, the longest idle one first; then one whose
/// client is slow, likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Idle(Instant),
    Slow(Instant),
}

impl Rank {
    pub(crate) fn is_idle(self) -> bool {
        matches!(self, Rank::Idle(_))
    }

    /// Whether it may be closed for another one yet.
    pub(crate) fn is_due(self, now: Instant) -> bool {
        match self {
            Rank::Idle(since) => now.saturating_duration_since(since) >= PATIENCE,
            Rank::Slow(_) => true, // or it would not be called slow
        }
    }
}

impl Standing {
    /// Of a connection that waits for its next request.
    pub(crate) fn idle(since: Instant) -> Standing {
        Standing { phase: Phase::Idle, since, received: 0, written: 0, acknowledged: 0 }
    }

    /// From now on it waits for this.
    fn begin(&mut self, phase: Phase, received: u64, socket: impl AsFd) {
        (self.phase, self.since, self.received) = (phase, Instant::now(), received);
        if phase == Phase::Write {
            self.acknowledged = self.written.saturating_sub(unsent(socket));
        }
    }

    /// What has moved since then.
    fn moved(&self, socket: impl AsFd) -> u64 {
        match self.phase {
            // What only has gone from here to the kernel has not moved.
            Phase::Write => (self.written - self.acknowledged).saturating_sub(unsent(socket)),
            _ => self.received,
        }
    }

    /// Whether less than `rate` bytes a second have moved in `time`.
    fn is_slow(&self, socket: impl AsFd, time: Duration, rate: u64) -> bool {
        (self.moved(socket) as f64) < rate as f64 * time.as_secs_f64()
    }

    /// When this connection makes room for another one: not, if it is in use.
    pub(crate) fn rank(&self, socket: impl AsFd, now: Instant, rate: u64) -> Option<Rank> {
        let time = now.saturating_duration_since(self.since);
        match self.phase {
            Phase::Idle => Some(Rank::Idle(self.since)),
            Phase::Head | Phase::Body | Phase::Write => {
                let is_slow = time >= SLOW && self.is_slow(socket, time, rate);
                is_slow.then_some(Rank::Slow(self.since))
            }
            Phase::Linger => None, // it ends soon
        }
    }
}

/// A connection's socket.
pub trait Socket: AsFd {
    /// Called before the connection is served: whether it still has its place.
    fn resume(&self) -> bool {
        true
    }

    /// Called afterwards: what it waits for.
    fn rest(&self, _: Standing) {}
}

impl Socket for OwnedFd {}

impl<S: Socket> Socket for &S {
    fn resume(&self) -> bool {
        S::resume(self)
    }

    fn rest(&self, standing: Standing) {
        S::rest(self, standing);
    }
}

/// A connection. While it is idle it is no more than this: buffers come with a request and go with
/// its answer.
#[derive(Debug)]
pub struct Connection<S> {
    /// The connection's descriptor, non-blocking.
    pub socket: S,
    standing: Standing,
    exchange: Option<Box<Exchange>>,
}

/// A request in progress, and its answer.
#[derive(Debug)]
struct Exchange {
    input: Box<[u8]>,
    /// What has been read and not used yet: a request begins at `start`.
    start: usize,
    end: usize,
    /// What has been read and written since the connection's [`Standing`] was told.
    received: u64,
    written: u64,
    /// Whether that is known to be a part of a request, so that there is nothing to do before the
    /// rest has come.
    is_partial: bool,
    /// How much is left of that request's body, once its head is whole.
    body: Option<u64>,
    output: Vec<u8>,
    sent: usize,
    /// What is to be sent after the output.
    rest: Option<Rest>,
    closing: Option<Closing>,
}

/// How a connection is closed, once all is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    AtOnce,
    /// The client may still be sending. Closed now, the connection would break, perhaps before it
    /// has read the answer.
    Slowly,
}

impl Default for Exchange {
    fn default() -> Exchange {
        Exchange {
            input: vec![0; INPUT].into(),
            start: 0,
            end: 0,
            received: 0,
            written: 0,
            is_partial: false,
            body: None,
            output: Vec::new(),
            sent: 0,
            rest: None,
            closing: None,
        }
    }
}

/// How far sending got.
enum Sent {
    All,
    NotAll,
    Failed,
}

impl Exchange {
    fn reset(&mut self) {
        (self.start, self.end, self.received, self.written) = (0, 0, 0, 0);
        (self.body, self.sent) = (None, 0);
        self.output.clear();
        (self.rest, self.closing) = (None, None);
    }

    /// Answers all requests that are whole, as long as there is room for answers. Returns whether
    /// there was one.
    fn answer_all(&mut self, worker: &mut Worker, socket: BorrowedFd<'_>) -> bool {
        let mut answered = false;
        self.is_partial = false;
        while self.start < self.end
            && self.closing.is_none()
            && self.rest.is_none()
            && self.output.len() - self.sent < ENOUGH
        {
            let bytes = &self.input[self.start..self.end];
            let (head, answer, method) = match request::parse(bytes) {
                Parsed::Partial => {
                    self.is_partial = true;
                    break;
                }
                Parsed::Refused(status) => {
                    self.closing = Some(Closing::Slowly);
                    let answer =
                        refuse(status, After::Close, false, &mut worker.desk, &mut self.output);
                    (0, answer, Method::Other)
                }
                Parsed::Whole(request) => {
                    // The body is thrown away as it comes; its head stays where it is until all of
                    // it has come.
                    let left = self.body.unwrap_or(request.body);
                    let (head, method) = (request.length, request.method);
                    if left > 0 {
                        let from = self.start + head;
                        let count = left.min((self.end - from) as u64);
                        self.body = Some(left - count);
                        self.input.copy_within(from + count as usize..self.end, from);
                        self.end -= count as usize;
                        if count < left {
                            self.is_partial = true;
                            break;
                        }
                        continue;
                    }
                    let site = &*worker.site;
                    let stays = request.keep_alive && !worker.is_crowded && !site.is_stopping();
                    let after = match (stays, request.is_http_1_0) {
                        (true, false) => After::Open,
                        (true, true) => After::OpenHttp10,
                        (false, _) => After::Close,
                    };
                    if !stays {
                        let more = request.unread_body || self.end - self.start > head;
                        self.closing = Some(if more { Closing::Slowly } else { Closing::AtOnce });
                    }
                    let answer = site.answer(&request, after, &mut worker.desk, &mut self.output);
                    (head, answer, method)
                }
            };
            let (status, length, clock) = (answer.status, answer.length, &mut worker.desk.clock);
            worker.site.log.request(socket, bytes, method, status, length, clock);
            if answer.closes && self.closing.is_none() {
                let more = self.end - self.start > head;
                self.closing = Some(if more { Closing::Slowly } else { Closing::AtOnce });
            }
            self.rest = answer.rest;
            self.start += head;
            self.body = None;
            answered = true;
        }
        if self.start == self.end || self.closing.is_some() {
            (self.start, self.end) = (0, 0);
        }
        answered
    }

    /// Sends what there is to send, and takes it off `turn`.
    fn send_all(&mut self, socket: BorrowedFd<'_>, turn: &mut usize) -> Sent {
        loop {
            match self.send_output(socket, turn) {
                Sent::All => {}
                not_all => return not_all,
            }
            let sent = match &mut self.rest {
                None => return Sent::All,
                Some(_) if *turn == 0 => return Sent::NotAll,
                Some(Rest::File(part)) => {
                    let most = part.left.min(*turn as u64) as usize;
                    sendfile(socket, &part.file, Some(&mut part.at), most)
                }
                Some(Rest::Listing(listing)) => match listing.send(&mut self.output) {
                    Ok(false) => continue,
                    Ok(true) => {
                        self.rest = None;
                        continue;
                    }
                    Err(_) => return Sent::Failed, // the client sees that the end is missing
                },
            };
            match sent {
                Ok(0) => return Sent::Failed, // the file has become shorter than was promised
                Ok(count) => {
                    *turn = turn.saturating_sub(count);
                    self.written += count as u64;
                    if let Some(Rest::File(part)) = &mut self.rest {
                        part.left -= count as u64;
                        if part.left == 0 {
                            self.rest = None;
                        }
                    }
                }
                Err(Errno::AGAIN) => return Sent::NotAll,
                Err(Errno::INTR) => {}
                Err(_) => return Sent::Failed,
            }
        }
    }

    /// Sends what has been written.
    fn send_output(&mut self, socket: BorrowedFd<'_>, turn: &mut usize) -> Sent {
        while self.sent < self.output.len() {
            let more = if self.rest.is_some() { SendFlags::MORE } else { SendFlags::empty() };
            match send(socket, &self.output[self.sent..], more | SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.sent += count;
                    self.written += count as u64;
                    *turn = turn.saturating_sub(count);
                }
                Err(Errno::AGAIN) => return Sent::NotAll,
                Err(Errno::INTR) => {}
                Err(_) => return Sent::Failed,
            }
        }
        self.output.clear();
        self.sent = 0;
        Sent::All
    }

    /// Reads what is there. `None` when the connection is at its end; else whether there may be
    /// more.
    fn receive(&mut self, socket: BorrowedFd<'_>) -> Option<bool> {
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        loop {
            let room = &mut self.input[self.end..];
            let length = room.len();
            return match recv(socket, room, RecvFlags::empty()) {
                Ok((_, 0)) => None,
                Ok((_, count)) => {
                    self.end += count;
                    self.received += count as u64;
                    Some(count == length)
                }
                Err(Errno::AGAIN) => Some(false),
                Err(Errno::INTR) => continue,
                Err(_) => None,
            };
        }
    }
}

impl<S: Socket> Connection<S> {
    /// A connection that has just begun.
    pub fn new(socket: S) -> Connection<S> {
        Connection { socket, standing: Standing::idle(Instant::now()), exchange: None }
    }

    /// Its place among those that make room for another one.
    pub(crate) fn rank(&self, now: Instant, rate: u64) -> Option<Rank> {
        self.standing.rank(&self.socket, now, rate)
    }

    /// When what it waits for takes too long.
    pub fn deadline(&self, site: &Site) -> Instant {
        let limit = match self.standing.phase {
            Phase::Idle => site.timeouts.idle,
            Phase::Head => site.timeouts.head,
            Phase::Body => site.timeouts.body,
            Phase::Write => site.timeouts.write,
            Phase::Linger => LINGER,
        };
        self.standing.since + limit
    }

    /// Does all that can be done without waiting.
    pub fn advance(&mut self, worker: &mut Worker) -> Next {
        if !self.socket.resume() {
            return Next::Close;
        }
        let spare = || worker.spare.pop().unwrap_or_default();
        let mut exchange = self.exchange.take().unwrap_or_else(spare);
        let next = self.go_on(&mut exchange, worker);
        if next == Next::Close || self.standing.phase == Phase::Idle {
            worker.put_back(exchange);
        } else {
            self.exchange = Some(exchange);
        }
        if next != Next::Close {
            self.socket.rest(self.standing);
        }
        next
    }

    /// Its deadline has passed: closes, not without an answer if a request has begun; or goes on
    /// waiting, if the client has taken enough of an answer.
    pub fn expire(&mut self, worker: &mut Worker) -> Next {
        if !self.socket.resume() {
            return Next::Close;
        }
        let Standing { phase, since, .. } = self.standing;
        match (phase, &mut self.exchange) {
            (Phase::Head | Phase::Body, Some(exchange)) => {
                // All earlier answers were sent before this request was waited for.
                exchange.reset();
                exchange.closing = Some(Closing::Slowly);
                let (desk, out) = (&mut worker.desk, &mut exchange.output);
                let answer = refuse(Status::RequestTimeout, After::Close, false, desk, out);
                let (status, length, clock) = (answer.status, answer.length, &mut desk.clock);
                let log = &worker.site.log;
                log.request(self.socket.as_fd(), b"", Method::Other, status, length, clock);
                self.advance(worker)
            }
            (Phase::Write, Some(_)) => {
                if self.standing.is_slow(&self.socket, since.elapsed(), worker.site.rate) {
                    return Next::Close;
                }
                self.standing.begin(Phase::Write, 0, &self.socket);
                self.advance(worker)
            }
            _ => Next::Close,
        }
    }

    // ANCHOR: advance
    fn go_on(&mut self, exchange: &mut Exchange, worker: &mut Worker) -> Next {
        let socket = self.socket.as_fd();
        let (mut turn, mut has_moved, mut may_read) = (TURN, false, true);
        let (next, phase) = loop {
            has_moved |= exchange.answer_all(worker, socket);
            let before = turn;
            let sent = exchange.send_all(socket, &mut turn);
            has_moved |= turn < before;
            match sent {
                Sent::All => {}
                Sent::NotAll if turn == 0 => break (Next::Turn, Phase::Write),
                Sent::NotAll => break (Next::Write, Phase::Write),
                Sent::Failed => return Next::Close,
            }
            match exchange.closing {
                None if turn == 0 => break (Next::Turn, Phase::Write),
                // There was no room for the answers of all that has been read; now there is.
                None if exchange.start < exchange.end && !exchange.is_partial => continue,
                None => {}
                Some(Closing::AtOnce) => return Next::Close,
                Some(Closing::Slowly) => {
                    exchange.end = 0; // what still comes is thrown away
                    if self.standing.phase != Phase::Linger {
                        let _ = shutdown(socket, Shutdown::Write);
                        self.standing.begin(Phase::Linger, 0, socket);
                    }
                }
            }
            if !may_read {
                let phase = match *exchange {
                    Exchange { closing: Some(_), .. } => Phase::Linger,
                    Exchange { body: Some(_), .. } => Phase::Body,
                    Exchange { start, end, .. } if start < end => Phase::Head,
                    _ if worker.site.is_stopping() => return Next::Close,
                    _ => Phase::Idle,
                };
                break (Next::Read, phase);
            }
            match exchange.receive(socket) {
                Some(there_may_be_more) => may_read = there_may_be_more,
                None => return Next::Close,
            }
        };
        let standing = &mut self.standing;
        standing.written += std::mem::take(&mut exchange.written);
        standing.received += std::mem::take(&mut exchange.received);
        // An answer that takes long is judged over the whole time, not from one piece to the next.
        if phase != standing.phase || (has_moved && phase != Phase::Write) {
            standing.begin(phase, (exchange.end - exchange.start) as u64, socket);
        }
        next
    }
    // ANCHOR_END: advance
}
