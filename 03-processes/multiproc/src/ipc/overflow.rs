//! The bytes of a packet that do not fit its message. They travel in an anonymous file in memory
//! (`memfd`), whose descriptor is sent with the message.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

use crate::sys::limits;

/// An anonymous file in memory with these bytes, read from its start.
pub(super) fn in_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    limits::check_file_size(bytes.len() as u64)?;
    let mut file =
        File::from(rustix::fs::memfd_create(c"packet", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// Appends the first `len` bytes of such a file.
pub(super) fn append_to(bytes: &mut Vec<u8>, file: OwnedFd, len: usize) -> io::Result<()> {
    File::from(file).take(len as u64).read_to_end(bytes).map(drop)
}
