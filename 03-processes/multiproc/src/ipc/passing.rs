//! Descriptors in values: how they get from a value into a packet and back.
//!
//! A value that contains a descriptor (an end of a pipe) is encoded in two steps: a duplicate of
//! the descriptor is put on a list of this thread, and its index is encoded. Decoding reads the
//! index and takes the descriptor from the list.

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::shm::transit;
use crate::sys::reason;
use crate::sys::sync::ENDING;

/// Descriptors one value can have. A packet carries up to two more: one for bytes, and one that
/// holds shared memory.
pub(crate) const MAX_DESCRIPTORS: usize = 250;

thread_local! {
    /// Descriptors of the values this thread is encoding; none when it is not encoding a packet.
    static OUTGOING: RefCell<Option<Vec<OwnedFd>>> = const { RefCell::new(None) };
    /// Descriptors for the values this thread is decoding, each taken once.
    static INCOMING: RefCell<Option<Vec<Option<OwnedFd>>>> = const { RefCell::new(None) };
}

/// An error when this thread is past its end, and what it kept for this module is gone: in an exit
/// handler, or while the values of the thread are dropped.
pub(crate) fn check_thread() -> Result<(), &'static str> {
    let are_there = OUTGOING.try_with(|_| ()).is_ok() && INCOMING.try_with(|_| ()).is_ok();
    if are_there { Ok(()) } else { Err(ENDING) }
}

/// An encoding of a value with descriptors, on this thread. One inside another (a `Serialize` that
/// itself sends) has a list of its own, and the outer one gets its own back.
pub(super) struct Outgoing {
    outer: Option<Vec<OwnedFd>>,
}

impl Outgoing {
    /// Begins one. The thread has been [checked](check_thread).
    pub(super) fn begin() -> Outgoing {
        Outgoing { outer: OUTGOING.replace(Some(Vec::new())) }
    }

    /// The descriptors of what has been encoded.
    pub(super) fn take(&self) -> Vec<OwnedFd> {
        OUTGOING.take().unwrap_or_default()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        OUTGOING.set(self.outer.take());
    }
}

/// A decoding of a value with descriptors, on this thread; nested as [`Outgoing`] is. What has not
/// been decoded is closed with it.
pub(super) struct Incoming {
    outer: Option<Vec<Option<OwnedFd>>>,
}

impl Incoming {
    /// Begins one, with the descriptors that came with the value. The thread has been
    /// [checked](check_thread).
    pub(super) fn begin(descriptors: Vec<OwnedFd>) -> Incoming {
        let descriptors = descriptors.into_iter().map(Some).collect();
        Incoming { outer: INCOMING.replace(Some(descriptors)) }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        INCOMING.set(self.outer.take());
    }
}

/// Encodes a descriptor: puts a duplicate of it on the list, and its index in the bytes.
pub(crate) fn serialize_descriptor<S: serde::Serializer>(
    fd: BorrowedFd<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    check_thread().map_err(serde::ser::Error::custom)?;
    let index = OUTGOING.with_borrow_mut(|list| match list {
        _ if !transit::takes_descriptors() => Err(
            "a descriptor can travel as a process's argument or result or through a pipe, not here"
                .to_owned(),
        ),
        None => unreachable!("a packet is being encoded"),
        Some(list) if list.len() >= MAX_DESCRIPTORS => {
            Err(format!("more than {MAX_DESCRIPTORS} descriptors in a value"))
        }
        Some(list) => match fd.try_clone_to_owned() {
            Ok(fd) => {
                list.push(fd);
                Ok(list.len() as u32 - 1)
            }
            Err(error) => Err(error.to_string()),
        },
    });
    match index {
        Ok(index) => serializer.serialize_u32(index),
        Err(text) => {
            reason::leave(text.clone());
            Err(serde::ser::Error::custom(text))
        }
    }
}

/// Decodes a descriptor: takes the one at the index in the bytes off the list.
pub(crate) fn deserialize_descriptor<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<OwnedFd, D::Error> {
    check_thread().map_err(serde::de::Error::custom)?;
    let index = <u32 as serde::Deserialize>::deserialize(deserializer)? as usize;
    let taken = INCOMING.with_borrow_mut(|list| list.as_mut()?.get_mut(index)?.take());
    taken.ok_or_else(|| {
        let text = "the message came without this descriptor";
        reason::leave(text.to_owned());
        serde::de::Error::custom(text)
    })
}
