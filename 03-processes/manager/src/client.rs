//! The client: connections to queues of a manager.

use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::ops::Deref;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use multiproc::{encoding, fork};

use crate::deadline::{Deadline, deadline_after, time_left};
use crate::error::ManagerError;
use crate::keep_alive::keep_alive;
use crate::wire::{self, GREETING, HEADER_MAX, NONCE, PROOF, Patience, Reply, Request, Role};

/// How long a server may take for an answer that needs no waiting for others.
const ANSWER: Duration = Duration::from_secs(30);

/// Where a manager is and the key it shares with its clients.
#[derive(Clone)]
pub struct Client {
    addresses: Vec<SocketAddr>,
    key: Vec<u8>,
    connect_timeout: Duration,
}

impl std::fmt::Debug for Client {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the manager at `address`, which has the same `key`. Connects only in
    /// [`queue`](Self::queue).
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the key is empty; when the address cannot be resolved.
    pub fn new(address: impl ToSocketAddrs, key: &[u8]) -> io::Result<Client> {
        if key.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a manager's client needs a key",
            ));
        }
        let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        Ok(Client { addresses, key: key.to_vec(), connect_timeout: Duration::from_secs(5) })
    }

    /// How long connecting and proving may take; 5 seconds unless told otherwise, without a limit
    /// with [`Duration::MAX`].
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Client {
        self.connect_timeout = timeout;
        self
    }

    /// Connects to the manager's queue `name`, whose items are of type `T` by agreement between the
    /// programs.
    ///
    /// Each `RemoteQueue` is a connection of its own: open one for each thread and each queue.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Disconnected`] when there is no manager; [`Refused`](ManagerError::Refused)
    /// when either side does not prove that it has the key;
    /// [`NotAManager`](ManagerError::NotAManager) when another program listens there;
    /// [`NoSuchQueue`](ManagerError::NoSuchQueue).
    pub fn queue<T>(&self, name: &str) -> Result<RemoteQueue<T>, ManagerError> {
        fork::begin_use()?;
        let deadline = deadline_after(self.connect_timeout);
        let (stream, max_item) = self.connect(deadline)?;
        let mut queue =
            RemoteQueue { stream, max_item, capacity: None, broken: false, items: PhantomData };
        if name.len() > wire::NAME_MAX {
            return Err(ManagerError::NoSuchQueue);
        }
        match queue.ask(&Request::Open { queue: name.to_owned() }, &[], Some(ANSWER))? {
            (Reply::Opened { capacity }, _) => {
                queue.capacity =
                    capacity.map(|capacity| usize::try_from(capacity).unwrap_or(usize::MAX));
                Ok(queue)
            }
            (Reply::NoSuchQueue, _) => Err(ManagerError::NoSuchQueue),
            _ => Err(queue.breach()),
        }
    }

    fn connect(&self, deadline: Deadline) -> Result<(TcpStream, u64), ManagerError> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no address to connect to");
        for address in &self.addresses {
            let left = time_left(deadline).max(Duration::from_millis(1));
            match TcpStream::connect_timeout(address, left) {
                Ok(stream) => return self.shake_hands(stream, deadline),
                Err(error) => last = error,
            }
        }
        Err(ManagerError::Disconnected(last))
    }

    fn shake_hands(
        &self,
        mut stream: TcpStream,
        deadline: Deadline,
    ) -> Result<(TcpStream, u64), ManagerError> {
        keep_alive(&stream)?;
        let mut greeting = [0; GREETING.len() + NONCE];
        let mut read = 0;
        while read < greeting.len() {
            let silent = "no greeting of a manager came in time: another program listens there, or the manager is overloaded";
            let full = "the connection was closed at once: the manager has no room for another one";
            read += match read_some(&mut stream, &mut greeting[read..], deadline) {
                Ok(0) if read == 0 => return Err(because(io::ErrorKind::UnexpectedEof, full)),
                Ok(0) => return Err(ManagerError::NotAManager),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(because(io::ErrorKind::TimedOut, silent));
                }
                Err(error) => return Err(explained(error)),
            };
            // Seen with its first wrong byte: another program may send fewer bytes than a manager
            // and then wait.
            if !greeting[..read].iter().zip(&GREETING).all(|(theirs, ours)| theirs == ours) {
                return Err(ManagerError::NotAManager);
            }
        }
        let server = &greeting[GREETING.len()..];
        let server = server.try_into().expect("split there");
        let client = wire::nonce()?;
        let proof = wire::proof(&self.key, Role::Client, server, &client, &[]);
        stream.write_all(&[client, proof].concat()).map_err(explained)?;
        let mut answer = [0; 8 + PROOF];
        let mut read = 0;
        while read < answer.len() {
            read += match read_some(&mut stream, &mut answer[read..], deadline) {
                // A server that does not believe us hangs up.
                Ok(0) => return Err(ManagerError::Refused),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(ManagerError::Refused);
                }
                Err(error) => return Err(explained(error)),
            };
        }
        let (limit, proof) = answer.split_at(8);
        if !wire::is_proof(proof, &self.key, Role::Server, server, &client, limit) {
            return Err(ManagerError::Refused);
        }
        Ok((stream, u64::from_le_bytes(limit.try_into().expect("split there"))))
    }
}

/// Reads what is there, up to the length of `buffer`, waiting for it until `deadline`; 0 at the
/// end.
fn read_some(stream: &mut TcpStream, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize> {
    loop {
        let left = time_left(deadline);
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(buffer) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            result => return result,
        }
    }
}

fn because(kind: io::ErrorKind, reason: &'static str) -> ManagerError {
    ManagerError::Disconnected(io::Error::new(kind, reason))
}

/// The error of a connection, in words that name the manager.
fn explained(error: io::Error) -> ManagerError {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock};
    match error.kind() {
        kind @ (BrokenPipe | ConnectionReset | UnexpectedEof) => {
            because(kind, "the manager closed the connection")
        }
        WouldBlock | TimedOut => because(TimedOut, "the manager has not answered in time"),
        _ => ManagerError::Disconnected(error),
    }
}

/// A connection to one queue of a manager.
///
/// After [`ManagerError::Disconnected`] it is of no more use: connect anew. Whether a put that
/// ended so has taken place is unknown.
#[derive(Debug)]
pub struct RemoteQueue<T> {
    stream: TcpStream,
    max_item: u64,
    capacity: Option<usize>,
    broken: bool,
    items: PhantomData<fn(T) -> T>,
}

impl<T> RemoteQueue<T> {
    /// One question, one answer.
    fn ask(
        &mut self,
        request: &Request,
        item: &[u8],
        timeout: Option<Duration>,
    ) -> Result<(Reply, Vec<u8>), ManagerError> {
        fork::check()?;
        if self.broken {
            return Err(because(io::ErrorKind::NotConnected, "the connection was lost before"));
        }
        let mut frame = Vec::new();
        wire::write_frame(&mut frame, request, item)
            .map_err(|_| ManagerError::TooLarge { len: item.len(), max: wire::ITEM_MAX })?;
        // Until the answer is here, whole, the connection is in the middle of something.
        self.broken = true;
        self.stream.set_write_timeout(Some(ANSWER))?;
        self.stream.set_read_timeout(timeout)?;
        self.stream.write_all(&frame).map_err(explained)?;
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).map_err(explained)?;
        let len = u64::from(u32::from_le_bytes(len));
        if len > self.max_item + HEADER_MAX {
            return Err(self.breach());
        }
        frame.clear();
        self.stream.set_read_timeout(Some(ANSWER))?;
        // Memory grows with what comes, not with what is announced.
        let read = (&self.stream).take(len).read_to_end(&mut frame).map_err(explained)?;
        if read as u64 != len {
            return Err(explained(io::ErrorKind::UnexpectedEof.into()));
        }
        let (reply, item) = postcard::take_from_bytes(&frame).map_err(|_| self.breach())?;
        let item_at = frame.len() - item.len();
        frame.drain(..item_at);
        if !(frame.is_empty() || matches!(reply, Reply::Item { .. })) {
            return Err(self.breach());
        }
        self.broken = false;
        Ok((reply, frame))
    }

    /// The server said what no server of ours says.
    fn breach(&mut self) -> ManagerError {
        self.broken = true;
        ManagerError::Disconnected(io::Error::new(
            io::ErrorKind::InvalidData,
            "not what a manager answers",
        ))
    }

    fn ask_waiting(
        &mut self,
        request: impl Fn(Patience) -> Request,
        item: &[u8],
        timeout: Option<Duration>,
    ) -> Result<(Reply, Vec<u8>), ManagerError> {
        let patience = match timeout {
            None => Patience::Endless,
            Some(Duration::ZERO) => Patience::None,
            Some(timeout) => {
                Patience::Micros(u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX))
            }
        };
        self.ask(&request(patience), item, timeout.map(|timeout| timeout.saturating_add(ANSWER)))
    }

    /// The most items the queue holds at once; `None` when unbounded.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    /// How many items wait in the queue, and how many are on lease.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Disconnected`].
    pub fn count(&mut self) -> Result<(u64, u64), ManagerError> {
        match self.ask(&Request::Count, &[], Some(ANSWER))? {
            (Reply::Count { items, leased }, _) => Ok((items, leased)),
            _ => Err(self.breach()),
        }
    }

    /// Closes the queue for all: putting is an error from now on; getting is, too, when all items
    /// in it have been got and acknowledged.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Disconnected`].
    pub fn close(&mut self) -> Result<(), ManagerError> {
        self.order(&Request::Close)
    }

    fn order(&mut self, request: &Request) -> Result<(), ManagerError> {
        match self.ask(request, &[], Some(ANSWER))? {
            (Reply::Done, _) => Ok(()),
            _ => Err(self.breach()),
        }
    }
}

impl<T: Serialize + 'static> RemoteQueue<T> {
    /// Puts an item, waiting for room as long as it takes. It is in the queue when this returns
    /// `Ok`.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Closed`], [`TooLarge`](ManagerError::TooLarge),
    /// [`Encode`](ManagerError::Encode), [`Disconnected`](ManagerError::Disconnected).
    pub fn put(&mut self, item: &T) -> Result<(), ManagerError> {
        self.put_within(item, None)
    }

    /// Puts an item, waiting for room at most `timeout`; with zero, not at all.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Full`], and those of [`put`](Self::put).
    pub fn put_timeout(&mut self, item: &T, timeout: Duration) -> Result<(), ManagerError> {
        self.put_within(item, Some(timeout))
    }

    fn put_within(&mut self, item: &T, timeout: Option<Duration>) -> Result<(), ManagerError> {
        let encoded = encoding::encode(item).map_err(ManagerError::Encode)?;
        let bytes = encoded.as_bytes();
        if bytes.len() as u64 > self.max_item {
            return Err(ManagerError::TooLarge { len: bytes.len(), max: self.max_item });
        }
        let reply = self.ask_waiting(|patience| Request::Put { patience }, bytes, timeout);
        // Without an answer the item may be there.
        if matches!(reply, Err(_) | Ok((Reply::Done, _))) {
            encoded.sent();
        }
        match reply? {
            (Reply::Done, _) => Ok(()),
            (Reply::NotNow, _) => Err(ManagerError::Full),
            (Reply::Closed, _) => Err(ManagerError::Closed),
            _ => Err(self.breach()),
        }
    }
}

impl<T: DeserializeOwned + 'static> RemoteQueue<T> {
    /// Takes the oldest item on lease, waiting for one as long as it takes.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Closed`], [`Decode`](ManagerError::Decode),
    /// [`Disconnected`](ManagerError::Disconnected).
    pub fn get(&mut self) -> Result<Lease<'_, T>, ManagerError> {
        self.get_within(None)
    }

    /// Takes the oldest item on lease, waiting for one at most `timeout`; with zero, not at all.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Empty`], and those of [`get`](Self::get).
    pub fn get_timeout(&mut self, timeout: Duration) -> Result<Lease<'_, T>, ManagerError> {
        self.get_within(Some(timeout))
    }

    fn get_within(&mut self, timeout: Option<Duration>) -> Result<Lease<'_, T>, ManagerError> {
        match self.ask_waiting(|patience| Request::Get { patience }, &[], timeout)? {
            (Reply::Item { lease }, bytes) => {
                // Before decoding, which runs the caller's code: if that panics, the item goes
                // back.
                let mut lease = Lease { queue: self, id: lease, value: None, is_open: true };
                match encoding::decode(bytes) {
                    Ok(value) => {
                        lease.value = Some(value);
                        Ok(lease)
                    }
                    Err(error) => {
                        // Given back it would come again and again.
                        lease.end(|lease| Request::Acknowledge { lease })?;
                        Err(ManagerError::Decode(error))
                    }
                }
            }
            (Reply::NotNow, _) => Err(ManagerError::Empty),
            (Reply::Closed, _) => Err(ManagerError::Closed),
            _ => Err(self.breach()),
        }
    }
}

/// An item on lease: this client's to work on, the manager's until acknowledged.
///
/// Dropped without that (an early return, a panic), or when the process or its machine dies, it
/// goes back to its old place in the queue and another gets it.
#[derive(Debug)]
pub struct Lease<'a, T> {
    queue: &'a mut RemoteQueue<T>,
    id: u64,
    /// Until acknowledged.
    value: Option<T>,
    is_open: bool,
}

impl<T> Lease<'_, T> {
    /// Says that the item is done with: now it is gone from the queue, and yours.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Disconnected`]: the manager does not know, so if it lives another client
    /// gets the item too.
    pub fn acknowledge(mut self) -> Result<T, ManagerError> {
        let value = self.value.take().expect("only taken here");
        self.end(|lease| Request::Acknowledge { lease })?;
        Ok(value)
    }

    /// Ends the lease, once.
    fn end(&mut self, how: impl Fn(u64) -> Request) -> Result<(), ManagerError> {
        self.is_open = false;
        self.queue.order(&how(self.id))
    }
}

impl<T> Deref for Lease<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect("only taken by `acknowledge`, which takes the lease too")
    }
}

impl<T> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        if self.is_open {
            // If that fails the connection is at its end, which gives the item back too.
            let _ = self.end(|lease| Request::GiveBack { lease });
        }
    }
}
