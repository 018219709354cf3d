//! The work that cases and benchmarks share, so that one figure compares with another:
//! one kind that keeps a processor busy, one that waits for an answer.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    thread,
    time::Duration,
};

/// CPU-bound: how many primes there are in `range`, by trial division. Slow on purpose, and
/// the same number of divisions each time.
///
/// ```
/// assert_eq!(util::work::count_primes(0..100), 25);
/// ```
pub fn count_primes(range: Range<u32>) -> usize {
    let is_prime =
        |n: &u32| *n >= 2 && (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    range.filter(is_prime).count()
}

/// The other end of IO-bound work: a server on the loopback interface that answers each
/// request after a while. Each connection has a thread, so it answers as many at once
/// as ask.
#[derive(Debug)]
pub struct SlowServer {
    address: SocketAddr,
}

impl SlowServer {
    /// Starts a server that answers `delay` after each request, on a port the system chooses.
    /// It runs until the program ends.
    ///
    /// # Errors
    ///
    /// If no port or no thread can be had.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use util::work::{SlowServer, ask};
    ///
    /// let server = SlowServer::start(Duration::from_millis(5))?;
    /// let asked = Instant::now();
    /// assert_eq!(ask(server.address(), 6)?, 36);
    /// assert!(asked.elapsed() >= Duration::from_millis(5));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn start(delay: Duration) -> io::Result<SlowServer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        thread::Builder::new().name("slow server".into()).spawn(move || {
            for connection in listener.incoming().flatten() {
                thread::spawn(move || answer(connection, delay));
            }
        })?;
        Ok(SlowServer { address })
    }

    /// Where to ask.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers each number with its square until the other side closes or says what is no number.
fn answer(connection: TcpStream, delay: Duration) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let Ok(number) = line.trim().parse::<u32>() else {
            break;
        };
        thread::sleep(delay);
        writeln!(&connection, "{}", u64::from(number).pow(2))?;
        line.clear();
    }
    Ok(())
}

/// IO-bound: asks the [`SlowServer`] at `address` for the square of `number` and waits for it.
///
/// # Errors
///
/// If the server cannot be reached, closes early or answers nonsense.
pub fn ask(address: SocketAddr, number: u32) -> io::Result<u64> {
    let connection = TcpStream::connect(address)?;
    writeln!(&connection, "{number}")?;
    let mut answer = String::new();
    // The answer is a short line: the usual 8 KiB would be most of what one who waits holds.
    if BufReader::with_capacity(64, connection).read_line(&mut answer)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server sent no answer"));
    }
    answer.trim().parse().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_counted_the_same_in_parts() {
        let parts: usize = (0..10).map(|i| count_primes(i * 100..(i + 1) * 100)).sum();
        assert_eq!(parts, 168);
        assert_eq!(count_primes(0..1000), 168);
    }

    #[test]
    fn the_server_answers_many_and_refuses_nonsense() {
        let server = SlowServer::start(Duration::from_millis(1)).unwrap();
        thread::scope(|s| {
            for n in 0..20 {
                s.spawn(move || assert_eq!(ask(server.address, n).unwrap(), u64::from(n).pow(2)));
            }
        });
        let connection = TcpStream::connect(server.address).unwrap();
        writeln!(&connection, "six").unwrap();
        let mut rest = String::new();
        assert_eq!(BufReader::new(connection).read_line(&mut rest).unwrap(), 0);
    }
}
