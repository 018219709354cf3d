//! Limits of the system that have to be checked before they are reached, or that need an error of
//! their own kind.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Refuses to make a file (shared memory is one) `len` bytes long if the process's limit on file
/// sizes forbids it.
///
/// The kernel would refuse as well, but it would also send `SIGXFSZ`, which ends the program.
///
/// # Errors
///
/// `FileTooLarge`, with the limit in the message.
pub(crate) fn check_file_size(len: u64) -> io::Result<()> {
    match getrlimit(Resource::Fsize).current {
        Some(limit) if len > limit => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!(
                "{len} bytes of shared memory are more than the limit on file sizes of {limit} \
                 bytes (`ulimit -f`)"
            ),
        )),
        _ => Ok(()),
    }
}

/// The error, as one of kind `QuotaExceeded` where too many files are open: the same call succeeds
/// when some have been closed.
pub(crate) fn descriptors(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::MFILE | Errno::NFILE) => {
            io::Error::new(io::ErrorKind::QuotaExceeded, "too many open files")
        }
        _ => error,
    }
}
