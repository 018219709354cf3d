//! Packets between two processes: bytes and file descriptors, whole or not at all.
//!
//! A packet is one message on a `SOCK_SEQPACKET` socket, so the kernel delivers all of it or none:
//! a sender that is killed never leaves a part of a packet, and several senders may share one
//! socket. The first [`INLINE`] bytes travel in the message itself. The bytes beyond them travel in
//! a [file in memory](overflow) whose descriptor is sent with the message (`SCM_RIGHTS`). So even
//! the largest packet is one system call that fits the socket's buffer, and a sender never has to
//! wait in the middle of a packet.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

use crate::ipc::overflow;
use crate::sys::poll;
use crate::sys::sync::{Deadline, ENDING};

/// Bytes of a packet that travel in the message itself.
///
/// Large enough that a large packet weighs in the socket's buffer (about six of them fill it), so
/// that senders of large values are held back too.
const INLINE: usize = 32 * 1024;

/// Before a packet's bytes: how many there are, and above [`RIGHTS`] how many descriptors.
const HEADER: usize = size_of::<u64>();
const RIGHTS: u32 = 48;

fn to_header(len: usize, rights: usize) -> [u8; HEADER] {
    (len as u64 | (rights as u64) << RIGHTS).to_le_bytes()
}

fn from_header(header: [u8; HEADER]) -> (u64, usize) {
    let header = u64::from_le_bytes(header);
    (header & ((1 << RIGHTS) - 1), (header >> RIGHTS) as usize)
}

/// Descriptors the kernel puts into one message (`SCM_MAX_FD`).
const MAX_RIGHTS: usize = 253;

/// Bytes, and the descriptors that belong to them.
#[derive(Debug, Default)]
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Packet {
    /// The same packet once more, with descriptors of its own.
    pub(crate) fn try_clone(&self) -> io::Result<Packet> {
        let descriptors =
            self.descriptors.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>()?;
        Ok(Packet { bytes: self.bytes.clone(), descriptors })
    }
}

/// A connected pair of packet sockets, closed on `exec`, neither of them 0, 1 or 2.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (a, b) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((above_stdio(a)?, above_stdio(b)?))
}

/// Moves a descriptor out of the way of the standard streams, should the process have closed one of
/// them.
pub(crate) fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    if fd.as_raw_fd() > 2 { Ok(fd) } else { Ok(rustix::io::fcntl_dupfd_cloexec(&fd, 3)?) }
}

/// Sends one packet. Waits for room until the deadline, then fails with `TimedOut`; nothing has
/// been sent then.
///
/// # Errors
///
/// `BrokenPipe` when the other end is gone, `TimedOut`, `FileTooLarge` (the limit on file sizes),
/// or what the kernel says (no memory, too many descriptors open or in flight).
pub(crate) fn send(socket: BorrowedFd<'_>, packet: &Packet, deadline: Deadline) -> io::Result<()> {
    let total = packet.bytes.len();
    let (head, tail) = packet.bytes.split_at(total.min(INLINE));
    let overflow = if tail.is_empty() { None } else { Some(overflow::in_memory(tail)?) };

    let mut rights: Vec<BorrowedFd<'_>> = Vec::new();
    rights.extend(overflow.as_ref().map(AsFd::as_fd));
    rights.extend(packet.descriptors.iter().map(AsFd::as_fd));

    let header = to_header(total, rights.len());
    let parts = [IoSlice::new(&header), IoSlice::new(head)];
    let mut space = [MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(MAX_RIGHTS))];
    loop {
        let mut control =
            SendAncillaryBuffer::new(if rights.is_empty() { &mut [] } else { &mut space });
        if !rights.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&rights)) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "too many descriptors in one message",
            ));
        }
        match sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::new(&socket, PollFlags::OUT)];
                if poll::until(&mut fds, deadline)? == 0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            // The other end closed with packets of ours unread.
            Err(Errno::CONNRESET) => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

thread_local! {
    /// Where packets of this thread land before their bytes are copied out.
    static LANDING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Waits for a packet and looks at its header, so that it is not received before there is room for
/// its descriptors; `false` when the other end is gone and everything it sent has been received.
///
/// The descriptors themselves are not looked at: those that a look gives would have to be closed,
/// and closing a file's descriptor ends the record locks that this process has on the file.
///
/// # Errors
///
/// `TimedOut`; `QuotaExceeded` when too many descriptors are open; or what the kernel says.
fn look(socket: BorrowedFd<'_>, deadline: Deadline) -> io::Result<bool> {
    let wait = if deadline.is_some() { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
    let mut header = [0; HEADER];
    loop {
        let mut control = RecvAncillaryBuffer::new(&mut []);
        let header = &mut [IoSliceMut::new(&mut header)];
        match recvmsg(socket, header, &mut control, RecvFlags::PEEK | wait) {
            Ok(message) if message.bytes == 0 => return Ok(false),
            Ok(_) => break,
            // The other end closed before it read all we sent. That is said once; what it sent
            // before comes after it, then the end.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::new(&socket, PollFlags::IN)];
                if poll::until(&mut fds, deadline)? == 0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let (_, rights) = from_header(header);
    let room = || rustix::io::fcntl_dupfd_cloexec(socket, 0);
    match (0..rights.min(MAX_RIGHTS)).map(|_| room()).collect::<rustix::io::Result<Vec<_>>>() {
        Ok(_) => Ok(true),
        Err(Errno::MFILE | Errno::NFILE) => Err(io::Error::new(
            io::ErrorKind::QuotaExceeded,
            "too many open files: the message waits until there is room for its descriptors",
        )),
        Err(error) => Err(error.into()),
    }
}

/// Receives one packet; `None` when the other end is gone and everything it sent has been received.
///
/// # Errors
///
/// `TimedOut` at the deadline; `QuotaExceeded` when too many descriptors are open for those of the
/// packet, which can be received when some have been closed; or what the kernel says.
pub(crate) fn receive(socket: BorrowedFd<'_>, deadline: Deadline) -> io::Result<Option<Packet>> {
    if !has_landing() {
        return Err(io::Error::other(ENDING));
    }
    LANDING.with_borrow_mut(|landing| {
        landing.resize(HEADER + INLINE, 0);
        let mut space = [MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(MAX_RIGHTS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let message = loop {
            if !look(socket, deadline)? {
                return Ok(None);
            }
            match recvmsg(socket, &mut [IoSliceMut::new(landing)], &mut control, flags) {
                Ok(message) => break message,
                // Somebody else has received the packet meanwhile.
                Err(Errno::INTR | Errno::AGAIN | Errno::CONNRESET) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let mut descriptors: Vec<OwnedFd> = Vec::new();
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                descriptors.extend(rights);
            }
        }
        if message.bytes == 0 {
            return Ok(None);
        }
        if message.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other(
                "a message's descriptors were lost: the system did not hand over all of them",
            ));
        }
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed packet");
        let (header, head) =
            landing[..message.bytes].split_first_chunk::<HEADER>().ok_or_else(malformed)?;
        let total = usize::try_from(from_header(*header).0).map_err(|_| malformed())?;
        if head.len() != total.min(INLINE) {
            return Err(malformed());
        }
        let mut bytes = Vec::with_capacity(total);
        bytes.extend_from_slice(head);
        if total > INLINE {
            if descriptors.is_empty() {
                return Err(malformed());
            }
            overflow::append_to(&mut bytes, descriptors.remove(0), total - INLINE)?;
            if bytes.len() != total {
                return Err(malformed());
            }
        }
        Ok(Some(Packet { bytes, descriptors }))
    })
}

/// Whether this thread can receive: not when it is past its end, and its values are gone.
pub(super) fn has_landing() -> bool {
    LANDING.try_with(|_| ()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_of_any_size_arrives_whole() {
        let (a, b) = pair().unwrap();
        for size in [0, 1, INLINE - 1, INLINE, INLINE + 1, 9 << 20] {
            let bytes: Vec<u8> = (0..size).map(|i| i as u8).collect();
            send(a.as_fd(), &Packet { bytes: bytes.clone(), descriptors: Vec::new() }, None)
                .unwrap();
            assert_eq!(receive(b.as_fd(), None).unwrap().unwrap().bytes, bytes);
        }
        drop(a);
        assert!(receive(b.as_fd(), None).unwrap().is_none());
    }

    #[test]
    fn large_packets_are_held_back_when_nobody_receives() {
        let (a, _b) = pair().unwrap();
        let packet = Packet { bytes: vec![0; 1 << 20], descriptors: Vec::new() };
        let sent = (0..100)
            .take_while(|_| {
                send(
                    a.as_fd(),
                    &packet,
                    crate::sys::sync::deadline_after(std::time::Duration::ZERO),
                )
                .is_ok()
            })
            .count();
        assert!((1..16).contains(&sent), "{sent}");
    }
}
