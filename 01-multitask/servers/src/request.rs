//! The parser: the head of a request, as far as a server of files has to know it. `httparse` does
//! the splitting; what its parts mean is decided here.

use crate::status::Status;
use std::mem::MaybeUninit;

/// The longest head of a request, in bytes.
pub const LONGEST_HEAD: usize = 16 * 1024;
/// The most header fields.
const MOST_FIELDS: usize = 100;
/// The longest body that is read (and thrown away), in bytes: no request that is answered here
/// needs one.
pub const LONGEST_BODY: u64 = 64 * 1024;

/// A request, whole but for its body. It borrows from the bytes it was parsed from.
#[derive(Debug, PartialEq)]
pub struct Request<'a> {
    /// The bytes of its head.
    pub length: usize,
    /// What is asked for.
    pub method: Method,
    /// Which file: the path, as it was sent.
    pub target: &'a [u8],
    /// Whether the connection stays open after the answer.
    pub keep_alive: bool,
    /// Whether the client speaks HTTP/1.0, and has to be told that the connection stays open.
    pub is_http_1_0: bool,
    /// The bytes of its body, to be skipped.
    pub body: u64,
    /// Whether a body may come that is not read, because nobody knows how long it is, or whether
    /// the client sends it at all. Then nothing behind it is read either.
    pub unread_body: bool,
    /// `Range`.
    pub range: Field<'a>,
    /// The conditions under which the answer is to be sent.
    pub conditions: Conditions<'a>,
}

/// The conditions of a request; see RFC 9110, section 13.
#[derive(Debug, Default, PartialEq)]
pub struct Conditions<'a> {
    /// The lines of `If-Match`, which together are one list.
    pub if_match: Vec<&'a [u8]>,
    /// The lines of `If-None-Match`, which together are one list.
    pub if_none_match: Vec<&'a [u8]>,
    /// `If-Modified-Since`.
    pub if_modified_since: Field<'a>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Field<'a>,
    /// `If-Range`.
    pub if_range: Field<'a>,
}

/// A header field that has one value, not a list of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Field<'a> {
    /// It was not sent.
    #[default]
    Absent,
    /// Its value.
    Value(&'a [u8]),
    /// It was sent more than once, so its value is not known.
    Repeated,
}

impl<'a> Field<'a> {
    fn set(&mut self, value: &'a [u8]) {
        *self = match self {
            Field::Absent => Field::Value(value),
            _ => Field::Repeated,
        };
    }

    /// Its value, if it has exactly one.
    pub fn value(self) -> Option<&'a [u8]> {
        match self {
            Field::Value(value) => Some(value),
            _ => None,
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The file.
    Get,
    /// All about the file but its content.
    Head,
    /// Something that is not to be had here.
    Other,
}

/// What has come so far.
#[derive(Debug, PartialEq)]
pub enum Parsed<'a> {
    /// Not the whole head yet.
    Partial,
    /// A request.
    Whole(Request<'a>),
    /// No request. Where the next one would begin is not known.
    Refused(Status),
}

/// Parses the head of the request that `bytes` begin with.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut head = httparse::Request::new(&mut []);
    match head.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length > LONGEST_HEAD => {
            Parsed::Refused(Status::HeadTooLarge)
        }
        Ok(httparse::Status::Complete(length)) => match understand(&head, length) {
            Ok(request) => Parsed::Whole(request),
            Err(status) => Parsed::Refused(status),
        },
        Ok(httparse::Status::Partial) if bytes.len() >= LONGEST_HEAD => {
            Parsed::Refused(Status::HeadTooLarge)
        }
        Ok(httparse::Status::Partial) => Parsed::Partial,
        Err(httparse::Error::TooManyHeaders) => Parsed::Refused(Status::HeadTooLarge),
        Err(httparse::Error::Version) if is_another_version(bytes) => {
            Parsed::Refused(Status::VersionNotSupported)
        }
        Err(_) => Parsed::Refused(Status::BadRequest),
    }
}

/// Whether the first line ends in a version of HTTP, well formed.
fn is_another_version(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let line = lines.find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let mut words = line.trim_ascii_end().split(|byte| *byte == b' ');
    let version = words.nth(2).filter(|_| words.next().is_none());
    let version = version.and_then(|word| word.strip_prefix(b"HTTP/"));
    matches!(version, Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit())
}

fn understand<'a>(head: &httparse::Request<'_, 'a>, length: usize) -> Result<Request<'a>, Status> {
    let is_http_1_0 = head.version == Some(0);
    let method = match head.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        _ => Method::Other,
    };
    let mut request = Request {
        length,
        method,
        target: head.path.unwrap_or_default().as_bytes(),
        keep_alive: !is_http_1_0,
        is_http_1_0,
        body: 0,
        unread_body: false,
        range: Field::Absent,
        conditions: Conditions::default(),
    };
    let (mut hosts, mut body, mut is_coded) = (0, None, false);
    for field in head.headers.iter() {
        let value = field.value.trim_ascii();
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        // By length first: of the many fields a browser sends, few are of interest.
        match field.name.len() {
            4 if is("Host") => hosts += 1,
            5 if is("Range") => request.range.set(value),
            6 if is("Expect") => request.unread_body = true,
            8 if is("If-Match") => request.conditions.if_match.push(value),
            8 if is("If-Range") => request.conditions.if_range.set(value),
            10 if is("Connection") => {
                for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if word.eq_ignore_ascii_case(b"close") {
                        request.keep_alive = false;
                    } else if word.eq_ignore_ascii_case(b"keep-alive") && is_http_1_0 {
                        request.keep_alive = true;
                    }
                }
            }
            13 if is("If-None-Match") => request.conditions.if_none_match.push(value),
            14 if is("Content-Length") => {
                let number = number(value).ok_or(Status::BadRequest)?;
                if body.replace(number).is_some_and(|other| other != number) {
                    // two lengths: where the next request begins is a guess
                    return Err(Status::BadRequest);
                }
            }
            17 if is("Transfer-Encoding") => is_coded = true,
            17 if is("If-Modified-Since") => request.conditions.if_modified_since.set(value),
            19 if is("If-Unmodified-Since") => request.conditions.if_unmodified_since.set(value),
            _ => {}
        }
    }
    if hosts > 1 || (hosts == 0 && !is_http_1_0) || (is_coded && (body.is_some() || is_http_1_0)) {
        return Err(Status::BadRequest);
    }
    request.body = body.unwrap_or(0);
    if request.body > LONGEST_BODY {
        return Err(Status::BodyTooLarge);
    }
    if is_coded || request.unread_body {
        (request.unread_body, request.body, request.keep_alive) = (true, 0, false);
    }
    if let Some(path) = absolute(request.target) {
        request.target = path;
    }
    Ok(request)
}

/// The path in `http://host/path`, as a client sends it to a proxy, and may send it to anybody.
fn absolute(target: &[u8]) -> Option<&[u8]> {
    let scheme = target.get(..7)?;
    if !scheme.eq_ignore_ascii_case(b"http://") {
        return None;
    }
    let rest = &target[7..];
    // `http://host?a=/b` has an empty path, which is the root.
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    Some(end.filter(|end| rest[*end] == b'/').map_or(b"/", |slash| &rest[slash..]))
}

/// A number in decimal digits and nothing else.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &str) -> Request<'_> {
        match parse(bytes.as_bytes()) {
            Parsed::Whole(request) => request,
            other => panic!("{bytes:?}: {other:?}"),
        }
    }

    fn refused(bytes: &str) -> u16 {
        match parse(bytes.as_bytes()) {
            Parsed::Refused(status) => status.code(),
            other => panic!("{bytes:?}: {other:?}"),
        }
    }

    #[test]
    fn a_head_is_partial_until_it_is_whole() {
        let head = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n";
        for length in 0..head.len() {
            assert_eq!(parse(&head.as_bytes()[..length]), Parsed::Partial, "{length}");
        }
        let request = whole(head);
        assert_eq!((request.length, request.target), (head.len(), &b"/a"[..]));
        assert_eq!(request.range, Field::Value(b"bytes=0-1"));
        // what is behind it is another one's
        assert_eq!(whole(&format!("{head}GET /b")).length, head.len());
    }

    #[test]
    fn a_field_with_one_value_is_not_sent_twice() {
        let text = "GET /a HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nRANGE: bytes=2-3\r\n\
            If-Match: \"a\"\r\nIf-match: \"b\", \"c\"\r\nIf-Range: \"a\" \r\n\r\n";
        let request = whole(text);
        assert_eq!((request.range, request.range.value()), (Field::Repeated, None));
        assert_eq!(request.conditions.if_range, Field::Value(b"\"a\""));
        assert_eq!(request.conditions.if_match, [&b"\"a\""[..], b"\"b\", \"c\""]);
        assert_eq!(request.conditions.if_unmodified_since, Field::Absent);
    }

    #[test]
    fn a_connection_stays_open_as_the_versions_say() {
        for (lines, stays) in [
            ("1.1\r\nHost: x", true),
            ("1.1\r\nHost: x\r\nConnection: close", false),
            ("1.1\r\nHost: x\r\nconnection: Upgrade, CLOSE", false),
            ("1.1\r\nHost: x\r\nConnection: keep-alive", true),
            ("1.0", false),
            ("1.0\r\nConnection: Keep-Alive", true),
        ] {
            assert_eq!(whole(&format!("GET / HTTP/{lines}\r\n\r\n")).keep_alive, stays, "{lines}");
        }
    }

    #[test]
    fn a_body_is_as_long_as_it_says_or_not_read() {
        let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
        assert_eq!(whole(&post("Content-Length: 7")).body, 7);
        assert_eq!(whole(&post("Content-Length: 7\r\nContent-Length: 7")).body, 7);
        for fields in ["Transfer-Encoding: chunked", "Content-Length: 7\r\nExpect: 100-continue"] {
            let text = post(fields);
            let request = whole(&text);
            assert_eq!((request.body, request.keep_alive, request.unread_body), (0, false, true));
        }
        for fields in [
            "Content-Length: +7",
            "Content-Length: -7",
            "Content-Length: 7, 7",
            "Content-Length:",
            "Content-Length: 0x7",
            "Content-Length: 99999999999999999999999",
            "Content-Length: 7\r\nContent-Length: 8",
            "Content-Length: 7\r\nTransfer-Encoding: chunked",
        ] {
            assert_eq!(refused(&post(fields)), 400, "{fields}");
        }
        assert_eq!(refused(&post(&format!("Content-Length: {}", LONGEST_BODY + 1))), 413);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (bytes, code) in [
            ("GET / HTTP/1.1\r\n\r\n", 400), // no host
            ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nna\0me: y\r\n\r\n", 400),
            ("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
            ("GET /\r\n\r\n", 400),
            ("\x16\x03\x01\x02\0\x01\0\x01", 400), // somebody speaks TLS
            ("GET / HTTX/1.1\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
            ("GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ] {
            assert_eq!(refused(bytes), code, "{bytes:?}");
        }
    }

    #[test]
    fn a_head_has_an_end() {
        let long =
            |length: usize| format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(length));
        assert_eq!(
            parse(&long(20_000).as_bytes()[..LONGEST_HEAD]),
            Parsed::Refused(Status::HeadTooLarge)
        );
        assert_eq!(whole(&long(16_000)).target.len(), 16_001);
        let many = |count| format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!(whole(&many(99)).method, Method::Get);
        assert_eq!(refused(&many(100)), 431);
    }

    #[test]
    fn an_absolute_target_is_a_path_as_well() {
        for (target, path) in [
            ("http://host/a/b", "/a/b"),
            ("HTTP://host:80/", "/"),
            ("http://host", "/"),
            ("http://host?a=/b", "/"),
            ("http://host/a?b", "/a?b"),
            ("/http://host/", "/http://host/"),
        ] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(whole(&text).target, path.as_bytes());
        }
    }
}
