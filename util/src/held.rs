//! What processes hold, also in the kernel: one rule for all who weigh a process, a thread or a
//! task.
//!
//! | part | how it is known |
//! | --- | --- |
//! | memory of their own | what they have written, and a share of what they share: [`measure::memory`] |
//! | page tables | `VmPTE` in `/proc/PID/status` |
//! | kernel stacks | 16 KiB per thread, the default on x86-64 and 64-bit ARM |
//! | sockets | those that are open, by what `/proc/net/protocols` says that one of their kind takes |
//!
//! Not counted, because the kernel does not show it for one process: its records of processes,
//! threads, files and mappings, and what waits in a socket to be read. macOS and Windows report
//! only the first part.

pub use crate::counted::Kernel;

use std::{io, ops::Sub};

use crate::{measure, sys};

/// What some processes hold together, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Memory of their own.
    pub user: u64,
    /// What the kernel holds for them; `None`, if the system does not report it.
    pub kernel: Option<Kernel>,
}

impl Held {
    /// What the processes with these ids hold now.
    ///
    /// # Errors
    ///
    /// If one of them is not there, or belongs to somebody else.
    ///
    /// ```
    /// use std::net::{Ipv4Addr, UdpSocket};
    /// use util::held::Held;
    ///
    /// let before = Held::by(&[std::process::id()])?;
    /// let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    /// let more = Held::by(&[std::process::id()])? - before;
    /// let is_more = |sockets, all| sockets > 0 && all >= sockets;
    /// assert!(more.kernel.is_none_or(|kernel| is_more(kernel.sockets, kernel.all())));
    /// # drop(socket);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn by(ids: &[u32]) -> io::Result<Held> {
        let user = ids.iter().map(|id| measure::memory(*id)).sum::<io::Result<u64>>()?;
        Ok(Held { user, kernel: sys::kernel_memory(ids)? })
    }

    /// All of it that the system reports.
    pub fn all(&self) -> u64 {
        self.user + self.kernel.map_or(0, |kernel| kernel.all())
    }
}

impl Sub for Held {
    type Output = Held;

    /// What there is more than `before`; of a part that became less, nothing.
    fn sub(self, before: Held) -> Held {
        Held {
            user: self.user.saturating_sub(before.user),
            kernel: self.kernel.zip(before.kernel).map(|(now, before)| Kernel {
                page_tables: now.page_tables.saturating_sub(before.page_tables),
                stacks: now.stacks.saturating_sub(before.stacks),
                sockets: now.sockets.saturating_sub(before.sockets),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process;

    #[test]
    fn only_linux_reports_what_the_kernel_holds() {
        let held = Held::by(&[process::id()]).unwrap();
        assert!(held.user > 0);
        assert_eq!(held.kernel.is_some(), cfg!(target_os = "linux"), "{held:?}");
    }

    #[test]
    fn less_is_nothing() {
        let kernel = Kernel { page_tables: 4, stacks: 3, sockets: 2 };
        let some = Held { user: 5, kernel: Some(kernel) };
        let more = Held { user: 6, kernel: Some(Kernel { page_tables: 3, ..kernel }) };
        assert_eq!(more - some, Held { user: 1, kernel: Some(Kernel::default()) });
        assert_eq!((kernel.all(), some.all()), (9, 14));
        assert_eq!(Held { kernel: None, ..some }.all(), 5);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(Held::by(&[u32::MAX]).is_err());
    }
}
