//! An open file, socket or other descriptor as an argument or a result.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ipc::passing;

/// A descriptor that can travel: as a process's argument or result, or in a message of a
/// [pipe](crate::ipc::pipe).
///
/// What arrives is another descriptor of the same open file: a listening socket handed to several
/// processes is one socket, at which each of them accepts connections. The one that was sent stays
/// open here until it is dropped. It cannot be put into a [`Queue`](crate::Queue), which is memory
/// and holds no descriptors.
///
/// ```
/// use multiproc::Descriptor;
/// use std::{fs::File, io::Read};
///
/// fn read(file: Descriptor) -> String {
///     let mut text = String::new();
///     File::from(file.into_inner()).read_to_string(&mut text).unwrap();
///     text
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     multiproc::init();
///     let (reader, mut writer) = std::io::pipe()?;
///     let child = multiproc::spawn(read, Descriptor::new(reader))?;
///     std::io::Write::write_all(&mut writer, b"hello")?;
///     drop(writer);
///     assert_eq!(child.join()?, "hello");
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Descriptor(OwnedFd);

impl Descriptor {
    /// Takes `fd`: a file, a listener, a connection, an end of a pipe.
    pub fn new(fd: impl Into<OwnedFd>) -> Descriptor {
        Descriptor(fd.into())
    }

    /// The descriptor, to be made into what it is: `TcpListener::from(descriptor.into_inner())`.
    pub fn into_inner(self) -> OwnedFd {
        self.0
    }

    /// A second descriptor of the same open file.
    ///
    /// # Errors
    ///
    /// Too many open files.
    pub fn try_clone(&self) -> io::Result<Descriptor> {
        self.0.try_clone().map(Descriptor)
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        passing::serialize_descriptor(self.0.as_fd(), serializer)
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        passing::deserialize_descriptor(deserializer).map(Descriptor)
    }
}
