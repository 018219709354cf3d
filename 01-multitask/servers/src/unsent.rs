//! How much of what was written to a TCP socket its peer has not acknowledged: `SIOCOUTQ`, for
//! which there is no safe function.
#![allow(unsafe_code)]

use rustix::ioctl::{Getter, Opcode, ioctl};
use std::{ffi::c_int, os::fd::AsFd};

/// `SIOCOUTQ`, which has the number of `TIOCOUTQ`.
const SIOCOUTQ: Opcode = 0x5411;

/// The bytes that are still in the kernel's hands; none, if it does not say.
pub(crate) fn unsent(socket: impl AsFd) -> u64 {
    // SAFETY: this request writes one `int` to its argument, which is what `Getter` hands to it;
    // on descriptors that are no TCP socket it fails or does the same.
    let unsent = unsafe { ioctl(socket, Getter::<SIOCOUTQ, c_int>::new()) };
    unsent.ok().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}
