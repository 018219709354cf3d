//! What tells two versions of a file apart (RFC 9110, section 8.8), and the conditions that depend
//! on it (section 13).
//!
//! # Entity tags
//!
//! A tag stands for one version of one file: it is a hash of the file's device, inode and size, the
//! time of its last modification and the time of its last change, to the nanosecond. It is strong,
//! except while a second change could leave these times as they are: that is as long as the
//! kernel's coarse clock has not advanced since the last change (a few milliseconds), and for two
//! seconds on a file system whose times have no fractions of a millisecond. Until then the tag of a
//! small file contains a hash of its content as well, and the tag of a larger file is weak and
//! equal to no other tag: such a file is always sent whole.
//!
//! # Dates
//!
//! `Last-Modified` has whole seconds, so a date could stand for two versions. Therefore the date of
//! a file is given only when its second is over; until then `Last-Modified` is the second before,
//! and a client that compares it gets the file again. A part of a file is not sent by its date
//! alone if the file was changed in any way after that date: somebody may have set the date.

use crate::{
    files::Opened,
    request::{Conditions, Field},
};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What identifies the version of a file that an answer is about.
#[derive(Debug)]
pub struct Validators {
    /// The hash of everything but the content.
    version: u64,
    size: u64,
    kind: Kind,
    /// The second of its last modification, and that of its last change.
    modified: u64,
    changed: u64,
    now: u64,
}

#[derive(Debug, PartialEq)]
enum Kind {
    /// Every later version has another hash.
    Settled,
    /// It may change without its times; the hash of its content.
    Content(u64),
    /// It may change without its times.
    Unsettled,
}

/// What the conditions of a request decide.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// The file is sent, or the part of it that this range names.
    Send(Option<&'a [u8]>),
    /// The client has it: 304.
    NotModified,
    /// It is not the version that the client expects: 412.
    Failed,
}

impl Validators {
    /// Those of `file`, in the second `now`. A small file has its `content` here.
    pub fn new(file: &Opened, content: Option<&[u8]>, now: u64) -> Validators {
        let kind = match content {
            _ if file.is_settled() => Kind::Settled,
            Some(content) => Kind::Content(hash(&content)),
            None => Kind::Unsettled,
        };
        let (modified, changed) = file.seconds();
        Validators { version: hash(&file.version()), size: file.size, kind, modified, changed, now }
    }

    /// Appends the fields `ETag` and `Last-Modified`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (size, version) = (self.size, self.version);
        let _ = match self.kind {
            Kind::Settled => write!(out, "ETag: \"{size:x}-{version:016x}\"\r\n"),
            Kind::Content(content) => {
                write!(out, "ETag: \"{size:x}-{version:016x}-{content:016x}\"\r\n")
            }
            Kind::Unsettled => write!(out, "ETag: W/\"{size:x}-{version:016x}-changing\"\r\n"),
        };
        let date = httpdate::HttpDate::from(time(self.date()));
        let _ = write!(out, "Last-Modified: {date}\r\n");
    }

    /// The second that `Last-Modified` names.
    fn date(&self) -> u64 {
        self.modified.min(self.now.saturating_sub(1))
    }

    /// Whether the second of its last modification is over, so that its date stands for no other
    /// version.
    fn date_is_known(&self) -> bool {
        self.modified < self.now
    }

    /// Whether the file was certainly not changed since `date`.
    fn is_unchanged_since(&self, date: u64) -> bool {
        self.modified.max(self.changed) <= date && self.changed < self.now && self.date_is_known()
    }

    /// Whether `tag`, without its quotation marks, was given to this very version. `content` is
    /// hashed only if needed.
    fn has_tag(&self, tag: &[u8], content: Option<&[u8]>) -> bool {
        let base = format!("{:x}-{:016x}", self.size, self.version);
        match tag.strip_prefix(base.as_bytes()) {
            // It was given when no later version could have the same times; so there is none.
            Some(b"") => true,
            Some(rest) => content
                .is_some_and(|content| rest == format!("-{:016x}", hash(&content)).as_bytes()),
            None => false,
        }
    }

    /// Decides by the conditions in the order of RFC 9110, 13.2.2. `range` is the range that the
    /// request asks for.
    pub fn decide<'a>(
        &self,
        conditions: &Conditions,
        range: Field<'a>,
        content: Option<&[u8]>,
    ) -> Decision<'a> {
        let mut range = range.value();
        let matches = |lines: &[&[u8]], weakly| {
            tags(lines).any(|(is_weak, tag)| {
                (weakly || !is_weak) && tag.is_none_or(|tag| self.has_tag(tag, content))
            })
        };
        if !conditions.if_match.is_empty() {
            if !matches(&conditions.if_match, false) {
                return Decision::Failed;
            }
        } else if let Some(date) = conditions.if_unmodified_since.value().and_then(parse_date) {
            if self.modified > date {
                return Decision::Failed;
            }
            range = range.filter(|_| self.is_unchanged_since(date));
        }
        if !conditions.if_none_match.is_empty() {
            if matches(&conditions.if_none_match, true) {
                return Decision::NotModified;
            }
        } else if let Some(date) = conditions.if_modified_since.value().and_then(parse_date)
            && (self.modified < date || self.modified == date && self.date_is_known())
        {
            return Decision::NotModified;
        }
        let is_same = match conditions.if_range {
            Field::Absent => true,
            Field::Repeated => false,
            Field::Value(value) if value.ends_with(b"\"") => {
                let tags: Vec<_> = tags(&[value]).collect();
                matches!(tags[..], [(false, Some(tag))] if self.has_tag(tag, content))
            }
            Field::Value(value) => parse_date(value)
                .is_some_and(|date| date == self.modified && self.is_unchanged_since(date)),
        };
        Decision::Send(range.filter(|_| is_same))
    }
}

/// Whether a condition on something without a tag and without a date, a listing, is met.
pub fn decide_for_listing(conditions: &Conditions) -> Decision<'static> {
    let matches = |lines: &[&[u8]]| tags(lines).any(|(_, tag)| tag.is_none());
    if !conditions.if_match.is_empty() && !matches(&conditions.if_match) {
        Decision::Failed
    } else if matches(&conditions.if_none_match) {
        Decision::NotModified
    } else {
        Decision::Send(None)
    }
}

/// The entity tags of a list: whether each is weak, and the tag without its quotation marks; none
/// for `*`, which is any. The list ends where it is malformed.
fn tags<'a>(lines: &[&'a [u8]]) -> impl Iterator<Item = (bool, Option<&'a [u8]>)> {
    lines.iter().flat_map(|line| {
        let mut rest = *line;
        let is_any = rest == b"*";
        let listed = std::iter::from_fn(move || {
            while let [b',' | b' ' | b'\t', behind @ ..] = rest {
                rest = behind;
            }
            let (is_weak, quoted) = match rest.strip_prefix(b"W/") {
                Some(quoted) => (true, quoted),
                None => (false, rest),
            };
            let tag = quoted.strip_prefix(b"\"")?;
            let length = tag.iter().position(|byte| *byte == b'"')?;
            rest = &tag[length + 1..];
            let is_separated = matches!(rest, [] | [b',' | b' ' | b'\t', ..]);
            is_separated.then_some((is_weak, Some(&tag[..length])))
        });
        is_any.then_some((false, None)).into_iter().chain(listed)
    })
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new(); // with the same key in every process
    value.hash(&mut hasher);
    hasher.finish()
}

/// The second that a date in one of the three formats of HTTP names.
fn parse_date(text: &[u8]) -> Option<u64> {
    let time = httpdate::parse_http_date(str::from_utf8(text).ok()?).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// The time of a second; a date has 29 characters up to the year 9999.
pub(crate) fn time(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second.min(253_402_300_799))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validators(kind: Kind) -> Validators {
        let (modified, changed) = (1_000_000, 1_000_000);
        Validators { version: 0xab, size: 16, kind, modified, changed, now: 2_000_000 }
    }

    const TAG: &[u8] = b"\"10-00000000000000ab\"";
    const WEAK: &[u8] = b"W/\"10-00000000000000ab\"";
    const OTHER: &[u8] = b"\"10-00000000000000ac\"";
    const SEND: Decision = Decision::Send(None);

    fn date(second: u64) -> Field<'static> {
        let text = httpdate::fmt_http_date(time(second)).into_bytes();
        Field::Value(text.leak())
    }

    #[test]
    fn a_list_of_tags_is_read_up_to_where_it_is_malformed() {
        let read = |line: &'static str| -> Vec<String> {
            let shown = |tag| String::from_utf8_lossy(Option::unwrap_or(tag, b"*")).into_owned();
            tags(&[line.as_bytes()]).map(|(weak, tag)| format!("{weak} {}", shown(tag))).collect()
        };
        assert_eq!(read("*"), ["false *"]);
        assert_eq!(read("\"a\""), ["false a"]);
        assert_eq!(read(" \"a\" ,, W/\"b,c\",\"\""), ["false a", "true b,c", "false "]);
        assert_eq!(read("\"a\", b, \"c\""), ["false a"]);
        assert_eq!(read("\"a\", \"c"), ["false a"]);
        for none in ["", "a", "\"a", "\"a\"b", "w/\"a\"", "**", "W/ \"a\""] {
            assert!(read(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn conditions_are_evaluated_in_their_order() {
        let range = Field::Value(b"bytes=0-1");
        let part = || Decision::Send(Some(b"bytes=0-1"));
        let (old, same, later) = (date(999_999), date(1_000_000), date(1_000_001));
        let invalid = Field::Value(b"yesterday");
        let none = Conditions::default;
        for (conditions, expected) in [
            (none(), part()),
            (Conditions { if_match: vec![TAG], ..none() }, part()),
            (Conditions { if_match: vec![b"*"], ..none() }, part()),
            (Conditions { if_match: vec![OTHER, TAG], ..none() }, part()),
            (Conditions { if_match: vec![WEAK], ..none() }, Decision::Failed),
            (Conditions { if_match: vec![OTHER], ..none() }, Decision::Failed),
            (Conditions { if_match: vec![b""], ..none() }, Decision::Failed),
            (Conditions { if_unmodified_since: old, ..none() }, Decision::Failed),
            (Conditions { if_unmodified_since: same, ..none() }, part()),
            (Conditions { if_unmodified_since: invalid, ..none() }, part()),
            (Conditions { if_unmodified_since: Field::Repeated, ..none() }, part()),
            (Conditions { if_match: vec![TAG], if_unmodified_since: old, ..none() }, part()),
            (Conditions { if_none_match: vec![TAG], ..none() }, Decision::NotModified),
            (Conditions { if_none_match: vec![WEAK], ..none() }, Decision::NotModified),
            (Conditions { if_none_match: vec![b"*"], ..none() }, Decision::NotModified),
            (Conditions { if_none_match: vec![OTHER], ..none() }, part()),
            (Conditions { if_modified_since: same, ..none() }, Decision::NotModified),
            (Conditions { if_modified_since: later, ..none() }, Decision::NotModified),
            (Conditions { if_modified_since: old, ..none() }, part()),
            (Conditions { if_modified_since: invalid, ..none() }, part()),
            (Conditions { if_none_match: vec![OTHER], if_modified_since: same, ..none() }, part()),
            (
                Conditions { if_match: vec![OTHER], if_none_match: vec![TAG], ..none() },
                Decision::Failed,
            ),
            (Conditions { if_range: Field::Value(TAG), ..none() }, part()),
            (Conditions { if_range: Field::Value(WEAK), ..none() }, SEND),
            (Conditions { if_range: Field::Value(OTHER), ..none() }, SEND),
            (Conditions { if_range: Field::Value(b"*"), ..none() }, SEND),
            (Conditions { if_range: same, ..none() }, part()),
            (Conditions { if_range: old, ..none() }, SEND),
            (Conditions { if_range: later, ..none() }, SEND),
            (Conditions { if_range: invalid, ..none() }, SEND),
            (Conditions { if_range: Field::Repeated, ..none() }, SEND),
        ] {
            let decision = validators(Kind::Settled).decide(&conditions, range, None);
            assert_eq!(decision, expected, "{conditions:?}");
        }
    }

    #[test]
    fn a_date_stands_for_one_version_or_for_none() {
        let range = Field::Value(b"bytes=0-1");
        type Name = for<'a> fn(&'a mut Conditions<'static>) -> &'a mut Field<'static>;
        let decide = |validators: &Validators, field: Name, second| {
            let mut conditions = Conditions::default();
            *field(&mut conditions) = date(second);
            validators.decide(&conditions, range, None)
        };
        // Modified in this very second: the date that is given is the one before.
        let now = Validators { now: 1_000_000, ..validators(Kind::Settled) };
        assert_eq!(now.date(), 999_999);
        for second in [999_999, 1_000_000] {
            assert_eq!(decide(&now, |c| &mut c.if_range, second), SEND);
            assert_eq!(
                decide(&now, |c| &mut c.if_modified_since, second),
                Decision::Send(Some(b"bytes=0-1"))
            );
        }
        assert_eq!(decide(&now, |c| &mut c.if_unmodified_since, 1_000_000), SEND);
        // Somebody has set its date.
        let set = Validators { changed: 1_500_000, ..validators(Kind::Settled) };
        assert_eq!(set.date(), 1_000_000);
        assert_eq!(decide(&set, |c| &mut c.if_range, 1_000_000), SEND);
        assert_eq!(decide(&set, |c| &mut c.if_unmodified_since, 1_000_000), SEND);
        // From the future.
        let future = Validators { modified: 3_000_000, ..validators(Kind::Settled) };
        assert_eq!(future.date(), 1_999_999);
        assert_eq!(decide(&future, |c| &mut c.if_range, 3_000_000), SEND);
    }

    #[test]
    fn a_file_that_may_still_change_is_known_by_its_content_or_not_at_all() {
        let text = |validators: &Validators| {
            let mut out = Vec::new();
            validators.write(&mut out);
            out.split(|byte| *byte == b'\r').next().unwrap()[6..].to_vec()
        };
        let small = validators(Kind::Content(hash(&&b"one"[..])));
        let (tag, unchanged) = (text(&small), Some(&b"one"[..]));
        let has = |tag: &[u8], content| small.has_tag(&tag[1..tag.len() - 1], content);
        assert!(has(&tag, unchanged) && !has(&tag, Some(b"two")) && !has(&tag, None));
        assert!(has(TAG, Some(b"two"))); // given when no other version could have these times

        let large = validators(Kind::Unsettled);
        let tag = text(&large);
        assert!(tag.starts_with(b"W/\""));
        let conditions = Conditions { if_none_match: vec![&tag], ..Default::default() };
        assert_eq!(large.decide(&conditions, Field::Absent, None), SEND);
    }
}
