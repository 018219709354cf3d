//! What the kernel holds for processes, as far as it shows that for one process.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
};

use crate::counted::Kernel;

/// The kernel's stack of one thread, in bytes: the default on x86-64 and 64-bit ARM.
pub(super) const STACK: u64 = 16 << 10;

/// The tables of open sockets, and the kernel's names of such a socket, the newer one first.
const KINDS: [(&str, &[&str]); 5] = [
    ("unix", &["UNIX-STREAM", "UNIX"]),
    ("tcp", &["TCP"]),
    ("tcp6", &["TCPv6"]),
    ("udp", &["UDP"]),
    ("udp6", &["UDPv6"]),
];

/// What the kernel holds for the processes with these ids.
pub(crate) fn kernel_memory(ids: &[u32]) -> io::Result<Option<Kernel>> {
    let (mut all, mut seen) = (Kernel::default(), HashSet::new());
    let sizes = socket_sizes()?;
    for id in ids {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let number = |key: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let word = line.and_then(|line| line.split_whitespace().next());
            word.and_then(|word| word.parse().ok()).unwrap_or(0)
        };
        all.page_tables += number("VmPTE:") * 1024;
        all.stacks += number("Threads:") * STACK;
        for descriptor in fs::read_dir(format!("/proc/{id}/fd"))? {
            // It may have been closed meanwhile.
            let Ok(target) = fs::read_link(descriptor?.path()) else { continue };
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            if let Some(inode) = inode
                && seen.insert(inode.to_owned())
            {
                all.sockets += sizes.get(inode).copied().unwrap_or(0);
            }
        }
    }
    Ok(Some(all))
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
        // Without IPv6 there is no table of it.
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
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
        let held = kernel_memory(&[process::id()]).unwrap().unwrap();
        assert!(held.stacks >= 2 * STACK && held.page_tables >= 4096, "{held:?}");
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
}
