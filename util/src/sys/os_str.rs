//! A part of an argument, which need not be Unicode: `std` has no safe way to it yet.
#![allow(unsafe_code)]

use std::ffi::OsStr;

/// What stands in `text` behind `prefix`, which must not be empty; `None`, if it does not begin
/// with that.
pub(crate) fn strip_prefix<'a>(text: &'a OsStr, prefix: &str) -> Option<&'a OsStr> {
    assert!(!prefix.is_empty());
    let rest = text.as_encoded_bytes().strip_prefix(prefix.as_bytes())?;
    // SAFETY: the bytes are those of an `OsStr`, cut directly behind a string that is valid UTF-8
    // and not empty, which is a place at which they may be cut.
    Some(unsafe { OsStr::from_encoded_bytes_unchecked(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_what_stands_behind() {
        let rest = |text: &'static str, prefix| strip_prefix(OsStr::new(text), prefix);
        assert_eq!(rest("--名=值", "--名="), Some(OsStr::new("值")));
        assert_eq!(rest("--to", "--to"), Some(OsStr::new("")));
        assert_eq!(rest("--t", "--to"), None);
    }
}
