//! Pipes: two typed ends in any two processes. Messages arrive whole and in order.
//!
//! [`simplex`] goes one way, [`duplex`] both. Either end can be an argument or the result of a
//! [process](crate::spawn()), or a message in another pipe; an end that is sent by value moves to
//! the other process. When the last copy of the other end is gone (closed, or its process ended in
//! any way), a receiver gets all messages that were sent and then [`RecvError::Closed`]; a sender
//! gets [`SendError::Closed`] at once.
//!
//! ```
//! use multiproc::pipe::{self, Duplex, RecvError};
//!
//! fn double(end: Duplex<u32, u32>) {
//!     while let Ok(n) = end.recv() {
//!         end.send(&(2 * n)).unwrap();
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     multiproc::init();
//!     let (here, there) = pipe::duplex()?;
//!     let child = multiproc::spawn(double, there)?;
//!     here.send(&21)?;
//!     assert_eq!(here.recv()?, 42);
//!     drop(here); // the child's `recv` returns `Closed`
//!     child.join()?;
//!     Ok(())
//! }
//! ```
//!
//! # What a message may be
//!
//! Anything `serde` can encode, from nothing (`()` or an empty string) to what memory holds:
//! messages of up to 32 KiB travel through the socket's buffer, what is beyond through an anonymous
//! file in memory that goes along. A message arrives whole or not at all, also when its sender is
//! killed in the middle. A sender waits while the other side has not received about 200 KiB (of
//! small messages, some 270; of large ones, about six).
//!
//! Several threads or processes may send on copies of one end, or receive on them: each message
//! goes to one receiver.
//!
//! Each descriptor in a message takes a place among the receiver's open files, and so does what is
//! beyond 32 KiB, and memory to which there are handles in the message (together one each). When
//! there is no room for them, the message stays in the pipe and receiving is an error
//! ([`RecvError::Io`] of the kind [`QuotaExceeded`](io::ErrorKind::QuotaExceeded)); when some files
//! have been closed, the message can be received. (Only a receiver that shares its end with others,
//! or its process with threads that open files at that very moment, can lose the descriptors of a
//! message.)

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ipc::error::{DecodeError, EncodeError};
use crate::ipc::packet;
use crate::ipc::passing;
use crate::ipc::socket;
use crate::sys::fork;
use crate::sys::poll;
use crate::sys::sync::{Deadline, deadline_after};

/// The sending end of a one-way pipe for messages of type `T`.
pub struct Sender<T> {
    socket: OwnedFd,
    message: PhantomData<fn(T)>,
}

/// The receiving end of a one-way pipe for messages of type `T`.
pub struct Receiver<T> {
    socket: OwnedFd,
    message: PhantomData<fn() -> T>,
}

/// One end of a two-way pipe: sends messages of type `S`, receives those of type `R`.
pub struct Duplex<S, R> {
    socket: OwnedFd,
    message: PhantomData<fn(S) -> R>,
}

/// A one-way pipe.
///
/// # Errors
///
/// If the system refuses: too many open descriptors, no memory.
///
/// ```
/// let (sender, receiver) = multiproc::pipe::simplex()?;
/// sender.send(&"hello".to_owned())?;
/// assert_eq!(receiver.recv()?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn simplex<T>() -> io::Result<(Sender<T>, Receiver<T>)> {
    fork::begin_use()?;
    let (a, b) = socket::pair()?;
    Ok((Sender { socket: a, message: PhantomData }, Receiver { socket: b, message: PhantomData }))
}

/// A two-way pipe: what one end sends, the other receives.
///
/// # Errors
///
/// If the system refuses: too many open descriptors, no memory.
///
/// ```
/// let (client, server) = multiproc::pipe::duplex::<u32, String>()?;
/// client.send(&7)?;
/// server.send(&server.recv()?.to_string())?;
/// assert_eq!(client.recv()?, "7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn duplex<A, B>() -> io::Result<(Duplex<A, B>, Duplex<B, A>)> {
    fork::begin_use()?;
    let (a, b) = socket::pair()?;
    Ok((Duplex { socket: a, message: PhantomData }, Duplex { socket: b, message: PhantomData }))
}

fn send<T: Serialize + ?Sized>(
    end: &OwnedFd,
    message: &T,
    deadline: Deadline,
) -> Result<(), SendError> {
    fork::check().map_err(SendError::Io)?;
    let packet = packet::encode(Vec::new(), message).map_err(SendError::Encode)?;
    socket::send(end.as_fd(), &packet, deadline).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => SendError::Closed,
        io::ErrorKind::TimedOut => SendError::TimedOut,
        _ => SendError::Io(error),
    })
}

fn recv<T: DeserializeOwned>(end: &OwnedFd, deadline: Deadline) -> Result<T, RecvError> {
    fork::check().map_err(RecvError::Io)?;
    match socket::receive(end.as_fd(), deadline) {
        Ok(Some(packet)) => {
            packet::decode(&packet.bytes, packet.descriptors).map_err(RecvError::Decode)
        }
        Ok(None) => Err(RecvError::Closed),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(RecvError::TimedOut),
        Err(error) => Err(RecvError::Io(error)),
    }
}

/// The two sending methods of an end.
macro_rules! sending {
    ($($generics:ident),* => $end:ty, $message:ident) => {
        impl<$($generics),*> $end
        where
            $message: Serialize,
        {
            /// Sends a message; waits while the pipe is full.
            ///
            /// # Errors
            ///
            /// [`SendError`]; the message is not sent then, and the pipe is as before.
            pub fn send(&self, message: &$message) -> Result<(), SendError> {
                send(&self.socket, message, None)
            }

            /// Sends a message; waits while the pipe is full, but not longer than `timeout`
            /// ([`Duration::ZERO`] does not wait at all).
            ///
            /// # Errors
            ///
            /// [`SendError::TimedOut`] if it is still full then, else as [`send`](Self::send).
            pub fn send_timeout(&self, message: &$message, timeout: Duration) -> Result<(), SendError> {
                send(&self.socket, message, deadline_after(timeout))
            }
        }
    };
}

/// The two receiving methods of an end.
macro_rules! receiving {
    ($($generics:ident),* => $end:ty, $message:ident) => {
        impl<$($generics),*> $end
        where
            $message: DeserializeOwned,
        {
            /// Receives the next message; waits for one.
            ///
            /// # Errors
            ///
            /// [`RecvError::Closed`] when every copy of the other end is gone and everything sent
            /// has been received; [`RecvError::Decode`] for a message that is no such value (it is
            /// gone, the next one can be received); [`RecvError::Io`] when the system refuses, or
            /// too many files are open (the message stays in the pipe).
            pub fn recv(&self) -> Result<$message, RecvError> {
                recv(&self.socket, None)
            }

            /// Receives the next message; waits for one, but not longer than `timeout`
            /// ([`Duration::ZERO`] does not wait at all).
            ///
            /// # Errors
            ///
            /// [`RecvError::TimedOut`] if there is none by then, else as [`recv`](Self::recv).
            pub fn recv_timeout(&self, timeout: Duration) -> Result<$message, RecvError> {
                recv(&self.socket, deadline_after(timeout))
            }
        }
    };
}

sending!(T => Sender<T>, T);
receiving!(T => Receiver<T>, T);
sending!(S, R => Duplex<S, R>, S);
receiving!(S, R => Duplex<S, R>, R);

/// What every end has: a descriptor, copies, and that it can travel.
macro_rules! end {
    ($($generics:ident),* => $end:ident, $what:literal) => {
        impl<$($generics),*> $end<$($generics),*> {
            /// A second handle of the same end. The other end sees this one closed when all its
            /// handles are.
            ///
            /// # Errors
            ///
            /// If too many descriptors are open.
            pub fn try_clone(&self) -> io::Result<Self> {
                fork::check()?;
                Ok(Self { socket: self.socket.try_clone()?, message: PhantomData })
            }
        }

        /// Readable when a message can be received or the other end is gone.
        impl<$($generics),*> AsFd for $end<$($generics),*> {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.socket.as_fd()
            }
        }

        impl<$($generics),*> fmt::Debug for $end<$($generics),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($what).field("socket", &self.socket).finish()
            }
        }

        /// As an argument or result of a process, or in a message of a pipe; anywhere else it is an
        /// error.
        impl<$($generics),*> Serialize for $end<$($generics),*> {
            fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
                passing::serialize_descriptor(self.socket.as_fd(), serializer)
            }
        }

        impl<'de, $($generics),*> Deserialize<'de> for $end<$($generics),*> {
            fn deserialize<Z: Deserializer<'de>>(deserializer: Z) -> Result<Self, Z::Error> {
                Ok(Self { socket: passing::deserialize_descriptor(deserializer)?, message: PhantomData })
            }
        }
    };
}

end!(T => Sender, "Sender");
end!(T => Receiver, "Receiver");
end!(S, R => Duplex, "Duplex");

/// Waits until at least one of several is ready, and returns the positions of all that are; an
/// empty list when `timeout` passed first, which [`Duration::MAX`] never does.
///
/// A receiving end is ready when a message can be received or the other end is gone; a
/// [`Child`](crate::Child) when it has ended; any other descriptor when it is readable. A message
/// seen here can still go to somebody else who receives on a copy of the same end.
///
/// # Errors
///
/// If the system refuses (`EINVAL`: more descriptors than the process may open).
///
/// ```
/// use std::time::Duration;
/// use multiproc::pipe;
///
/// let (sender, first) = pipe::simplex::<u32>()?;
/// let (_sender, second) = pipe::simplex::<u32>()?;
/// assert!(pipe::wait(&[&first, &second], Duration::ZERO)?.is_empty());
/// sender.send(&1)?;
/// assert_eq!(pipe::wait(&[&first, &second], Duration::MAX)?, [0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn wait(ends: &[&dyn AsFd], timeout: Duration) -> io::Result<Vec<usize>> {
    let mut fds: Vec<PollFd<'_>> =
        ends.iter().map(|end| PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN)).collect();
    poll::until(&mut fds, deadline_after(timeout))?;
    let ready = fds.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty());
    Ok(ready.map(|(position, _)| position).collect())
}

/// Why a message was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// Every copy of the other end is gone: a broken pipe.
    Closed,
    /// The pipe was full for as long as the caller wanted to wait.
    TimedOut,
    /// The message cannot be encoded.
    Encode(EncodeError),
    /// The system refused.
    Io(io::Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("broken pipe: the other end is gone"),
            Self::TimedOut => f.write_str("the pipe stayed full"),
            Self::Encode(error) => write!(f, "the message cannot be encoded: {}", error.reason()),
            Self::Io(error) => write!(f, "the message cannot be sent: {error}"),
        }
    }
}

impl std::error::Error for SendError {}

/// Why no message was received.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// End of file: every copy of the other end is gone, and everything sent has been received.
    Closed,
    /// No message came for as long as the caller wanted to wait.
    TimedOut,
    /// The message is not a value of this type. It has been taken, and its bytes are in the error;
    /// the next one can be received.
    Decode(DecodeError),
    /// The system refused. Of the kind [`QuotaExceeded`](io::ErrorKind::QuotaExceeded): too many
    /// files are open to receive the descriptors that belong to the message, which stays in the
    /// pipe.
    Io(io::Error),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("end of file: the other end is gone"),
            Self::TimedOut => f.write_str("no message came"),
            Self::Decode(error) => write!(f, "the message cannot be decoded: {}", error.reason()),
            Self::Io(error) => write!(f, "no message can be received: {error}"),
        }
    }
}

impl std::error::Error for RecvError {}
