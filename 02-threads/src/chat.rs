//! What `014_udp_chat` needs besides its two threads.

use std::{
    io::{self, BufRead, Read},
    net::{IpAddr, SocketAddr, ToSocketAddrs},
};

/// The first address of `peer` that can be reached from `listen`: both IPv4, or both IPv6. From all
/// IPv6 addresses of this machine, IPv4 can be reached as well.
///
/// # Errors
///
/// If the name cannot be resolved, or there is no such address.
pub fn resolve(peer: &str, listen: SocketAddr) -> io::Result<SocketAddr> {
    let addresses: Vec<_> = peer.to_socket_addrs()?.collect();
    let same = addresses.iter().find(|address| address.is_ipv4() == listen.is_ipv4());
    let mapped = addresses.iter().find_map(|address| match address {
        SocketAddr::V4(v4) if listen.is_ipv6() && listen.ip().is_unspecified() => {
            Some(SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())))
        }
        _ => None,
    });
    let none = || io::Error::other(format!("no address that {listen} can reach"));
    same.copied().or(mapped).ok_or_else(none)
}

/// Whether two addresses are the same one. An IPv4 address has two forms, and a link-local one may
/// lack the number of its link.
pub fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    let ip = |address: SocketAddr| -> IpAddr { address.ip().to_canonical() };
    let scope = |address| match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(v6.scope_id()),
        _ => None,
    };
    let scopes = (scope(one), scope(other));
    (ip(one), one.port()) == (ip(other), other.port())
        && (scopes.0 == scopes.1 || scopes.0.is_none() || scopes.1.is_none())
}

/// The next line without the space at its end, and its length, which is right also if it has
/// more than `most` bytes: only the first ones are kept then. `None` at the end of the input.
///
/// # Errors
///
/// If the input cannot be read.
pub fn read_line(input: &mut impl BufRead, most: usize) -> io::Result<Option<(Vec<u8>, usize)>> {
    let mut line = Vec::new();
    // With room for the line's end, which does not count.
    if input.by_ref().take(most as u64 + 2).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let mut length = line.trim_ascii_end().len();
    if !line.ends_with(b"\n") && line.len() == most + 2 {
        length = line.len();
        loop {
            let rest = input.fill_buf()?;
            let end = rest.iter().position(|byte| *byte == b'\n');
            let count = end.unwrap_or(rest.len());
            let is_last = end.is_some() || count == 0;
            length += count;
            input.consume(end.map_or(count, |end| end + 1));
            if is_last {
                break;
            }
        }
    }
    line.truncate(length.min(line.len()));
    Ok(Some((line, length)))
}

/// Which numbers of the peer's session have arrived. It remembers the last 64 of the last session,
/// however many arrive.
///
/// ```
/// use threads::chat::{Arrival, Received};
///
/// let mut received = Received::default();
/// let numbers = [1, 2, 5, 4, 4, 6].map(|number| received.add("a session", number));
/// use Arrival::{AfterGap, Duplicate, InOrder, Late};
/// assert_eq!(numbers, [InOrder, InOrder, AfterGap(2), Late, Duplicate, InOrder]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Received {
    session: String,
    highest: u64,
    /// Bit `n` is set if the number `highest - n` has arrived.
    last: u64,
}

/// What a number says about its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is the next one.
    InOrder,
    /// So many before it have not arrived.
    AfterGap(u64),
    /// A later one has arrived before it. One that is more than 63 behind may also be a duplicate.
    Late,
    /// It has arrived before.
    Duplicate,
}

impl Received {
    /// Notes that `number` has arrived, which is at least 1. A session that is not the last one
    /// begins anew.
    pub fn add(&mut self, session: &str, number: u64) -> Arrival {
        if session != self.session {
            *self = Received { session: session.into(), ..Received::default() };
        }
        if number > self.highest {
            let step = number - self.highest;
            // Bits that are shifted out are of numbers that nobody asks for.
            self.last =
                u32::try_from(step).ok().and_then(|step| self.last.checked_shl(step)).unwrap_or(0)
                    | 1;
            self.highest = number;
            return if step == 1 { Arrival::InOrder } else { Arrival::AfterGap(step - 1) };
        }
        let behind = u32::try_from(self.highest - number).ok();
        let bit = behind.and_then(|behind| 1_u64.checked_shl(behind)).unwrap_or(0);
        if self.last & bit != 0 {
            return Arrival::Duplicate;
        }
        self.last |= bit;
        Arrival::Late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_overflows() {
        let mut received = Received::default();
        assert_eq!(received.add("", u64::MAX), Arrival::AfterGap(u64::MAX - 1));
        assert_eq!(received.add("", u64::MAX), Arrival::Duplicate);
        for number in [1, 2, u64::MAX - 63, u64::MAX - 64] {
            assert_eq!(received.add("", number), Arrival::Late, "{number}");
        }
        assert_eq!(received.add("", u64::MAX - 63), Arrival::Duplicate);
        // A new session begins anew.
        assert_eq!(received.add("b", 1), Arrival::InOrder);
        assert_eq!(received.add("b", u64::MAX), Arrival::AfterGap(u64::MAX - 2));
        assert_eq!(received.add("b", 1), Arrival::Late);
    }

    #[test]
    fn each_order_of_arrival_is_told_apart() {
        let mut received = Received::default();
        assert_eq!(received.add("a", 64), Arrival::AfterGap(63));
        assert!((1..64).rev().all(|number| received.add("a", number) == Arrival::Late));
        assert!((1..=64).all(|number| received.add("a", number) == Arrival::Duplicate));
        assert_eq!(received.add("a", 65), Arrival::InOrder);
        assert_eq!(received.add("a", 129), Arrival::AfterGap(63));
        assert_eq!(received.add("a", 66), Arrival::Late);
        assert_eq!(received.add("a", 194), Arrival::AfterGap(64));
        assert_eq!(received.add("a", 131), Arrival::Late);
    }

    #[test]
    fn long_lines_are_counted_and_not_kept() {
        let mut input =
            io::BufReader::with_capacity(7, &b"abc \n\n12345678\r\n1234567890123\nend"[..]);
        let mut next = || read_line(&mut input, 8).unwrap();
        assert_eq!(next(), Some((b"abc".to_vec(), 3)));
        assert_eq!(next(), Some((b"".to_vec(), 0)));
        assert_eq!(next(), Some((b"12345678".to_vec(), 8)));
        assert_eq!(next().unwrap().1, 13);
        assert_eq!(next(), Some((b"end".to_vec(), 3)));
        assert_eq!(next(), None);
        let mut endless = io::BufReader::new(io::Read::take(io::repeat(b'x'), 10_000_000));
        let (line, length) = read_line(&mut endless, 8).unwrap().unwrap();
        assert_eq!((line.len(), length), (10, 10_000_000));
    }

    #[test]
    fn an_address_has_several_forms() {
        let is_same = |a: &str, b: &str| super::is_same(a.parse().unwrap(), b.parse().unwrap());
        assert!(is_same("127.0.0.1:1", "[::ffff:127.0.0.1]:1"));
        assert!(is_same("[fe80::1%2]:1", "[fe80::1]:1"));
        assert!(!is_same("[fe80::1%2]:1", "[fe80::1%3]:1"));
        assert!(!is_same("127.0.0.1:1", "127.0.0.1:2"));
        assert!(!is_same("127.0.0.1:1", "127.0.0.2:1"));
        let resolved =
            |peer, listen: &str| resolve(peer, listen.parse().unwrap()).ok().map(|a| a.to_string());
        assert_eq!(resolved("127.0.0.1:9", "127.0.0.1:1").as_deref(), Some("127.0.0.1:9"));
        assert_eq!(resolved("127.0.0.1:9", "[::]:1").as_deref(), Some("[::ffff:127.0.0.1]:9"));
        assert_eq!(resolved("[::1]:9", "[::]:1").as_deref(), Some("[::1]:9"));
        assert_eq!(resolved("127.0.0.1:9", "[::1]:1"), None);
        assert_eq!(resolved("[::1]:9", "0.0.0.0:1"), None);
    }
}
