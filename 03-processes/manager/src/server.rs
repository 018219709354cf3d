//! The server: one thread, one `poll` over all connections, no lock.
//!
//! A connection is a small state machine. It carries one request at a time; anything that comes
//! while one is being answered is a breach, and the end of the connection is seen at once, also
//! while its client waits for an item. So the number of threads is one whatever clients do, and the
//! number of connections is bounded.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::wire::{self, HELLO, NONCE, Nonce, Patience, Reply, Request, Role};
use super::{Settings, keep_alive};
use crate::deadline::{Deadline, deadline_after};

/// What is read from one connection before the others have their turn.
const TURN: usize = 1 << 20;
/// How long the server rests when the system has no descriptor or no memory left.
const REST: Duration = Duration::from_millis(100);

pub(super) struct Server {
    settings: Settings,
    listener: TcpListener,
    /// Its other end is closed when the server shall stop.
    stop: UnixStream,
    connections: HashMap<u64, Connection>,
    queues: Vec<NamedQueue>,
    names: HashMap<String, usize>,
    next_connection: u64,
    next_lease: u64,
    accept_after: Option<Instant>,
}

struct Item {
    /// Its place in the order of puts, to which it returns if it is given back.
    order: u64,
    bytes: Vec<u8>,
}

struct NamedQueue {
    capacity: Option<usize>,
    items: VecDeque<Item>,
    next_order: u64,
    leased: usize,
    closed: bool,
    /// Connections that wait, in the order they came.
    getters: VecDeque<u64>,
    putters: VecDeque<u64>,
}

struct Connection {
    stream: TcpStream,
    phase: Phase,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    pending: Option<Pending>,
    leases: BTreeMap<u64, Item>,
}

enum Phase {
    /// Nothing is believed, and [`HELLO`] bytes at the most are read.
    Handshake {
        nonce: Nonce,
        deadline: Deadline,
    },
    Trusted,
    Open {
        queue: usize,
    },
}

struct Pending {
    deadline: Deadline,
    /// The item to put; none for a get.
    put: Option<Vec<u8>>,
}

/// The connection is to be closed.
struct Breach;

impl Connection {
    fn reply(&mut self, reply: &Reply, item: &[u8]) {
        wire::write_frame(&mut self.output, reply, item)
            .expect("a reply can be encoded, its item came in a frame");
    }

    /// Reads what is there, up to a frame (or the client's hello); false when there is no more for
    /// now.
    fn read(&mut self, limit: usize) -> Result<(), Breach> {
        let mut buffer = [0; 64 << 10];
        let mut turn = TURN;
        while turn > 0 {
            // Before the client is trusted never more than its hello is taken from the socket.
            let most = match self.phase {
                Phase::Handshake { .. } => HELLO - self.input.len(),
                _ => buffer.len(),
            };
            if most == 0 {
                return Ok(());
            }
            match self.stream.read(&mut buffer[..most]) {
                Ok(0) => return Err(Breach),
                Ok(count) => {
                    // One request at a time: nothing may come while one is answered.
                    if self.pending.is_some() || !self.output.is_empty() {
                        return Err(Breach);
                    }
                    self.input.extend_from_slice(&buffer[..count]);
                    turn = turn.saturating_sub(count);
                    if !matches!(self.phase, Phase::Handshake { .. })
                        && self.frame_len().is_some_and(|len| len > limit)
                    {
                        return Err(Breach);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Breach),
            }
        }
        Ok(())
    }

    /// What the frame's length field says, when that is there.
    fn frame_len(&self) -> Option<usize> {
        let len = self.input.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*len) as usize)
    }

    /// The request that has come whole, and its item.
    fn take_request(&mut self) -> Result<Option<(Request, Vec<u8>)>, Breach> {
        let Some(len) = self.frame_len() else { return Ok(None) };
        if self.input.len() < 4 + len {
            return Ok(None);
        }
        if self.input.len() > 4 + len {
            return Err(Breach);
        }
        let mut frame = std::mem::take(&mut self.input);
        let (request, item) =
            postcard::take_from_bytes::<Request>(&frame[4..]).map_err(|_| Breach)?;
        let item_at = frame.len() - item.len();
        frame.drain(..item_at);
        if !(frame.is_empty() || matches!(request, Request::Put { .. })) {
            return Err(Breach);
        }
        Ok(Some((request, frame)))
    }

    fn write(&mut self) -> Result<(), Breach> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Err(Breach),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Breach),
            }
        }
        self.written = 0;
        self.output = Vec::new();
        Ok(())
    }

    fn deadline(&self) -> Deadline {
        match (&self.phase, &self.pending) {
            (Phase::Handshake { deadline, .. }, _) => *deadline,
            (_, Some(pending)) => pending.deadline,
            _ => None,
        }
    }
}

impl NamedQueue {
    fn has_room(&self) -> bool {
        self.capacity.is_none_or(|capacity| self.items.len() < capacity)
    }

    fn push(&mut self, bytes: Vec<u8>) {
        self.items.push_back(Item { order: self.next_order, bytes });
        self.next_order += 1;
    }

    fn give_back(&mut self, item: Item) {
        self.leased -= 1;
        let place = self.items.partition_point(|other| other.order < item.order);
        self.items.insert(place, item);
    }

    /// No item will come any more: closed, none left, and none that a getter might still give back.
    fn is_over(&self) -> bool {
        self.closed && self.items.is_empty() && self.leased == 0
    }
}

impl Server {
    pub(super) fn new(
        settings: Settings,
        listener: TcpListener,
        stop: UnixStream,
        queues: Vec<(String, Option<usize>)>,
    ) -> io::Result<Server> {
        listener.set_nonblocking(true)?;
        let names =
            queues.iter().enumerate().map(|(index, (name, _))| (name.clone(), index)).collect();
        let queues = queues
            .into_iter()
            .map(|(_, capacity)| NamedQueue {
                capacity,
                items: VecDeque::new(),
                next_order: 0,
                leased: 0,
                closed: false,
                getters: VecDeque::new(),
                putters: VecDeque::new(),
            })
            .collect();
        Ok(Server {
            settings,
            listener,
            stop,
            connections: HashMap::new(),
            queues,
            names,
            next_connection: 0,
            next_lease: 0,
            accept_after: None,
        })
    }

    /// Serves until the other end of `stop` is closed.
    pub(super) fn run(mut self) {
        while let Some(ready) = self.wait() {
            for (id, flags) in ready {
                self.attend(id, flags);
            }
            self.expire();
        }
    }

    /// Waits for something to do; `None` when it is time to stop.
    fn wait(&mut self) -> Option<Vec<(u64, PollFlags)>> {
        let now = Instant::now();
        let deadlines =
            self.connections.values().filter_map(Connection::deadline).chain(self.accept_after);
        let timeout = deadlines.min().map_or(PollTimeout::NONE, |deadline| {
            // A millisecond more: never wake just before the deadline to find that it has not come.
            let left =
                deadline.saturating_duration_since(now).saturating_add(Duration::from_millis(1));
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let accept =
            if self.accept_after.is_some() { PollFlags::empty() } else { PollFlags::POLLIN };
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        let mut polled = Vec::with_capacity(ids.len() + 2);
        polled.push(PollFd::new(self.stop.as_fd(), PollFlags::POLLIN));
        polled.push(PollFd::new(self.listener.as_fd(), accept));
        for id in &ids {
            let connection = &self.connections[id];
            let write =
                if connection.output.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            polled.push(PollFd::new(connection.stream.as_fd(), PollFlags::POLLIN | write));
        }
        // No memory, or more connections than the process may open by now: nothing is known to be
        // ready, and trying again at once would keep a processor busy.
        if poll(&mut polled, timeout).is_err() {
            std::thread::sleep(REST);
            return Some(Vec::new());
        }
        let flags: Vec<PollFlags> =
            polled.iter().map(|fd| fd.revents().unwrap_or(PollFlags::all())).collect();
        if !flags[0].is_empty() {
            return None;
        }
        if !flags[1].is_empty() {
            self.accept();
        }
        Some(
            ids.into_iter()
                .zip(flags.into_iter().skip(2))
                .filter(|(_, flags)| !flags.is_empty())
                .collect(),
        )
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    // Over the limit it is closed at once, which its client sees.
                    if self.connections.len() < self.settings.max_connections {
                        self.greet(stream);
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        self.accept_after = Some(Instant::now() + REST);
                        return;
                    }
                },
            }
        }
    }

    fn greet(&mut self, stream: TcpStream) {
        let Ok(nonce) = wire::nonce() else { return };
        if stream.set_nonblocking(true).is_err() || keep_alive(&stream).is_err() {
            return;
        }
        let deadline = deadline_after(self.settings.handshake_timeout);
        let mut connection = Connection {
            stream,
            phase: Phase::Handshake { nonce, deadline },
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            pending: None,
            leases: BTreeMap::new(),
        };
        // 40 bytes, which a new connection always takes; so they are never in the way of what the
        // client sends.
        let greeting = [&wire::GREETING[..], &nonce].concat();
        if !matches!(connection.stream.write(&greeting), Ok(40)) {
            return;
        }
        connection.input.reserve_exact(HELLO);
        self.connections.insert(self.next_connection, connection);
        self.next_connection += 1;
    }

    fn attend(&mut self, id: u64, flags: PollFlags) {
        let limit = self.settings.frame_limit();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut outcome = connection.write();
        if outcome.is_ok() && flags.intersects(!PollFlags::POLLOUT) {
            outcome = connection.read(limit);
        }
        if outcome.and_then(|()| self.advance(id)).is_err() {
            self.disconnect(id);
        }
    }

    /// Does what the bytes that have come ask for.
    fn advance(&mut self, id: u64) -> Result<(), Breach> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        match connection.phase {
            Phase::Handshake { nonce, .. } => {
                if connection.input.len() < HELLO {
                    return Ok(());
                }
                let hello = std::mem::take(&mut connection.input);
                let (client, proof) = hello.split_at(NONCE);
                let client: &Nonce = client.try_into().expect("split there");
                let key = &self.settings.key;
                if !wire::is_proof(proof, key, Role::Client, &nonce, client, &[]) {
                    return Err(Breach);
                }
                let limit = self.settings.max_item.to_le_bytes();
                connection.output.extend_from_slice(&limit);
                connection.output.extend_from_slice(&wire::proof(
                    key,
                    Role::Server,
                    &nonce,
                    client,
                    &limit,
                ));
                connection.phase = Phase::Trusted;
                connection.write()
            }
            Phase::Trusted => match connection.take_request()? {
                None => Ok(()),
                Some((Request::Open { queue }, _)) => {
                    if let Some(index) = self.names.get(&queue) {
                        connection.phase = Phase::Open { queue: *index };
                        let capacity = self.queues[*index].capacity.map(|capacity| capacity as u64);
                        connection.reply(&Reply::Opened { capacity }, &[]);
                    } else {
                        connection.reply(&Reply::NoSuchQueue, &[]);
                    }
                    connection.write()
                }
                Some(_) => Err(Breach),
            },
            Phase::Open { queue } => match connection.take_request()? {
                None => Ok(()),
                Some((request, item)) => {
                    self.serve(id, queue, request, item)?;
                    self.settle(queue);
                    self.connections.get_mut(&id).map_or(Ok(()), Connection::write)
                }
            },
        }
    }

    fn serve(
        &mut self,
        id: u64,
        queue_index: usize,
        request: Request,
        item: Vec<u8>,
    ) -> Result<(), Breach> {
        let queue = &mut self.queues[queue_index];
        let connection = self.connections.get_mut(&id).ok_or(Breach)?;
        match request {
            Request::Open { .. } => return Err(Breach),
            Request::Put { .. } if item.len() as u64 > self.settings.max_item => {
                return Err(Breach);
            }
            Request::Put { .. } if queue.closed => connection.reply(&Reply::Closed, &[]),
            Request::Put { patience } => {
                connection.pending =
                    Some(Pending { deadline: deadline(patience), put: Some(item) });
                queue.putters.push_back(id);
            }
            Request::Get { patience } => {
                connection.pending = Some(Pending { deadline: deadline(patience), put: None });
                queue.getters.push_back(id);
            }
            Request::Acknowledge { lease } => {
                connection.leases.remove(&lease).ok_or(Breach)?;
                queue.leased -= 1;
                connection.reply(&Reply::Done, &[]);
            }
            Request::GiveBack { lease } => {
                let item = connection.leases.remove(&lease).ok_or(Breach)?;
                queue.give_back(item);
                connection.reply(&Reply::Done, &[]);
            }
            Request::Count => {
                let reply =
                    Reply::Count { items: queue.items.len() as u64, leased: queue.leased as u64 };
                connection.reply(&reply, &[]);
            }
            Request::Close => {
                queue.closed = true;
                connection.reply(&Reply::Done, &[]);
            }
        }
        Ok(())
    }

    /// Brings items and waiting clients of a queue together until nothing more can be done, and
    /// sends the answers. Then lets those go that had no patience.
    fn settle(&mut self, queue_index: usize) {
        let queue = &mut self.queues[queue_index];
        let mut answered = Vec::new();
        loop {
            let before = answered.len();
            while !queue.closed && queue.has_room() {
                let Some(id) = queue.putters.pop_front() else { break };
                let Some(connection) = self.connections.get_mut(&id) else { continue };
                let Some(bytes) = connection.pending.take().and_then(|pending| pending.put) else {
                    continue;
                };
                queue.push(bytes);
                connection.reply(&Reply::Done, &[]);
                answered.push(id);
            }
            while !queue.items.is_empty() {
                let Some(id) = queue.getters.pop_front() else { break };
                let Some(connection) = self.connections.get_mut(&id) else { continue };
                let Some(item) = queue.items.pop_front() else { break };
                connection.pending = None;
                let lease = self.next_lease;
                self.next_lease += 1;
                queue.leased += 1;
                connection.reply(&Reply::Item { lease }, &item.bytes);
                connection.leases.insert(lease, item);
                answered.push(id);
            }
            if answered.len() == before {
                break;
            }
        }
        let mut over = Vec::new();
        if queue.closed {
            over.extend(queue.putters.drain(..));
        }
        if queue.is_over() {
            over.extend(queue.getters.drain(..));
        }
        for id in over {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.pending = None;
                connection.reply(&Reply::Closed, &[]);
                answered.push(id);
            }
        }
        for id in answered {
            if self.connections.get_mut(&id).is_some_and(|connection| connection.write().is_err()) {
                self.disconnect(id);
            }
        }
    }

    /// Answers those whose time is up, and drops those that took too long to say who they are.
    fn expire(&mut self) {
        let now = Instant::now();
        if self.accept_after.is_some_and(|after| after <= now) {
            self.accept_after = None;
        }
        let is_late =
            |connection: &Connection| connection.deadline().is_some_and(|deadline| deadline <= now);
        let late: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, connection)| is_late(connection))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            let Phase::Open { queue } = connection.phase else {
                self.disconnect(id);
                continue;
            };
            if connection.pending.take().is_some() {
                self.queues[queue].forget(id);
                connection.reply(&Reply::NotNow, &[]);
                if connection.write().is_err() {
                    self.disconnect(id);
                }
            }
        }
    }

    /// Closes a connection; what it had on lease goes back.
    fn disconnect(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        if let Phase::Open { queue: index } = connection.phase {
            let queue = &mut self.queues[index];
            queue.forget(id);
            for item in connection.leases.into_values() {
                queue.give_back(item);
            }
            self.settle(index);
        }
    }
}

impl NamedQueue {
    fn forget(&mut self, id: u64) {
        self.getters.retain(|other| *other != id);
        self.putters.retain(|other| *other != id);
    }
}

fn deadline(patience: Patience) -> Deadline {
    match patience {
        Patience::None => Some(Instant::now()),
        Patience::Micros(micros) => deadline_after(Duration::from_micros(micros)),
        Patience::Endless => None,
    }
}
