//! The messages between a parent and its child: the mark in the environment by which a process
//! recognizes that it is a child, the start packet, and the report.

use std::os::fd::BorrowedFd;

use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use crate::ipc::codec;
use crate::ipc::socket::Packet;
use crate::process::executable;
use crate::process::remote::Remote;
use crate::sys::panics::Panic;

/// The environment variable that holds `device:inode:identity`: the bootstrap socket, and the [copy
/// of this library](executable::identity) that made it. Programs that a child starts by other means
/// inherit the variable, and are not children: their standard input is another one.
pub(super) const MARK: &str = "MULTIPROC_BOOTSTRAP";

/// The head of the start packet, before the argument.
#[derive(Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) name: String,
    /// The numbers in default names from the root to here: `2:1` is the first child of `Process-2`.
    pub(super) lineage: String,
    pub(super) parent_id: u32,
    pub(super) inherit_stdin: bool,
    pub(super) entry: Remote<Call>,
}

/// The head of a child's report, before the result.
#[derive(Serialize, Deserialize)]
pub(super) enum Report {
    /// The function returned; its encoded result follows.
    Returned,
    Panicked(Panic),
    /// The argument could not be decoded; the function has not run.
    Argument(String),
    /// The result could not be encoded; the function has run.
    Result(String),
    /// The child could not set itself up; the function has not run.
    Setup(String),
}

/// The call of the function of a child.
pub(super) struct Call {
    /// The argument, encoded; its bytes begin at `at`.
    pub(super) argument: Packet,
    pub(super) at: usize,
    /// What to tell the parent.
    pub(super) answer: Packet,
}

/// A packet that is a report alone, or is to have a result behind it.
pub(super) fn report(report: &Report) -> Packet {
    let mut packet = Packet::default();
    codec::encode_own(report, &mut packet.bytes);
    packet
}

/// The mark for a child whose standard input will be this socket; `None` if it is not a socket.
pub(super) fn mark_for(fd: BorrowedFd<'_>) -> Option<String> {
    Some(format!("{}:{}", numbers_of(fd)?, executable::identity()))
}

/// The device and inode of a socket; `None` if it is not one.
pub(super) fn numbers_of(fd: BorrowedFd<'_>) -> Option<String> {
    let stat = rustix::fs::fstat(fd).ok()?;
    let is_socket = FileType::from_raw_mode(stat.st_mode) == FileType::Socket;
    is_socket.then(|| format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// What a child is sent before its argument. The identity comes first, and its encoding is the same
/// in all versions.
pub(super) fn start_packet(start: &Start) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_own(executable::identity(), &mut bytes);
    codec::encode_own(start, &mut bytes);
    bytes
}
