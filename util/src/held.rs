//! What processes hold, also in the kernel: one rule for all who weigh a process, a thread or a
//! task.
//!
//! | part | how it is known |
//! | --- | --- |
//! | memory of their own | what they have written, and a share of what they share: [`measure::memory`](crate::measure::memory) |
//! | page tables | `VmPTE` in `/proc/PID/status` |
//! | kernel stacks | 16 KiB per thread, the default on x86-64 and 64-bit ARM |
//! | sockets | those that are open, by what `/proc/net/protocols` says that one of their kind takes |
//!
//! Not counted, because the kernel does not show it for one process: its records of processes,
//! threads, files and mappings, and what waits in a socket to be read.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    ops::Sub,
};

/// The kernel's stack of one thread, in bytes.
const STACK: u64 = 16 << 10;

/// The tables of open sockets, and the kernel's names of such a socket, the newer one first.
const KINDS: [(&str, &[&str]); 5] = [
    ("unix", &["UNIX-STREAM", "UNIX"]),
    ("tcp", &["TCP"]),
    ("tcp6", &["TCPv6"]),
    ("udp", &["UDP"]),
    ("udp6", &["UDPv6"]),
];

/// What some processes hold together, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Memory of their own.
    pub user: u64,
    /// The kernel's page tables for them.
    pub page_tables: u64,
    /// The kernel's stacks, one a thread.
    pub stacks: u64,
    /// The kernel's records of their sockets; one that several of them have open counts once.
    pub sockets: u64,
}

impl Held {
    /// What the processes with these ids hold now.
    ///
    /// # Errors
    ///
    /// If one of them is not there, or belongs to somebody else.
    ///
    /// ```
    /// use util::held::Held;
    ///
    /// let before = Held::by(&[std::process::id()])?;
    /// let pair = std::os::unix::net::UnixStream::pair()?;
    /// let more = Held::by(&[std::process::id()])? - before;
    /// assert!(more.sockets > 0 && more.kernel() >= more.sockets);
    /// # drop(pair);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn by(ids: &[u32]) -> io::Result<Held> {
        let (mut all, mut seen) = (Held::default(), HashSet::new());
        let sizes = socket_sizes()?;
        for id in ids {
            let status = fs::read_to_string(format!("/proc/{id}/status"))?;
            let number = |key: &str| -> u64 {
                let line = status.lines().find_map(|line| line.strip_prefix(key));
                let word = line.and_then(|line| line.split_whitespace().next());
                word.and_then(|word| word.parse().ok()).unwrap_or(0)
            };
            all.user += crate::measure::memory(*id)?;
            all.page_tables += number("VmPTE:") * 1024;
            all.stacks += number("Threads:") * STACK;
            for descriptor in fs::read_dir(format!("/proc/{id}/fd"))? {
                let Ok(target) = fs::read_link(descriptor?.path()) else { continue }; // closed meanwhile
                let target = target.to_string_lossy();
                let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
                if let Some(inode) = inode
                    && seen.insert(inode.to_owned())
                {
                    all.sockets += sizes.get(inode).copied().unwrap_or(0);
                }
            }
        }
        Ok(all)
    }

    /// What the kernel holds of it.
    pub fn kernel(&self) -> u64 {
        self.page_tables + self.stacks + self.sockets
    }

    /// All of it.
    pub fn all(&self) -> u64 {
        self.user + self.kernel()
    }
}

impl Sub for Held {
    type Output = Held;

    /// What there is more than `before`; of a part that became less, nothing.
    fn sub(self, before: Held) -> Held {
        Held {
            user: self.user.saturating_sub(before.user),
            page_tables: self.page_tables.saturating_sub(before.page_tables),
            stacks: self.stacks.saturating_sub(before.stacks),
            sockets: self.sockets.saturating_sub(before.sockets),
        }
    }
}

/// The bytes of each open socket, by the number of its inode.
fn socket_sizes() -> io::Result<HashMap<String, u64>> {
    let protocols = fs::read_to_string("/proc/net/protocols")?;
    let size_of = |name: &&str| {
        let line = protocols.lines().find(|line| line.split_whitespace().next() == Some(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let mut sizes = HashMap::new();
    for (table, names) in KINDS {
        let Some(size) = names.iter().find_map(size_of) else { continue };
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default(); // no IPv6: no table
        // Behind the head a line for each: its inode is the 7th word of a Unix socket, the 10th of
        // the others.
        let word = if table == "unix" { 6 } else { 9 };
        let inodes = text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(word));
        sizes.extend(inodes.map(|inode| (inode.to_owned(), size)));
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
        process,
        sync::mpsc,
        thread,
    };

    /// In a process of its own the figures would be exact; here other tests come and go, so they
    /// are lower bounds.
    #[test]
    fn a_thread_has_a_stack_in_the_kernel() {
        let (end, ended) = mpsc::channel::<()>();
        let one = thread::spawn(move || ended.recv().is_err());
        let held = Held::by(&[process::id()]).unwrap();
        assert!(held.stacks >= 2 * STACK && held.page_tables >= 4096, "{held:?}");
        assert!(held.all() > held.kernel());
        drop(end);
        assert!(one.join().unwrap());
    }

    #[test]
    fn each_socket_counts_once() {
        let sizes = socket_sizes().unwrap();
        let inode = |name: String| {
            let link = fs::read_link(name).unwrap();
            link.to_string_lossy()["socket:[".len()..].trim_end_matches(']').to_owned()
        };
        assert!(sizes.values().all(|size| (200..20_000).contains(size)), "{sizes:?}");
        drop(sizes);
        let pair = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let again = client.try_clone().unwrap();
        let sizes = socket_sizes().unwrap();
        use std::os::fd::AsRawFd;
        for fd in [pair.0.as_raw_fd(), pair.1.as_raw_fd(), listener.as_raw_fd(), client.as_raw_fd()]
        {
            assert!(sizes.contains_key(&inode(format!("/proc/self/fd/{fd}"))), "{fd}");
        }
        let of = |fd| inode(format!("/proc/self/fd/{fd}"));
        assert_eq!(of(client.as_raw_fd()), of(again.as_raw_fd()), "by its inode it counts once");
    }

    #[test]
    fn less_is_nothing() {
        let some = Held { user: 5, page_tables: 4, stacks: 3, sockets: 2 };
        let more = Held { user: 6, page_tables: 3, ..some };
        assert_eq!(more - some, Held { user: 1, ..Held::default() });
        assert_eq!((some.kernel(), some.all()), (9, 14));
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert_eq!(Held::by(&[u32::MAX]).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
