//! What passes over the connection: the handshake, then frames.
//!
//! The handshake, all of fixed lengths and nothing to decode:
//!
//! 1. server → client: a greeting, the server's nonce;
//! 2. client → server: the client's nonce, the client's proof;
//! 3. server → client: the longest frame it takes, the server's proof (of that, too).
//!
//! A proof is HMAC-SHA256 under the shared key over who proves, both nonces, and what else is to be
//! believed. Each side is sure that the other has the key *now*: the nonces are new each time. The
//! key itself is never sent.
//!
//! A frame is a length (4 bytes, little-endian), a header in `postcard`, and an item's bytes, if
//! there is one, as the rest.

use std::fs::File;
use std::io::{self, Read};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

pub(super) const GREETING: [u8; 8] = *b"procmgr1";
pub(super) const NONCE: usize = 32;
pub(super) const PROOF: usize = 32;
/// All that a server reads from a client it does not yet trust.
pub(super) const HELLO: usize = NONCE + PROOF;
/// What a frame takes besides the item: more than any header.
pub(super) const HEADER_MAX: u64 = 1024;
/// The longest name of a queue, in bytes.
pub(super) const NAME_MAX: usize = 255;

pub(super) type Nonce = [u8; NONCE];

/// Who proves that it has the key.
#[derive(Clone, Copy)]
pub(super) enum Role {
    Server,
    Client,
}

/// 32 bytes nobody can guess.
pub(super) fn nonce() -> io::Result<Nonce> {
    let mut nonce = [0; NONCE];
    File::open("/dev/urandom")?.read_exact(&mut nonce)?;
    Ok(nonce)
}

fn mac(key: &[u8], role: Role, server: &Nonce, client: &Nonce, extra: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    // Parts of fixed lengths, so no two different lists of parts make the same bytes.
    mac.update(match role {
        Role::Server => b"manager: server\0",
        Role::Client => b"manager: client\0",
    });
    mac.update(server);
    mac.update(client);
    mac.update(extra);
    mac
}

pub(super) fn proof(
    key: &[u8],
    role: Role,
    server: &Nonce,
    client: &Nonce,
    extra: &[u8],
) -> [u8; PROOF] {
    mac(key, role, server, client, extra).finalize().into_bytes().into()
}

/// Whether the proof is right, in a time that does not tell where it is wrong.
pub(super) fn is_proof(
    proof: &[u8],
    key: &[u8],
    role: Role,
    server: &Nonce,
    client: &Nonce,
    extra: &[u8],
) -> bool {
    mac(key, role, server, client, extra).verify_slice(proof).is_ok()
}

/// How long the client wants the server to wait.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Patience {
    None,
    Micros(u64),
    Endless,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Which queue this connection is about: once, first.
    Open {
        queue: String,
    },
    /// The item is the rest of the frame.
    Put {
        patience: Patience,
    },
    Get {
        patience: Patience,
    },
    Acknowledge {
        lease: u64,
    },
    GiveBack {
        lease: u64,
    },
    Count,
    Close,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Done,
    Opened {
        capacity: Option<u64>,
    },
    NoSuchQueue,
    /// No room, or no item, within the client's patience.
    NotNow,
    Closed,
    /// The item is the rest of the frame.
    Item {
        lease: u64,
    },
    Count {
        items: u64,
        leased: u64,
    },
}

/// The largest item that fits a frame, in bytes.
pub(super) const ITEM_MAX: u64 = u32::MAX as u64 - HEADER_MAX;

/// The item does not fit a frame.
#[derive(Debug)]
pub(super) struct TooLong;

/// Appends a frame to `to`.
pub(super) fn write_frame<H: Serialize>(
    to: &mut Vec<u8>,
    header: &H,
    item: &[u8],
) -> Result<(), TooLong> {
    let start = to.len();
    to.extend_from_slice(&[0; 4]);
    *to = postcard::to_extend(header, std::mem::take(to)).expect("numbers and text always encode");
    to.extend_from_slice(item);
    let len = u32::try_from(to.len() - start - 4).map_err(|_| TooLong)?;
    to[start..start + 4].copy_from_slice(&len.to_le_bytes());
    Ok(())
}
