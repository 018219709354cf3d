//! The one way from a request to its answer.

use crate::{
    Options, Stop, Timeouts, content_type,
    files::{Opened, Root, SMALL},
    listing,
    request::{Method, Request, number},
    target,
};
use std::{
    io::{self, Write},
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
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
    pub log: bool,
    /// See [`Options::timeouts`].
    pub timeouts: Timeouts,
    stop: Arc<Stop>,
}

impl Site {
    /// Opens the folder that `options` name.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn new(options: &Options, stop: &Arc<Stop>) -> io::Result<Site> {
        Ok(Site {
            root: Root::open(&options.root)?,
            workers: options.workers.max(1),
            connections: options.connections.max(options.workers).max(1),
            log: options.log,
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
    clock: Clock,
}

impl Desk {
    /// Now, as HTTP writes it.
    pub(crate) fn date(&mut self) -> &[u8] {
        self.clock.look();
        &self.clock.text
    }
}

/// The date as text, written anew when the second has changed.
#[derive(Debug)]
struct Clock {
    second: u64,
    text: [u8; 29],
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { second: u64::MAX, text: [b' '; 29] }
    }
}

impl Clock {
    fn look(&mut self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if now != self.second {
            self.second = now;
            self.text = date(UNIX_EPOCH + Duration::from_secs(now));
        }
        now
    }
}

/// A date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(time: SystemTime) -> [u8; 29] {
    let mut text = [b' '; 29];
    // It is written in 29 characters up to the year 9999; no file is younger.
    let latest = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let _ = write!(&mut text[..], "{}", httpdate::HttpDate::from(time.min(latest)));
    text
}

/// What an answer says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names and texts are those of HTTP")]
pub enum Status {
    Ok,
    PartialContent,
    MovedPermanently,
    NotModified,
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    BodyTooLarge,
    RangeNotSatisfiable,
    HeadTooLarge,
    InternalError,
    Unavailable,
    VersionNotSupported,
}

impl Status {
    /// Its number and text: `404 Not Found`.
    pub fn text(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::PartialContent => "206 Partial Content",
            Status::MovedPermanently => "301 Moved Permanently",
            Status::NotModified => "304 Not Modified",
            Status::BadRequest => "400 Bad Request",
            Status::Forbidden => "403 Forbidden",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::RequestTimeout => "408 Request Timeout",
            Status::BodyTooLarge => "413 Content Too Large",
            Status::RangeNotSatisfiable => "416 Range Not Satisfiable",
            Status::HeadTooLarge => "431 Request Header Fields Too Large",
            Status::InternalError => "500 Internal Server Error",
            Status::Unavailable => "503 Service Unavailable",
            Status::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }

    /// Its number.
    pub fn code(self) -> u16 {
        self.text()[..3].parse().expect("every text begins with three digits")
    }
}

/// What was written, for the log, and what is still to be sent behind it.
#[derive(Debug)]
pub struct Answer {
    /// What it says first.
    pub status: Status,
    /// The bytes of its content.
    pub length: u64,
    /// The content, if it is too long to be written at once.
    pub file: Option<Part>,
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
            return Ok(redirect(after, desk, out)); // or its links would lead one folder up
        }
        let folder = desk.path.len();
        desk.path.extend(if folder == 0 { &b"index.html"[..] } else { b"/index.html" });
        match self.root.find(&desk.path) {
            Ok(index) if !index.is_folder => return self.file(index, request, after, desk, out),
            Ok(_) | Err(Status::NotFound) => {}
            Err(status) => return Err(status),
        }
        desk.path.truncate(folder);
        let mut page = std::mem::take(&mut desk.content);
        let listed = listing::write(found.into_fd(), &desk.path, &mut page);
        if listed.is_ok() {
            begin(Status::Ok, after, desk, out);
            out.extend(b"Content-Type: text/html; charset=utf-8\r\n");
            content(&page, request.method == Method::Head, out);
        }
        let length = page.len() as u64;
        desk.content = page;
        listed.map(|()| Answer { status: Status::Ok, length, file: None })
    }

    /// A file at `desk.path`.
    fn file(
        &self,
        file: Opened,
        request: &Request,
        after: After,
        desk: &mut Desk,
        out: &mut Vec<u8>,
    ) -> Result<Answer, Status> {
        // A file from the future was modified now, for one who compares dates.
        let now = UNIX_EPOCH + Duration::from_secs(desk.clock.look());
        let modified = file.modified.min(now);
        let seconds =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let since = request.if_modified_since.and_then(parse_date);
        if since.is_some_and(|since| seconds(modified) <= seconds(since)) {
            begin(Status::NotModified, after, desk, out);
            field("Last-Modified", &date(modified), out);
            out.extend(b"\r\n");
            return Ok(Answer { status: Status::NotModified, length: 0, file: None });
        }
        // A range of another version of the file would be of no use, so then it is the whole.
        let is_same = |tag| parse_date(tag).is_some_and(|time| seconds(time) == seconds(modified));
        let range = request.range.filter(|_| request.method == Method::Get);
        let range = range.filter(|_| request.if_range.is_none_or(is_same));

        let media_type = content_type::of(&desk.path);
        if file.size <= SMALL {
            let mut scratch = std::mem::take(&mut desk.content);
            let path = std::mem::take(&mut desk.path);
            let answer = self.root.read(&path, &file, &mut scratch, |whole| {
                let size = whole.len() as u64;
                let (status, at, length) =
                    file_head(size, media_type, range, modified, after, desk, out);
                if request.method == Method::Get && status != Status::RangeNotSatisfiable {
                    out.extend(&whole[at as usize..(at + length) as usize]);
                }
                Answer { status, length, file: None }
            });
            (desk.content, desk.path) = (scratch, path);
            return answer;
        }
        let (status, at, length) =
            file_head(file.size, media_type, range, modified, after, desk, out);
        let sends = request.method == Method::Get && length > 0;
        let file = sends.then(|| Part { file: file.into_fd(), at, left: length });
        Ok(Answer { status, length, file })
    }
}

/// Writes the head for a file of `size` bytes. Returns what is to be sent: from where, and how much.
fn file_head(
    size: u64,
    media_type: &str,
    range: Option<&[u8]>,
    modified: SystemTime,
    after: After,
    desk: &mut Desk,
    out: &mut Vec<u8>,
) -> (Status, u64, u64) {
    let (status, at, length) = match range.map_or(Range::Whole, |range| parse_range(range, size)) {
        Range::Whole => (Status::Ok, 0, size),
        Range::Part(first, last) => (Status::PartialContent, first, last - first + 1),
        Range::None => (Status::RangeNotSatisfiable, 0, 0),
    };
    begin(status, after, desk, out);
    if status == Status::RangeNotSatisfiable {
        let _ = write!(out, "Content-Range: bytes */{size}\r\nContent-Length: 0\r\n\r\n");
        return (status, 0, 0);
    }
    field("Content-Type", media_type.as_bytes(), out);
    field("Last-Modified", &date(modified), out);
    if status == Status::PartialContent {
        let _ = write!(out, "Content-Range: bytes {at}-{}/{size}\r\n", at + length - 1);
    }
    let _ = write!(out, "Accept-Ranges: bytes\r\nContent-Length: {length}\r\n\r\n");
    (status, at, length)
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
    Answer { status, length: text.len() as u64 + 1, file: None }
}

/// To the folder at `desk.path`, with a slash behind it.
fn redirect(after: After, desk: &mut Desk, out: &mut Vec<u8>) -> Answer {
    begin(Status::MovedPermanently, after, desk, out);
    // From the path and not from the target: `//host/..` would be a link to another host.
    out.extend(b"Location: /");
    target::encode(&desk.path, out);
    out.extend(b"/\r\nContent-Length: 0\r\n\r\n");
    Answer { status: Status::MovedPermanently, length: 0, file: None }
}

/// What all answers begin with.
fn begin(status: Status, after: After, desk: &mut Desk, out: &mut Vec<u8>) {
    out.extend(b"HTTP/1.1 ");
    out.extend(status.text().as_bytes());
    out.extend(b"\r\nDate: ");
    out.extend(desk.date());
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

fn parse_date(text: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(str::from_utf8(text).ok()?).ok()
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

/// `bytes=0-99`, `bytes=100-`, `bytes=-100`. Several ranges at once, other units and what is malformed get the whole file, as RFC 9110 (14.2) allows.
fn parse_range(range: &[u8], size: u64) -> Range {
    let spec =
        range.split_first_chunk::<6>().filter(|(unit, _)| unit.eq_ignore_ascii_case(b"bytes="));
    let Some((_, spec)) = spec else { return Range::Whole };
    let Some(dash) = spec.iter().position(|byte| *byte == b'-') else { return Range::Whole };
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    match (number(first), number(last)) {
        // The last so many bytes.
        (None, Some(0)) if first.is_empty() => Range::None,
        (None, Some(_)) if first.is_empty() && size == 0 => Range::None,
        (None, Some(count)) if first.is_empty() => {
            Range::Part(size.saturating_sub(count), size - 1)
        }
        (Some(first), Some(last)) if first > last => Range::Whole,
        (Some(first), _) if !last.is_empty() && number(last).is_none() || first >= size => {
            if last.is_empty() || number(last).is_some() { Range::None } else { Range::Whole }
        }
        (Some(first), None) => Range::Part(first, size - 1),
        (Some(first), Some(last)) => Range::Part(first, last.min(size - 1)),
        (None, _) => Range::Whole,
    }
}
