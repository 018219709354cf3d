//! From the target of a request to a path below the root.

use crate::status::Status;

/// The path that `target` means, relative to the root, without any `.`, `..` or empty part;
/// nothing, for the root itself. It is written into `path`. Returns whether the target ends in a
/// slash, so that only a folder will do.
///
/// First the bytes behind `%` are decoded, then the parts are looked at: so an encoded dot or slash
/// is as good as any other. A name is bytes, not UTF-8.
///
/// # Errors
///
/// 400 for a target that is none: a bad `%`, a byte 0, not beginning with a slash; 403 for one that
/// climbs above the root.
///
/// ```
/// let mut path = Vec::new();
/// let folder = servers::target::resolve(b"/a/./b%20c/../d%2fe/?query", &mut path);
/// assert_eq!((folder, path.as_slice()), (Ok(true), &b"a/d/e"[..]));
/// ```
pub fn resolve(target: &[u8], path: &mut Vec<u8>) -> Result<bool, Status> {
    path.clear();
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#'));
    let target = &target[..end.unwrap_or(target.len())];
    if target.first() != Some(&b'/') {
        return Err(Status::BadRequest);
    }
    // Decoded bytes are appended; at each slash the part that ends there is looked at.
    let (mut part, mut at) = (0, 1);
    loop {
        let byte = match target.get(at) {
            None => b'/',
            Some(b'%') => {
                let digits = target.get(at + 1..at + 3).ok_or(Status::BadRequest)?;
                let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(Status::BadRequest);
                at += 2;
                (digit(digits[0])? * 16 + digit(digits[1])?) as u8
            }
            Some(byte) => *byte,
        };
        at += 1;
        match byte {
            0 => return Err(Status::BadRequest),
            b'/' => {
                let is_last = at > target.len();
                let folder = match &path[part..] {
                    b"" | b"." => {
                        path.truncate(part);
                        true
                    }
                    b".." => {
                        // `part` is 0, or stands behind a slash that stands behind a name.
                        let parent = path[..part].strip_suffix(b"/").ok_or(Status::Forbidden)?;
                        let parent = parent.iter().rposition(|byte| *byte == b'/');
                        path.truncate(parent.map_or(0, |slash| slash + 1));
                        true
                    }
                    _ => {
                        path.push(b'/');
                        false
                    }
                };
                part = path.len();
                if is_last {
                    if path.last() == Some(&b'/') {
                        path.pop();
                    }
                    return Ok(folder);
                }
            }
            byte => path.push(byte),
        }
    }
}

/// Appends `name` to `out` as it has to stand in a URL; slashes stay.
pub fn encode(name: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in name {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            out.push(*byte);
        } else {
            out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// The query of a target, with its question mark; nothing, if it has none.
pub fn query(target: &[u8]) -> &[u8] {
    let target = target.split(|byte| *byte == b'#').next().unwrap_or_default();
    target.iter().position(|byte| *byte == b'?').map_or(b"", |mark| &target[mark..])
}

/// Appends a query to `out`: as it was sent, but for bytes that have no place in a URL.
pub fn encode_query(query: &[u8], out: &mut Vec<u8>) {
    for byte in query {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => encode(&[*byte], out),
            0x21..=0x7e => out.push(*byte),
            _ => encode(&[*byte], out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(target: &str) -> Result<(String, bool), u16> {
        let mut path = Vec::new();
        let folder = resolve(target.as_bytes(), &mut path).map_err(|status| status.code())?;
        Ok((String::from_utf8_lossy(&path).into_owned(), folder))
    }

    fn is(path: &str, folder: bool) -> Result<(String, bool), u16> {
        Ok((path.into(), folder))
    }

    #[test]
    fn a_target_becomes_a_path() {
        for (target, expected) in [
            ("/", is("", true)),
            ("/a", is("a", false)),
            ("/a/", is("a", true)),
            ("/a//b", is("a/b", false)),
            ("//a", is("a", false)),
            ("/a/.", is("a", true)),
            ("/a/..", is("", true)),
            ("/a/b/../c", is("a/c", false)),
            ("/a/b/../../c", is("c", false)),
            ("/%61%2Fb", is("a/b", false)),
            ("/...", is("...", false)),
            ("/..a/b..", is("..a/b..", false)),
            ("/a%3Fb?c/..", is("a?b", false)),
            ("/%E4%BD%A0", is("你", false)),
            ("/a+b", is("a+b", false)),
            ("/a#/..", is("a", false)),
        ] {
            assert_eq!(resolved(target), expected, "{target}");
        }
    }

    #[test]
    fn a_query_stays_as_it_was_sent() {
        for (target, expected) in [
            ("/a", ""),
            ("/a?", "?"),
            ("/a?b=c&d=%20?e/#f?g", "?b=c&d=%20?e/"),
            ("/a#?b", ""),
            ("/a?\"<你>\r\n", "?%22%3C%E4%BD%A0%3E%0D%0A"),
        ] {
            let mut out = Vec::new();
            encode_query(query(target.as_bytes()), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{target}");
        }
    }

    #[test]
    fn nothing_climbs_above_the_root() {
        for target in [
            "/..",
            "/../a",
            "/a/../..",
            "/a/../../b",
            "/%2e%2e/a",
            "/.%2E%2fa",
            "/a/%2e./..",
            "//..",
        ] {
            assert_eq!(resolved(target), Err(403), "{target}");
        }
        // Decoded once: this is a name with a percent sign in it.
        assert_eq!(resolved("/%252e%252e/a"), is("%2e%2e/a", false));
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for target in ["", "a", "*", "?", "/%", "/%1", "/%zz", "/%+1", "/a%00b", "/\0"] {
            assert_eq!(resolved(target), Err(400), "{target:?}");
        }
    }

    #[test]
    fn any_name_survives_the_way_there_and_back() {
        let name: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
        let (mut url, mut path) = (b"/".to_vec(), Vec::new());
        encode(&name, &mut url);
        assert_eq!(resolve(&url, &mut path), Ok(false));
        assert_eq!(path, name);
    }
}
