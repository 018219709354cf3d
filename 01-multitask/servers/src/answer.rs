//! The one way from a request to its answer.

pub use crate::status::Status;

use crate::{
    Options, Stop, Timeouts,
    clock::Clock,
    conditions::{self, Decision, Validators},
    content_type,
    files::{Opened, Root, SMALL},
    listing::Listing,
    log::Log,
    request::{Field, Method, Request},
    socket::most_connections,
    target,
};
use std::{
    io::{self, Write},
    os::fd::OwnedFd,
    sync::Arc,
};

/// What is served, and how: shared by all who serve it.
#[derive(Debug)]
pub struct Site {
    root: Root,
    /// See [`Options::workers`].
    pub workers: usize,
    /// See [`Options::connections`].
    pub connections: usize,
    /// See [`Options::log`].
    pub log: Log,
    /// See [`Options::rate`].
    pub rate: u64,
    /// See [`Options::timeouts`].
    pub timeouts: Timeouts,
    stop: Arc<Stop>,
}

impl Site {
    /// Opens the folder that `options` name, and the log.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn new(options: &Options, stop: &Arc<Stop>) -> io::Result<Site> {
        Ok(Site {
            root: Root::open(&options.root)?,
            workers: options.workers.max(1),
            connections: options.connections.clamp(1, most_connections(options.workers)),
            log: Log::start(options.log),
            rate: options.rate,
            timeouts: options.timeouts,
            stop: Arc::clone(stop),
        })
    }

    /// Whether the server is about to end, so that no connection is kept open.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_stopped()
    }
}

/// What one who serves needs again and again, and keeps so that no request allocates.
#[derive(Debug, Default)]
pub struct Desk {
    path: Vec<u8>,
    content: Vec<u8>,
    pub(crate) clock: Clock,
}

/// What was written, for the log, and what is still to be sent behind it.
#[derive(Debug)]
pub struct Answer {
    /// What it says first.
    pub status: Status,
    /// The bytes of its content, if that is known.
    pub length: Option<u64>,
    /// What is still to be sent of its content.
    pub rest: Option<Rest>,
    /// Whether the connection is closed behind it, because its end is marked by nothing else.
    pub closes: bool,
}

impl Answer {
    fn whole(status: Status, length: u64) -> Answer {
        Answer { status, length: Some(length), rest: None, closes: false }
    }
}

/// What is still to be sent of a content that is too long to be written at once.
#[derive(Debug)]
pub enum Rest {
    /// A part of a file.
    File(Part),
    /// The entries of a folder that were not listed yet.
    Listing(Box<Listing>),
}

/// A part of a file that is to be sent.
#[derive(Debug)]
pub struct Part {
    /// The file.
    pub file: OwnedFd,
    /// Where it goes on.
    pub at: u64,
    /// How much is left.
    pub left: u64,
}

/// How the connection goes on, as the answer has to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It stays open, as HTTP/1.1 expects.
    Open,
    /// It stays open, which HTTP/1.0 has to be told.
    OpenHttp10,
    /// It is closed.
    Close,
}

impl Site {
    /// Appends the answer to `request` to `out`: the head, and the content if it is small.
    pub fn answer(
        &self,
        request: &Request,
        after: After,
        desk: &mut Desk,
        out: &mut Vec<u8>,
    ) -> Answer {
        let before = out.len();
        match self.try_answer(request, after, desk, out) {
            Ok(answer) => answer,
            Err(status) => {
                out.truncate(before);
                refuse(status, after, request.method == Method::Head, desk, out)
            }
        }
    }

    fn try_answer(
        &self,
        request: &Request,
        after: After,
        desk: &mut Desk,
        out: &mut Vec<u8>,
    ) -> Result<Answer, Status> {
        if request.method == Method::Other {
            return Err(Status::MethodNotAllowed);
        }
        let wants_folder = target::resolve(request.target, &mut desk.path)?;
        let found = self.root.find(&desk.path)?;
        if !found.is_folder {
            return match wants_folder {
                true => Err(Status::NotFound), // `file.txt/`
                false => self.file(found, request, after, desk, out),
            };
        }
        if !wants_folder {
            return Ok(redirect(request, after, desk, out)); // or its links would lead one folder up
        }
        let folder = desk.path.len();
        desk.path.extend(if folder == 0 { &b"index.html"[..] } else { b"/index.html" });
        match self.root.find(&desk.path) {
            Ok(index) if !index.is_folder => return self.file(index, request, after, desk, out),
            Ok(_) | Err(Status::NotFound) => {}
            Err(status) => return Err(status),
        }
        desk.path.truncate(folder);
        match conditions::decide_for_listing(&request.conditions) {
            Decision::Failed => return Err(Status::PreconditionFailed),
            Decision::NotModified => return Ok(not_modified(None, after, desk, out)),
            Decision::Send(_) => {}
        }
        let mut page = std::mem::take(&mut desk.content);
        let listed = list(found, request, after, &mut page, desk, out);
        desk.content = page;
        listed
    }

    /// A file at `desk.path`.
    fn file(
        &self,
        mut file: Opened,
        request: &Request,
        after: After,
        desk: &mut Desk,
        out: &mut Vec<u8>,
    ) -> Result<Answer, Status> {
        let now = desk.clock.look();
        let is_get = request.method == Method::Get;
        // Ranges are defined for GET alone.
        let range = if is_get { request.range } else { Field::Absent };
        let media_type = content_type::of(&desk.path);
        if file.size > SMALL {
            let validators = Validators::new(&file, None, now);
            let range = match validators.decide(&request.conditions, range, None) {
                Decision::Failed => return Err(Status::PreconditionFailed),
                Decision::NotModified => {
                    return Ok(not_modified(Some(&validators), after, desk, out));
                }
                Decision::Send(range) => range,
            };
            let head = Head { size: file.size, media_type, range, validators, after };
            let (status, at, length) = head.write(desk, out);
            let sends = is_get && length > 0;
            let part = sends.then(|| Rest::File(Part { file: file.into_fd(), at, left: length }));
            return Ok(Answer { rest: part, ..Answer::whole(status, length) });
        }
        let (mut scratch, path) =
            (std::mem::take(&mut desk.content), std::mem::take(&mut desk.path));
        let read = self.root.read(&path, &mut file, &mut scratch);
        let answer = read.and_then(|(file, content)| {
            let validators = Validators::new(file, Some(content), now);
            let range = match validators.decide(&request.conditions, range, Some(content)) {
                Decision::Failed => return Err(Status::PreconditionFailed),
                Decision::NotModified => {
                    return Ok(not_modified(Some(&validators), after, desk, out));
                }
                Decision::Send(range) => range,
            };
            let size = content.len() as u64;
            let head = Head { size, media_type, range, validators, after };
            let (status, at, length) = head.write(desk, out);
            if is_get {
                out.extend(&content[at as usize..(at + length) as usize]);
            }
            Ok(Answer::whole(status, length))
        });
        (desk.content, desk.path) = (scratch, path);
        answer
    }
}

/// The listing of the folder at `desk.path`: at once if it is short, otherwise piece by piece.
/// `page` is room for its first piece.
fn list(
    folder: Opened,
    request: &Request,
    after: After,
    page: &mut Vec<u8>,
    desk: &mut Desk,
    out: &mut Vec<u8>,
) -> Result<Answer, Status> {
    const TYPE: &[u8] = b"Content-Type: text/html; charset=utf-8\r\n";
    let is_head = request.method == Method::Head;
    let mut listing = Listing::new(folder.into_fd(), &desk.path)?;
    page.clear();
    if listing.write(page)? {
        begin(Status::Ok, after, desk, out);
        out.extend(TYPE);
        content(page, is_head, out);
        return Ok(Answer::whole(Status::Ok, page.len() as u64));
    }
    // HTTP/1.0 knows no end of a content of unknown length but the end of the connection.
    let closes = request.is_http_1_0;
    begin(Status::Ok, if closes { After::Close } else { after }, desk, out);
    out.extend(TYPE);
    out.extend(if closes { &b"\r\n"[..] } else { b"Transfer-Encoding: chunked\r\n\r\n" });
    let rest = (!is_head).then(|| {
        listing.is_chunked = !closes;
        listing.wrap(page, out);
        Rest::Listing(Box::new(listing))
    });
    Ok(Answer { status: Status::Ok, length: None, rest, closes })
}

/// What the head of a file's answer is made from.
struct Head<'a> {
    size: u64,
    media_type: &'a str,
    range: Option<&'a [u8]>,
    validators: Validators,
    after: After,
}

impl Head<'_> {
    /// Writes it. Returns what is to be sent: from where, and how much.
    fn write(&self, desk: &mut Desk, out: &mut Vec<u8>) -> (Status, u64, u64) {
        let size = self.size;
        let (status, at, length) = match self.range.map_or(Range::Whole, |r| parse_range(r, size)) {
            Range::Whole => (Status::Ok, 0, size),
            Range::Part(first, last) => (Status::PartialContent, first, last - first + 1),
            Range::None => (Status::RangeNotSatisfiable, 0, 0),
        };
        begin(status, self.after, desk, out);
        if status == Status::RangeNotSatisfiable {
            let _ = write!(out, "Content-Range: bytes */{size}\r\nContent-Length: 0\r\n\r\n");
            return (status, 0, 0);
        }
        field("Content-Type", self.media_type.as_bytes(), out);
        self.validators.write(out);
        if status == Status::PartialContent {
            let _ = write!(out, "Content-Range: bytes {at}-{}/{size}\r\n", at + length - 1);
        }
        let _ = write!(out, "Accept-Ranges: bytes\r\nContent-Length: {length}\r\n\r\n");
        (status, at, length)
    }
}

fn not_modified(
    validators: Option<&Validators>,
    after: After,
    desk: &mut Desk,
    out: &mut Vec<u8>,
) -> Answer {
    begin(Status::NotModified, after, desk, out);
    if let Some(validators) = validators {
        validators.write(out);
    }
    out.extend(b"\r\n");
    Answer::whole(Status::NotModified, 0)
}

/// Appends an answer that says no, and why.
pub fn refuse(
    status: Status,
    after: After,
    is_head: bool,
    desk: &mut Desk,
    out: &mut Vec<u8>,
) -> Answer {
    begin(status, after, desk, out);
    out.extend(b"Content-Type: text/plain; charset=utf-8\r\n");
    if status == Status::MethodNotAllowed {
        out.extend(b"Allow: GET, HEAD\r\n");
    }
    let text = status.text();
    let _ = write!(out, "Content-Length: {}\r\n\r\n", text.len() + 1);
    if !is_head {
        let _ = writeln!(out, "{text}");
    }
    Answer::whole(status, text.len() as u64 + 1)
}

/// To the folder at `desk.path`, with a slash behind it, and the query behind that.
fn redirect(request: &Request, after: After, desk: &mut Desk, out: &mut Vec<u8>) -> Answer {
    begin(Status::MovedPermanently, after, desk, out);
    // From the path and not from the target: `//host/..` would be a link to another host.
    out.extend(b"Location: /");
    target::encode(&desk.path, out);
    out.push(b'/');
    target::encode_query(target::query(request.target), out);
    out.extend(b"\r\nContent-Length: 0\r\n\r\n");
    Answer::whole(Status::MovedPermanently, 0)
}

/// What all answers begin with.
fn begin(status: Status, after: After, desk: &mut Desk, out: &mut Vec<u8>) {
    out.extend(b"HTTP/1.1 ");
    out.extend(status.text().as_bytes());
    out.extend(b"\r\nDate: ");
    out.extend(desk.clock.date());
    out.extend(b"\r\n");
    match after {
        After::Open => {}
        After::OpenHttp10 => out.extend(b"Connection: keep-alive\r\n"),
        After::Close => out.extend(b"Connection: close\r\n"),
    }
}

fn field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend(part);
    }
}

fn content(bytes: &[u8], is_head: bool, out: &mut Vec<u8>) {
    let _ = write!(out, "Content-Length: {}\r\n\r\n", bytes.len());
    if !is_head {
        out.extend(bytes);
    }
}

/// What of a file is asked for.
#[derive(Debug, PartialEq)]
enum Range {
    Whole,
    /// From the first of these bytes to the last.
    Part(u64, u64),
    /// Nothing that it has.
    None,
}

/// The largest number in a range, as the largest size of a file. What is above it no server can
/// have, and is not satisfiable, as with nginx.
const LARGEST: u64 = i64::MAX as u64;

/// `bytes=0-99`, `bytes=100-`, `bytes=-100`, or several of them, of which one is satisfiable.
/// Several that are, other units and what is malformed get the whole file, as RFC 9110 (14.2)
/// allows.
fn parse_range(range: &[u8], size: u64) -> Range {
    let specs =
        range.split_first_chunk::<6>().filter(|(unit, _)| unit.eq_ignore_ascii_case(b"bytes="));
    let Some((_, specs)) = specs else { return Range::Whole };
    let mut found = Range::None;
    let specs = specs.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let mut specs = specs.filter(|spec| !spec.is_empty()).peekable();
    if specs.peek().is_none() {
        return Range::Whole;
    }
    for spec in specs {
        match (parse_spec(spec, size), &found) {
            (Range::Whole, _) => return Range::Whole,
            (Range::None, _) => {}
            (part, Range::None) => found = part,
            (Range::Part(..), _) => return Range::Whole,
        }
    }
    found
}

/// One of a list of ranges: `Whole`, if it is malformed, or the last bytes of an empty file.
fn parse_spec(spec: &[u8], size: u64) -> Range {
    let Some(dash) = spec.iter().position(|byte| *byte == b'-') else { return Range::Whole };
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    match (bound(first), bound(last)) {
        (None, _) if !first.is_empty() => Range::Whole,
        (_, None) if !last.is_empty() => Range::Whole,
        (None, None) => Range::Whole,
        (first, last)
            if first.is_some_and(|n| n > LARGEST) || last.is_some_and(|n| n > LARGEST) =>
        {
            match (first, last) {
                (Some(first), Some(last)) if first > last => Range::Whole,
                _ => Range::None,
            }
        }
        // The last so many bytes.
        (None, Some(0)) => Range::None,
        (None, Some(_)) if size == 0 => Range::Whole,
        (None, Some(count)) => Range::Part(size.saturating_sub(count), size - 1),
        (Some(first), Some(last)) if first > last => Range::Whole,
        (Some(first), _) if first >= size => Range::None,
        (Some(first), last) => Range::Part(first, last.unwrap_or(u64::MAX).min(size - 1)),
    }
}

/// A number in decimal digits; the largest there is, if it is larger.
fn bound(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |byte: &u8| u64::from(byte - b'0');
    Some(digits.iter().fold(0, |n: u64, byte| n.saturating_mul(10).saturating_add(digit(byte))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_answered_as_by_nginx_where_both_serve_them() {
        for (range, expected) in [
            ("bytes=0-0", Range::Part(0, 0)),
            ("BYTES=5-99", Range::Part(5, 9)),
            ("bytes=5-", Range::Part(5, 9)),
            ("bytes=-3", Range::Part(7, 9)),
            ("bytes=-99", Range::Part(0, 9)),
            ("bytes=-0", Range::None),
            ("bytes=10-", Range::None),
            ("bytes=10-10", Range::None),
            ("bytes=0-9223372036854775807", Range::Part(0, 9)),
            ("bytes=-9223372036854775807", Range::Part(0, 9)),
            ("bytes=9223372036854775807-", Range::None),
            ("bytes=0-9223372036854775808", Range::None),
            ("bytes=-9223372036854775808", Range::None),
            ("bytes=0-18446744073709551615", Range::None),
            ("bytes=0-18446744073709551616", Range::None),
            ("bytes=-18446744073709551616", Range::None),
            ("bytes=18446744073709551616-", Range::None),
            ("bytes=5-99999999999999999999999999999999999999999", Range::None),
            ("bytes=50-,60-", Range::None),
            ("bytes=50-, 0-1", Range::Part(0, 1)),
            ("bytes= 0-1", Range::Part(0, 1)),
            // nginx refuses an empty element, which RFC 9110 (5.6.1) has to be ignored.
            ("bytes=0-1,", Range::Part(0, 1)),
            // nginx answers in several parts.
            ("bytes=0-1,3-4", Range::Whole),
            ("bytes=0-,-1", Range::Whole),
            // Malformed: no range.
            ("bytes=", Range::Whole),
            ("bytes=,", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=4-2", Range::Whole),
            ("bytes=x-2", Range::Whole),
            ("bytes=2-x", Range::Whole),
            ("bytes=+0-1", Range::Whole),
            ("bytes=0--1", Range::Whole),
            ("bytes=0 - 1", Range::Whole),
            ("bytes=0-1,x", Range::Whole),
            ("lines=0-1", Range::Whole),
            ("", Range::Whole),
        ] {
            assert_eq!(parse_range(range.as_bytes(), 10), expected, "{range}");
        }
        for (range, expected) in
            [("-5", Range::Whole), ("-0", Range::None), ("0-", Range::None), ("0-0", Range::None)]
        {
            assert_eq!(parse_range(format!("bytes={range}").as_bytes(), 0), expected, "{range}");
        }
    }
}
