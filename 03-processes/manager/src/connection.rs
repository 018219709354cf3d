//! One connection as the server sees it: a small state machine that reads requests and writes
//! replies without ever waiting.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::deadline::Deadline;
use crate::named_queue::Item;
use crate::wire::{self, HELLO, Nonce, Reply, Request};

/// What is read from one connection before the others have their turn.
const TURN: usize = 1 << 20;

pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) phase: Phase,
    pub(super) input: Vec<u8>,
    pub(super) output: Vec<u8>,
    pub(super) written: usize,
    pub(super) pending: Option<Pending>,
    pub(super) leases: BTreeMap<u64, Item>,
}

pub(super) enum Phase {
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

pub(super) struct Pending {
    pub(super) deadline: Deadline,
    /// The item to put; none for a get.
    pub(super) put: Option<Vec<u8>>,
}

/// The connection is to be closed.
pub(super) struct Breach;

impl Connection {
    /// A new connection, which has been greeted with this nonce.
    pub(super) fn new(stream: TcpStream, nonce: Nonce, deadline: Deadline) -> Connection {
        Connection {
            stream,
            phase: Phase::Handshake { nonce, deadline },
            input: Vec::with_capacity(HELLO),
            output: Vec::new(),
            written: 0,
            pending: None,
            leases: BTreeMap::new(),
        }
    }

    pub(super) fn reply(&mut self, reply: &Reply, item: &[u8]) {
        wire::write_frame(&mut self.output, reply, item)
            .expect("a reply can be encoded, its item came in a frame");
    }

    /// Reads what is there, up to a frame, or the client's hello.
    pub(super) fn read(&mut self, limit: usize) -> Result<(), Breach> {
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
    pub(super) fn frame_len(&self) -> Option<usize> {
        let len = self.input.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*len) as usize)
    }

    /// The request that has come whole, and its item.
    pub(super) fn take_request(&mut self) -> Result<Option<(Request, Vec<u8>)>, Breach> {
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

    pub(super) fn write(&mut self) -> Result<(), Breach> {
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

    pub(super) fn deadline(&self) -> Deadline {
        match (&self.phase, &self.pending) {
            (Phase::Handshake { deadline, .. }, _) => *deadline,
            (_, Some(pending)) => pending.deadline,
            _ => None,
        }
    }
}
