//! Queues across machines: one manager, many workers, over TCP.
//!
//! ```
//! use multiproc_manager::{Client, Manager};
//!
//! let manager = Manager::builder(b"a long and random key");
//! let manager = manager.queue("tasks", Some(100)).queue("results", None).start()?;
//!
//! // In another program, or on another machine:
//! let client = Client::new(manager.address(), b"a long and random key")?;
//! let mut tasks = client.queue::<u32>("tasks")?;
//! tasks.put(&7)?;
//!
//! let task = tasks.get()?; // on lease
//! let mut results = client.queue::<u32>("results")?;
//! results.put(&(*task * *task))?;
//! task.acknowledge()?; // only now is it gone from the manager
//! assert_eq!(results.get()?.acknowledge()?, 49);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! - Nothing a client sends is decoded, and no more than 64 bytes of it are read, before it has
//!   proved that it has the key; and it sends nothing but its proof before the manager has proved
//!   the same (HMAC-SHA256 over nonces of both sides).
//! - A client that does not prove it in time is dropped. A client that breaks the protocol is
//!   dropped, alone.
//! - An item got is on lease until acknowledged. If its client dies it returns to its old place at
//!   once; if the client's whole machine vanishes, within half a minute. So an item is worked on
//!   *at least* once: by two clients, when the first one's connection broke just before its
//!   acknowledgement.
//! - When the manager is gone, whatever a client does or waits for ends with
//!   [`ManagerError::Disconnected`].
//! - A manager is one thread, with a bounded number of connections. What it holds, it holds in
//!   memory: it ends with its process.
//!
//! # What is not: secrecy
//!
//! **Nothing is encrypted, and after the handshake nothing is signed.** Whoever can read the
//! network reads the items; whoever can change what passes can take over a connection. The manager
//! therefore listens on the loopback address unless told otherwise. Between machines, send it
//! through a tunnel that encrypts: WireGuard, an SSH tunnel (`ssh -L 5000:localhost:5000 host`), or
//! TLS (`stunnel`). Take a key of at least 32 random bytes (`openssl rand -hex 32`): who listens in
//! on a handshake can try short ones at leisure. The handshake keeps strangers out of the queues,
//! not off the port: who reaches it can occupy connections until the deadline.

mod client;
mod connection;
mod deadline;
mod error;
mod keep_alive;
mod named_queue;
mod server;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use multiproc::{fork, signals};

pub use client::{Client, Lease, RemoteQueue};
pub use error::ManagerError;
use server::{Server, Settings};

/// How to start a [`Manager`]. Made by [`Manager::builder`].
#[derive(Clone)]
pub struct Builder {
    settings: Settings,
    addresses: Vec<SocketAddr>,
    queues: Vec<(String, Option<usize>)>,
}

impl fmt::Debug for Builder {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("addresses", &self.addresses)
            .field("queues", &self.queues)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Listens at `address` instead of a free port of the loopback address. See what is [not
    /// promised](self).
    ///
    /// # Errors
    ///
    /// When the address cannot be resolved.
    pub fn listen(mut self, address: impl ToSocketAddrs) -> io::Result<Builder> {
        self.addresses = address.to_socket_addrs()?.collect();
        Ok(self)
    }

    /// Adds a queue for at most `capacity` items at once (`None`: any number).
    ///
    /// # Panics
    ///
    /// When the name is longer than 255 bytes or there is one of it already, or the capacity is
    /// zero.
    #[must_use]
    pub fn queue(mut self, name: &str, capacity: Option<usize>) -> Builder {
        assert!(name.len() <= wire::NAME_MAX, "a name of {} bytes", name.len());
        assert!(self.queues.iter().all(|(other, _)| other != name), "two queues named {name:?}");
        assert!(capacity != Some(0), "a queue for no items");
        self.queues.push((name.to_owned(), capacity));
        self
    }

    /// Takes items of up to `bytes`, encoded; 64 MiB unless told otherwise, 4 GiB less a kilobyte
    /// at the most.
    #[must_use]
    pub fn max_item_bytes(mut self, bytes: u64) -> Builder {
        self.settings.max_item = bytes.min(u64::from(u32::MAX) - wire::HEADER_MAX);
        self
    }

    /// Serves up to `count` connections at once, 256 unless told otherwise; more are refused. A
    /// client has one for each queue it uses.
    #[must_use]
    pub fn max_connections(mut self, count: usize) -> Builder {
        self.settings.max_connections = count;
        self
    }

    /// Drops a client that has not proved within `timeout` that it has the key; 5 seconds unless
    /// told otherwise, never with [`Duration::MAX`].
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Builder {
        self.settings.handshake_timeout = timeout;
        self
    }

    /// Starts to serve. A port that a manager used a moment ago can be used again at once.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the key is empty; when the address is taken or not this machine's; when
    /// there is no thread to be had.
    pub fn start(self) -> io::Result<Manager> {
        fork::begin_use()?;
        if self.settings.key.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a manager needs a key"));
        }
        // The standard library sets SO_REUSEADDR.
        let listener = TcpListener::bind(&self.addresses[..])?;
        let address = listener.local_addr()?;
        let (stop, stopped) = UnixStream::pair()?;
        let server = Server::new(self.settings, listener, stopped, self.queues)?;
        // The program's signals are for its own threads.
        let _blocked = signals::block_all()?;
        let thread =
            thread::Builder::new().name("manager".to_owned()).spawn(move || server.run())?;
        Ok(Manager { address, stop: Some(stop), thread: Some(thread) })
    }
}

/// A server of named queues. Dropping it ends it: its clients get [`ManagerError::Disconnected`].
#[derive(Debug)]
pub struct Manager {
    address: SocketAddr,
    /// Closed to stop the server.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Manager {
    /// A manager whose clients have the same `key`.
    #[must_use]
    pub fn builder(key: &[u8]) -> Builder {
        Builder {
            settings: Settings {
                key: key.to_vec(),
                max_item: 64 << 20,
                max_connections: 256,
                handshake_timeout: Duration::from_secs(5),
            },
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            queues: Vec::new(),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            if fork::is_fork() {
                return std::mem::forget(thread); // it exists in the original process only
            }
            // If it has panicked, its message has been printed, and there is nothing left to stop.
            let _ = thread.join();
        }
    }
}
