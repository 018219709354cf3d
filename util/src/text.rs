//! Text from outside, made safe to print: file names, URLs, headers, messages of other programs.
//!
//! Such a text can hold characters that a terminal obeys (`ESC`), that end a line (so that the rest
//! looks like a line of this program), that reverse the order of what follows (U+202E), or that
//! nobody sees (U+200B). [`visible()`] shows each of them as an escape sequence and leaves all
//! other text readable:
//!
//! | in the text | shown as |
//! | --- | --- |
//! | backslash | `\\` |
//! | newline, carriage return, tab | `\n`, `\r`, `\t` |
//! | another character that is not shown as it is | `\u{202e}`: its number in hexadecimal |
//! | a byte that is not part of valid UTF-8 | `\xff` |
//! | `"`, with `{:?}` only | `\"` |
//!
//! Every backslash in the output therefore begins an escape sequence, and the original bytes can be
//! recovered.
//!
//! Escaped are control characters, line and paragraph separators, format characters (the Unicode
//! category Cf, with its bidirectional controls, zero-width characters, soft hyphen and tags),
//! other characters that have no glyph (fillers, variation selectors), every space but U+0020 and
//! the ideographic U+3000, private-use and unassigned characters, and combining marks that have no
//! character of this text to combine with, or more than eight marks before them. Three kinds of
//! invisible characters stay where a script or an emoji needs them, and are escaped everywhere
//! else:
//!
//! - U+200D (zero-width joiner) between two pictographs, as in 👩‍💻;
//! - U+200D and U+200C (zero-width non-joiner) between two letters of a script that joins
//!   letters: Arabic, the Indic scripts, Khmer, Mongolian, Myanmar and their neighbors;
//! - one variation selector after a character that has variants: an emoji, an ideograph, a
//!   Mongolian letter.
//!
//! Letters that look alike (Latin a, Cyrillic а) are ordinary text and stay. So do right-to-left
//! letters: a terminal that implements the bidirectional algorithm can move digits and punctuation
//! beside them.

use std::{
    ffi::OsStr,
    fmt::{self, Write},
};

/// `text` with every character escaped that could mislead a reader or a terminal: see
/// [the module](self).
///
/// `{}` shows it bare, `{:?}` in quotation marks. Neither observes a width: pad what `to_string`
/// returns.
///
/// ```
/// use util::text::visible;
///
/// assert_eq!(visible("报告\u{202e}gpj.exe\n").to_string(), r"报告\u{202e}gpj.exe\n");
/// assert_eq!(format!("cannot open {:?}", visible("a \"b\"")), r#"cannot open "a \"b\"""#);
/// ```
pub fn visible<T: AsRef<OsStr> + ?Sized>(text: &T) -> Visible<'_> {
    Visible(text.as_ref().as_encoded_bytes())
}

/// The same for bytes, which need not be UTF-8.
///
/// ```
/// assert_eq!(util::text::visible_bytes(b"caf\xe9").to_string(), r"caf\xe9");
/// ```
pub fn visible_bytes(text: &[u8]) -> Visible<'_> {
    Visible(text)
}

/// A text that is escaped while it is formatted, from [`visible()`].
#[derive(Clone, Copy)]
pub struct Visible<'a>(&'a [u8]);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

impl fmt::Debug for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        self.write(f, true)?;
        f.write_char('"')
    }
}

impl Visible<'_> {
    fn write(self, f: &mut fmt::Formatter<'_>, quoted: bool) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            // The last character, unless it was escaped, and the number of marks that it carries.
            let (mut before, mut marks) = (None, 0);
            let mut rest = chunk.valid().chars();
            while let Some(c) = rest.next() {
                let after = rest.clone().next();
                marks = if is_mark(c) { marks + 1 } else { 0 };
                match c {
                    '\\' => f.write_str(r"\\")?,
                    '\n' => f.write_str(r"\n")?,
                    '\r' => f.write_str(r"\r")?,
                    '\t' => f.write_str(r"\t")?,
                    '"' if quoted => f.write_str("\\\"")?,
                    _ if is_shown(before, c, after) && marks <= MOST_MARKS => {
                        f.write_char(c)?;
                        before = Some(c);
                        continue;
                    }
                    _ => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                }
                before = None;
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// More marks on one character would cover the lines above and below it. No language needs as many.
const MOST_MARKS: usize = 8;

fn is_shown(before: Option<char>, c: char, after: Option<char>) -> bool {
    let both = |test: fn(char) -> bool| before.is_some_and(test) && after.is_some_and(test);
    match c {
        ' ' | '\u{3000}' => true,
        '\u{200d}' => both(is_pictograph) || both(is_joined),
        '\u{200c}' => both(is_joined),
        '\u{fe0e}' | '\u{fe0f}' => match before {
            Some('0'..='9' | '#' | '*') => after == Some('\u{20e3}'), // a keycap
            before => before.is_some_and(|c| is_pictograph(c) && c != '\u{fe0f}'),
        },
        '\u{fe00}'..='\u{fe02}' | '\u{e0100}'..='\u{e01ef}' => before.is_some_and(is_ideograph),
        '\u{180b}'..='\u{180d}' | '\u{180f}' => {
            matches!(before, Some('\u{1807}' | '\u{1820}'..='\u{18aa}'))
        }
        // No glyph, and still "printable": fillers, vowels that are not written, blanks.
        '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{fe03}'..='\u{fe0d}'
        | '\u{ffa0}'
        | '\u{1d159}' => false,
        _ => is_printable(c) && (before.is_some() || !is_mark(c)),
    }
}

/// The standard library's table: neither control nor format character, neither separator nor
/// unassigned.
fn is_printable(c: char) -> bool {
    // In a string, unlike alone, a mark counts as printable.
    let mut text = [b'a', 0, 0, 0, 0];
    c.encode_utf8(&mut text[1..]);
    let text = str::from_utf8(&text[..=c.len_utf8()]).expect("two characters");
    matches!(c, '\'' | '"') || text.escape_debug().nth(1) == Some(c)
}

/// Whether it is drawn on the character before it.
fn is_mark(c: char) -> bool {
    is_printable(c) && !matches!(c, '\'' | '"') && c.escape_debug().next() != Some(c)
}

/// What emoji sequences are made of, with the selector that makes a character an emoji.
fn is_pictograph(c: char) -> bool {
    matches!(c, '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
        | '\u{2190}'..='\u{27bf}' | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}'
        | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{fe0f}'
        | '\u{1f000}'..='\u{1faff}')
}

/// Scripts whose letters change their form with their neighbors.
fn is_joined(c: char) -> bool {
    matches!(c, '\u{620}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{18aa}')
        && is_printable(c)
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        visible(text).to_string()
    }

    /// What `visible` was given.
    fn original(mut shown: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some((plain, escape)) = shown.split_once('\\') {
            bytes.extend_from_slice(plain.as_bytes());
            let mut length = 1;
            match escape.as_bytes()[0] {
                b'n' => bytes.push(b'\n'),
                b'r' => bytes.push(b'\r'),
                b't' => bytes.push(b'\t'),
                b'x' => {
                    length = 3;
                    bytes.push(u8::from_str_radix(&escape[1..3], 16).unwrap());
                }
                b'u' => {
                    length = escape.find('}').unwrap() + 1;
                    let number = u32::from_str_radix(&escape[2..length - 1], 16).unwrap();
                    let c = char::from_u32(number).unwrap();
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                other => bytes.push(other),
            }
            shown = &escape[length..];
        }
        bytes.extend_from_slice(shown.as_bytes());
        bytes
    }

    #[test]
    fn ordinary_text_of_all_languages_stays_as_it_is() {
        for text in [
            "report (final), v2 'x' \"y\" ~$#*/%.txt",
            "Grüße, naïve café, Ελληνικά, Русский, Հայերեն, ქართული",
            "中文，文件名「测试」　全角", // with an ideographic space
            "日本語 かな ｶﾞ, 한국어",
            "cafe\u{301} Vie\u{323}\u{302}t", // combining marks
            "עִבְרִית, العربيّة, فارسی می\u{200c}خواهم, اردو",
            "हिन्दी क्\u{200d}ष, தமிழ், ไทยที่, ខ្មែរ, မြန်မာ, བོད་",
            "🎉 👍🏽 👩\u{200d}💻 👨\u{200d}👩\u{200d}👧 ❤\u{fe0f} 🏳\u{fe0f}\u{200d}🌈 🇩🇪 1\u{fe0f}\u{20e3}",
            "葛\u{e0100}城市 邉\u{e0104}",
            "€ → ∑ ½ № ™ √",
        ] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(format!("{:?}", visible("a\"b'中 \\")), r#""a\"b'中 \\""#);
    }

    #[test]
    fn what_misleads_is_escaped() {
        for (text, expected) in [
            ("a\nb\r\tc\\d", r"a\nb\r\tc\\d"),
            ("\x1b[2J\x07\x7f\0\u{9b}", r"\u{1b}[2J\u{7}\u{7f}\u{0}\u{9b}"),
            ("a\u{2028}b\u{2029}c\u{85}", r"a\u{2028}b\u{2029}c\u{85}"),
            ("photo\u{202e}gpj.exe", r"photo\u{202e}gpj.exe"),
            ("a\u{200b}b\u{feff}c\u{ad}d\u{2060}", r"a\u{200b}b\u{feff}c\u{ad}d\u{2060}"),
            // What belongs into an emoji or a script does not belong between Latin letters, nor
            // twice.
            ("a\u{200d}b\u{200c}c\u{fe0f}", r"a\u{200d}b\u{200c}c\u{fe0f}"),
            ("👩\u{200d}\u{200d}💻\u{200d}", r"👩\u{200d}\u{200d}💻\u{200d}"),
            ("❤\u{fe0f}\u{fe0f}\u{fe0e}", "❤\u{fe0f}\\u{fe0f}\\u{fe0e}"),
            ("👍\u{fe00}\u{e0100}1\u{fe0f}2", r"👍\u{fe00}\u{e0100}1\u{fe0f}2"),
            ("葛\u{e0100}\u{e0101}", "葛\u{e0100}\\u{e0101}"),
            // Spaces that are not the space of the keyboard, or have no glyph.
            ("a\u{a0}b\u{2003}c\u{202f}d\u{3164}e", r"a\u{a0}b\u{2003}c\u{202f}d\u{3164}e"),
            // A mark combines with a character of this text only, and not with an escape sequence.
            ("\u{301}a", r"\u{301}a"),
            ("\n\u{301}", r"\n\u{301}"),
        ] {
            assert_eq!(shown(text), expected);
        }
        let tower = "\u{301}".repeat(12);
        assert_eq!(
            shown(&format!("a{tower}")),
            format!("a{}{}", &tower[..16], r"\u{301}".repeat(4))
        );
    }

    #[test]
    fn no_control_format_or_ignorable_character_passes_alone() {
        let ranges = [
            0..=0x1f,
            0x7f..=0xa0,
            0xad..=0xad,
            0x34f..=0x34f,
            0x600..=0x605,
            0x61c..=0x61c,
            0x6dd..=0x6dd,
            0x70f..=0x70f,
            0x890..=0x891,
            0x8e2..=0x8e2,
            0x115f..=0x1160,
            0x17b4..=0x17b5,
            0x180b..=0x180f,
            0x2000..=0x200f,
            0x2028..=0x202f,
            0x205f..=0x206f,
            0x2800..=0x2800,
            0x3164..=0x3164,
            0xd800..=0xf8ff, // surrogates, which are not characters, and private use
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xffa0..=0xffa0,
            0xfff0..=0xfffb,
            0xfffe..=0xffff,
            0x110bd..=0x110bd,
            0x110cd..=0x110cd,
            0x13430..=0x1343f,
            0x1bca0..=0x1bca3,
            0x1d159..=0x1d159,
            0x1d173..=0x1d17a,
            0xe0000..=0x10ffff, // tags, selectors, unassigned, private use
        ];
        for c in ranges.into_iter().flatten().filter_map(char::from_u32) {
            let text = format!("a{c}b");
            let shown = shown(&text);
            assert!(shown.starts_with("a\\") && shown.is_ascii(), "{shown:?}");
            assert_eq!(original(&shown), text.as_bytes());
        }
    }

    #[test]
    fn the_original_can_be_recovered() {
        let every = (0..=0x10ffff).filter_map(char::from_u32).collect::<String>();
        assert_eq!(original(&shown(&every)), every.as_bytes());
        let bytes: Vec<u8> = (0..=255).chain([0xed, 0xa0, 0x80, b'\\', 0xc0, 0x80]).collect();
        let shown = visible_bytes(&bytes).to_string();
        assert!(shown.contains(r"\xff\xed\xa0\x80\\\xc0\x80"), "{shown}");
        assert_eq!(original(&shown), bytes);
        // Two texts never look the same by an escape sequence that one of them spells out.
        assert_ne!(visible("\n").to_string(), visible(r"\n").to_string());
    }
}
