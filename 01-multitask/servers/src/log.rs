//! The log of requests on standard output, and reports of trouble on standard error. Neither ever
//! waits for one who reads it.
//!
//! A line of the log is in the Common Log Format. It is at most [`LONGEST_LINE`] bytes long and
//! written by one system call together with other whole lines, of that length at the most; so lines
//! of several processes do not mix in a pipe. Whatever is in a request that is not printable ASCII
//! is escaped, quotation marks and backslashes included; so no client can make a line of its own. A
//! request that is too long ends in `...`.
//!
//! A thread of its own writes the lines. While it cannot, because a pipe is full or a disk is slow,
//! no more than [`MOST_WAITING`] bytes of lines wait for it, besides those it is writing; further
//! ones are dropped and counted.
//! Where they are missing, the log has a line `# 12 lines were dropped`, which no request can look
//! like.

use crate::{clock::Clock, request::Method, status::Status};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{CWD, FileType, Mode, OFlags, fstat, openat},
    io::{Errno, write},
    net::{SendFlags, getpeername, send},
    stdio::{stderr, stdout},
};
use std::{
    io::{self, Write},
    net::SocketAddr,
    os::fd::{AsRawFd, BorrowedFd},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The most bytes of a line: so many a pipe takes in one piece (`PIPE_BUF`).
pub const LONGEST_LINE: usize = 4096;
/// The most bytes of lines that wait to be written.
pub const MOST_WAITING: usize = 256 * 1024;
/// How long to wait at the end until the last lines are written.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The log of one process.
#[derive(Debug)]
pub struct Log(Option<Arc<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There are lines to be written, or it is the end.
    has_lines: Condvar,
    /// All lines are written.
    is_written: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: Vec<u8>,
    dropped: u64,
    is_writing: bool,
    is_ending: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, line: &[u8]) {
        if self.lines.len() + line.len() > MOST_WAITING {
            self.dropped += 1;
        } else {
            self.mark();
            self.lines.extend(line);
        }
    }

    /// Says where lines are missing.
    fn mark(&mut self) {
        match std::mem::take(&mut self.dropped) {
            0 => {}
            1 => self.lines.extend(b"# 1 line was dropped\n"),
            count => writeln!(self.lines, "# {count} lines were dropped").expect("a vector grows"),
        }
    }
}

impl Log {
    /// A log, if there `is_wanted` one. If no thread can be started for it, that is reported, and
    /// there is none.
    pub fn start(is_wanted: bool) -> Log {
        if !is_wanted {
            return Log(None);
        }
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        let run = move || write_lines(&writer, stdout());
        match thread::Builder::new().name("log".into()).stack_size(64 * 1024).spawn(run) {
            Ok(_) => Log(Some(shared)),
            Err(error) => {
                report("log", &format!("requests are not logged: cannot start a thread: {error}"));
                Log(None)
            }
        }
    }

    /// Logs one request: its first line is that of `bytes`.
    pub(crate) fn request(
        &self,
        socket: BorrowedFd<'_>,
        bytes: &[u8],
        method: Method,
        status: Status,
        length: Option<u64>,
        clock: &mut Clock,
    ) {
        let Some(shared) = &self.0 else { return };
        let peer = getpeername(socket).ok().flatten();
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        let length = match length {
            _ if method == Method::Head => Some(0),
            length => length,
        };
        let line = line(peer, clock.date(), bytes, status.code(), length);
        let mut queue = shared.queue();
        queue.push(&line);
        if !queue.is_writing {
            shared.has_lines.notify_one();
        }
    }
}

impl Log {
    /// No more requests: waits until all lines are written, but no longer than a moment.
    pub fn finish(&self) {
        let Some(shared) = &self.0 else { return };
        let end = Instant::now() + PATIENCE;
        let mut queue = shared.queue();
        queue.is_ending = true;
        shared.has_lines.notify_one();
        while queue.is_writing || !queue.lines.is_empty() || queue.dropped > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = shared.is_written.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A line in the Common Log Format.
fn line(
    peer: Option<SocketAddr>,
    date: &[u8],
    request: &[u8],
    code: u16,
    length: Option<u64>,
) -> Vec<u8> {
    let mut line = Vec::with_capacity(200);
    let _ = match peer {
        Some(peer) => write!(line, "{}", peer.ip()),
        None => write!(line, "-"), // it is gone already
    };
    // From `Sun, 06 Nov 1994 08:49:37 GMT` to `06/Nov/1994:08:49:37 +0000`.
    for part in
        [b" - - [", &date[5..7], b"/", &date[8..11], b"/", &date[12..16], b":", &date[17..25]]
    {
        line.extend(part);
    }
    line.extend(b" +0000] \"");
    let request = request.trim_ascii_start();
    let end = request.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let most = LONGEST_LINE - 100; // the rest of the line is shorter
    for byte in &request[..end.unwrap_or(request.len())] {
        let escaped = byte.escape_ascii();
        if line.len() + escaped.len() > most {
            line.extend(b"...");
            break;
        }
        line.extend(escaped);
    }
    let _ = match length {
        Some(length) => writeln!(line, "\" {code} {length}"),
        None => writeln!(line, "\" {code} -"),
    };
    line
}

/// What the log's thread does: writes lines as they come, until the end.
fn write_lines(shared: &Shared, output: BorrowedFd<'_>) {
    let mut is_torn = false; // the last write ended in the middle of a line
    let mut queue = shared.queue();
    loop {
        if queue.lines.is_empty() {
            queue.mark();
        }
        if queue.lines.is_empty() {
            shared.is_written.notify_all();
            if queue.is_ending {
                return;
            }
            queue = shared.has_lines.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let lines = std::mem::take(&mut queue.lines);
        queue.is_writing = true;
        drop(queue);
        let lost = write_pieces(&lines, output, &mut is_torn);
        queue = shared.queue();
        queue.is_writing = false;
        if queue.lines.capacity() == 0 {
            queue.lines = lines;
            queue.lines.clear();
        }
        match lost {
            Ok(()) => {}
            // Nobody will ever read it: nothing is missing.
            Err((Errno::PIPE, _)) => {
                report("log", "requests are no longer logged: standard output was closed");
                queue.dropped = 0;
            }
            Err((error, count)) => {
                report("log", &format!("cannot write to standard output: {error}"));
                queue.dropped += count;
                // It would fail at once again.
                let waited = shared.has_lines.wait_timeout(queue, Duration::from_millis(100));
                queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                if queue.is_ending {
                    (queue.dropped, queue.lines) = (0, Vec::new());
                }
            }
        }
    }
}

/// Writes whole lines, as many at once as fit in a piece. Returns the error that stopped it, and
/// how many lines it has lost.
fn write_pieces(
    mut lines: &[u8],
    output: BorrowedFd<'_>,
    is_torn: &mut bool,
) -> Result<(), (Errno, u64)> {
    let ends = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    while !lines.is_empty() {
        let most = lines.len().min(LONGEST_LINE);
        let end = lines[..most].iter().rposition(|byte| *byte == b'\n');
        let (mut piece, rest) = lines.split_at(end.map_or(most, |end| end + 1));
        if *is_torn {
            // So that the next line begins as one.
            let ended = write_all(&mut &b"\n"[..], output);
            ended.map_err(|error| (error, ends(piece) + ends(rest)))?;
            *is_torn = false;
        }
        let whole = piece;
        if let Err(error) = write_all(&mut piece, output) {
            let written = &whole[..whole.len() - piece.len()];
            *is_torn = written.last().is_some_and(|byte| *byte != b'\n');
            return Err((error, ends(piece) + ends(rest)));
        }
        lines = rest;
    }
    Ok(())
}

/// Writes all of `bytes`, and waits as long as that takes. What could not be written remains.
fn write_all(bytes: &mut &[u8], output: BorrowedFd<'_>) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match write(output, bytes) {
            Ok(count) => *bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // Somebody who shares it has made it so.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&output, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a short text can be written to `output` without waiting. If its reader is gone it can:
/// that is an error at once.
pub fn is_writable(output: BorrowedFd<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::from_borrowed_fd(output, PollFlags::OUT)], Some(&now));
    ready.is_ok_and(|count| count > 0)
}

/// Reports trouble on standard error: each kind of it at most once a minute, and not at all if it
/// would have to wait.
pub fn report(kind: &'static str, text: &str) {
    static REPORTED: Mutex<Vec<(&'static str, Instant)>> = Mutex::new(Vec::new());
    let mut reported = REPORTED.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    reported.retain(|(_, at)| now.duration_since(*at) < Duration::from_secs(60));
    if reported.iter().any(|(reported, _)| *reported == kind) {
        return;
    }
    reported.push((kind, now));
    drop(reported);
    let _ = write_now(stderr(), format!("warning: {text}\n").as_bytes());
}

/// Writes a short text, unless that would have to wait.
///
/// # Errors
///
/// If it would have to, or cannot be written.
pub fn write_now(output: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    let written = match FileType::from_raw_mode(fstat(output)?.st_mode) {
        FileType::Socket => send(output, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
        FileType::Fifo => {
            // Opened once more, since whether it waits is shared with all who have the pipe open.
            let path = format!("/proc/self/fd/{}", output.as_raw_fd());
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            match openat(CWD, path, flags, Mode::empty()) {
                Ok(pipe) => write(&pipe, bytes),
                Err(_) if is_writable(output) => write(output, bytes),
                Err(error) => Err(error),
            }
        }
        _ if is_writable(output) => write(output, bytes),
        _ => Err(Errno::AGAIN),
    };
    written.map(drop).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn a_line_is_one_line_whatever_was_sent() {
        let text = |request: &[u8]| {
            String::from_utf8(line("[::1]:7".parse().ok(), DATE, request, 200, None)).unwrap()
        };
        assert_eq!(
            text(b"\r\nGET /a HTTP/1.1\r\nHost: x"),
            "::1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a HTTP/1.1\" 200 -\n"
        );
        let forged = text("GET /\" 200 1\u{202e}\u{2028}\x1b[2J\t\\ HTTP/1.1\r\n".as_bytes());
        assert!(forged.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')), "{forged}");
        assert!(
            forged.contains(r#""GET /\" 200 1\xe2\x80\xae\xe2\x80\xa8\x1b[2J\t\\ HTTP/1.1" 200"#)
        );
        for byte in [b'a', b'"', 0xff, 0] {
            let long = text(&[&b"GET /"[..], &[byte; 20_000], b" HTTP/1.1\r\n"].concat());
            assert!(
                long.len() <= LONGEST_LINE && long.len() > LONGEST_LINE - 110,
                "{}",
                long.len()
            );
            assert!(long.ends_with("...\" 200 -\n") && long.matches('\n').count() == 1);
        }
    }

    #[test]
    fn after_an_error_the_next_line_begins_as_one() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let lines = [&[b'x'; 3000][..], b"\n", &[b'y'; 3000], b"\n"].concat();
        let mut is_torn = false;
        let result = write_pieces(&lines, full.as_fd(), &mut is_torn);
        assert_eq!((result, is_torn), (Err((Errno::NOSPC, 2)), false));
        // A file that may grow no longer has the first part of a line.
        let (reader, writer) = io::pipe().unwrap();
        is_torn = true;
        write_pieces(b"next\n", writer.as_fd(), &mut is_torn).unwrap();
        drop(writer);
        assert_eq!((io::read_to_string(reader).unwrap(), is_torn), ("\nnext\n".into(), false));
    }

    #[test]
    fn what_cannot_be_written_is_counted_where_it_is_missing() {
        let (reader, writer) = io::pipe().unwrap();
        let shared = Arc::new(Shared::default());
        let line = |number: u32| format!("{number:0999}\n");
        let put = |number| {
            shared.queue().push(line(number).as_bytes());
            shared.has_lines.notify_one();
        };
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || write_lines(&shared, writer.as_fd())
        });
        (0..2000).for_each(put); // far more than fit in the pipe and the queue
        let mut read = io::BufReader::new(reader);
        let mut next = || {
            let mut line = String::new();
            io::BufRead::read_line(&mut read, &mut line).unwrap();
            line
        };
        // Every line is there, or is counted where it should be.
        let (mut expected, mut missing) = (0, 0);
        while expected < 2000 {
            let found = next();
            if let Some(count) = found.strip_prefix("# ") {
                let count: u32 = count.split(' ').next().unwrap().parse().unwrap();
                missing += count;
                expected += count;
            } else {
                assert_eq!(found, line(expected));
                expected += 1;
            }
        }
        assert!((1000..1900).contains(&missing), "{missing}");
        put(2000);
        assert_eq!(next(), line(2000));
        shared.queue().is_ending = true;
        shared.has_lines.notify_one();
        thread.join().unwrap();
        assert_eq!(next(), "");
    }
}
