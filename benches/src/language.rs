//! The two languages that pages are written in.

/// English or Chinese.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Simplified Chinese.
    Chinese,
}

/// Both of them.
pub const LANGUAGES: [Language; 2] = [Language::English, Language::Chinese];

/// The same words in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// In English.
    pub en: &'static str,
    /// In Chinese.
    pub zh: &'static str,
}

/// The same words in both languages.
pub const fn text(en: &'static str, zh: &'static str) -> Text {
    Text { en, zh }
}

impl Language {
    /// The one of the two that is in this language.
    pub fn of<T>(self, english: T, chinese: T) -> T {
        match self {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }

    /// These words in this language.
    pub fn say(self, text: Text) -> &'static str {
        self.of(text.en, text.zh)
    }

    /// Its tag, as in `<html lang>`.
    pub fn tag(self) -> &'static str {
        self.of("en", "zh-CN")
    }

    /// What stands between a file's name and its extension: nothing, or `.zh-CN`.
    pub fn suffix(self) -> &'static str {
        self.of("", ".zh-CN")
    }
}

/// A time as one reads it: `51 ns`, `1.4 ms`.
///
/// ```
/// assert_eq!(benches::language::time(5.14e-8), "51 ns");
/// assert_eq!(benches::language::time(1.4e-3), "1.4 ms");
/// assert_eq!(benches::language::time(2.0), "2.0 s");
/// ```
pub fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 0.9995e-6 => (s * 1e9, "ns"),
        s if s < 0.9995e-3 => (s * 1e6, "µs"),
        s if s < 0.9995 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// An amount of memory as one reads it: `9.3 KiB`.
///
/// ```
/// assert_eq!(benches::language::bytes(9523.0), "9.3 KiB");
/// ```
pub fn bytes(bytes: f64) -> String {
    let (value, unit) = match bytes {
        b if b < 1000.0 => (b, "B"),
        b if b < 1000.0 * 1024.0 => (b / 1024.0, "KiB"),
        b => (b / 1048576.0, "MiB"),
    };
    format!("{} {unit}", digits(value))
}

/// Two figures that count, and no more than that after the point.
///
/// ```
/// use benches::language::digits;
///
/// assert_eq!([1.449, 34.7, 0.0123, 1234.0].map(digits), ["1.4", "35", "0.012", "1,234"]);
/// ```
pub fn digits(value: f64) -> String {
    match value.abs() {
        v if v >= 999.5 => {
            let whole = format!("{value:.0}");
            let mut out = String::new();
            for (i, c) in whole.chars().enumerate() {
                if i > 0 && (whole.len() - i) % 3 == 0 && !out.ends_with('-') {
                    out.push(',');
                }
                out.push(c);
            }
            out
        }
        v if v >= 9.95 => format!("{value:.0}"),
        v if v >= 0.995 || v == 0.0 => format!("{value:.1}"),
        v if v >= 0.0995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
