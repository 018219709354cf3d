//! The server: one thread, one `poll` over all connections, no lock.
//!
//! A connection is a small state machine. It carries one request at a time; anything that comes
//! while one is being answered is a breach, and the end of the connection is seen at once, also
//! while its client waits for an item. So the number of threads is one whatever clients do, and the
//! number of connections is bounded.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::connection::{Breach, Connection, Pending, Phase};
use crate::deadline::{Deadline, deadline_after};
use crate::keep_alive::keep_alive;
use crate::named_queue::NamedQueue;
use crate::wire::{self, HELLO, NONCE, Nonce, Patience, Reply, Request, Role};

/// How long the server rests when the system has no descriptor or no memory left.
const REST: Duration = Duration::from_millis(100);

/// What the server goes by.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) key: Vec<u8>,
    pub(super) max_item: u64,
    pub(super) max_connections: usize,
    pub(super) handshake_timeout: Duration,
}

impl Settings {
    fn frame_limit(&self) -> usize {
        usize::try_from(self.max_item + wire::HEADER_MAX).unwrap_or(usize::MAX)
    }
}

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
        let queues = queues.into_iter().map(|(_, capacity)| NamedQueue::new(capacity)).collect();
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
                self.handle_events(id, flags);
            }
            self.expire();
        }
    }

    /// Waits for something to do; `None` when it is time to stop.
    fn wait(&mut self) -> Option<Vec<(u64, PollFlags)>> {
        let now = Instant::now();
        let deadlines =
            self.connections.values().filter_map(Connection::deadline).chain(self.accept_after);
        let left = deadlines.min().map(|deadline| deadline.saturating_duration_since(now));
        // More seconds than a `timespec` holds is as good as forever.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let accept = if self.accept_after.is_some() { PollFlags::empty() } else { PollFlags::IN };
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        let mut polled = Vec::with_capacity(ids.len() + 2);
        polled.push(PollFd::new(&self.stop, PollFlags::IN));
        polled.push(PollFd::new(&self.listener, accept));
        for id in &ids {
            let connection = &self.connections[id];
            let write =
                if connection.output.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            polled.push(PollFd::new(&connection.stream, PollFlags::IN | write));
        }
        // No memory, or more connections than the process may open by now: nothing is known to be
        // ready, and trying again at once would keep a processor busy.
        if poll(&mut polled, timeout.as_ref()).is_err() {
            std::thread::sleep(REST);
            return Some(Vec::new());
        }
        let flags: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
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
        let mut connection = Connection::new(stream, nonce, deadline);
        // 40 bytes, which a new connection always takes; so they are never in the way of what the
        // client sends.
        let greeting = [&wire::GREETING[..], &nonce].concat();
        if !matches!(connection.stream.write(&greeting), Ok(40)) {
            return;
        }
        self.connections.insert(self.next_connection, connection);
        self.next_connection += 1;
    }

    fn handle_events(&mut self, id: u64, flags: PollFlags) {
        let limit = self.settings.frame_limit();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut outcome = connection.write();
        if outcome.is_ok() && flags.intersects(!PollFlags::OUT) {
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
                    self.deliver(queue);
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
    fn deliver(&mut self, queue_index: usize) {
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

    /// Answers those that timed out, and drops those that took too long to say who they are.
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
            self.deliver(index);
        }
    }
}

fn deadline(patience: Patience) -> Deadline {
    match patience {
        Patience::None => Some(Instant::now()),
        Patience::Micros(micros) => deadline_after(Duration::from_micros(micros)),
        Patience::Endless => None,
    }
}
