//! The few flags a case takes, in the usual forms: `--for 20`, `--for=20`, `--quiet`, `--help`,
//! `--version`.
//!
//! ```no_run
//! use util::args::Args;
//!
//! const USAGE: &str = "Usage: 28_4_main_waits_forever [--for N]\n\n  --for N  end after N ticks";
//! let mut args = Args::new(USAGE);
//! let ticks = args.number("--for", 1..=1_000_000).unwrap_or(5);
//! args.finish();
//! ```

use std::{
    env, ffi::OsString, fmt::Display, ops::RangeInclusive, path::PathBuf, process::exit,
    str::FromStr, time::Duration,
};

use crate::{eprintln, output, program, sys, text::visible, tick, timeline};

/// The arguments of this program, taken one flag at a time.
///
/// If they are invalid, an error is printed on standard error, and the program ends with status 2.
#[derive(Debug)]
pub struct Args {
    help: Help,
    left: Vec<OsString>,
    /// What stands behind a `--`: no flags, whatever it looks like.
    behind: Vec<OsString>,
}

#[derive(Debug)]
enum Help {
    Text(String),
    /// The source of a case, whose header is its help.
    Case(&'static str),
}

impl Args {
    /// The arguments this program was started with. `help` is the text for `--help` (or `-h`),
    /// which is printed at once, with exit status 0, if it is among them; so is the version for
    /// `--version` (or `-V`).
    ///
    /// An invalid `TICK_MS` or `TIMELINE` in the environment ends the program as an invalid
    /// argument does.
    pub fn new(help: impl Into<String>) -> Args {
        Args::start(Help::Text(help.into()))
    }

    /// The same for a case: its help is the header of its `source`. See [`case!`](crate::case!).
    #[doc(hidden)]
    pub fn of_case(source: &'static str) -> Args {
        Args::start(Help::Case(source))
    }

    fn start(help: Help) -> Args {
        timeline::end_if_interrupted();
        let (left, behind) = split(env::args_os().skip(1));
        let args = Args { help, left, behind };
        let has = |long: &str, short: &str| args.left.iter().any(|a| a == long || a == short);
        let answer = if has("--help", "-h") {
            Some(args.help.text())
        } else {
            has("--version", "-V").then(|| format!("{} {}", program(), env!("CARGO_PKG_VERSION")))
        };
        if let Some(answer) = answer {
            let output = output::start();
            println!("{answer}");
            drop(output);
            exit(0);
        }
        tick::check();
        timeline::check();
        args
    }

    /// Takes `flag` and the value behind it, or `None` if it was not given.
    /// Ends the program if it has no value, an invalid one, or was given twice.
    ///
    /// For numbers and times there are [`number`](Args::number) and [`seconds`](Args::seconds),
    /// which also take a range.
    pub fn value<T: FromStr<Err: Display>>(&mut self, flag: &str) -> Option<T> {
        let taken = take_value(&mut self.left, flag, |text| {
            T::from_str(text).map_err(|error| format!(": {error}"))
        });
        taken.unwrap_or_else(|complaint| self.refuse(&complaint))
    }

    /// Takes `flag` and the path behind it, which need not be UTF-8. Ends the program if it has
    /// none, an empty one, or was given twice.
    pub fn path(&mut self, flag: &str) -> Option<PathBuf> {
        let taken = take_word(&mut self.left, flag).and_then(|word| match word {
            Some(word) if word.is_empty() => Err(format!("{flag} \"\": expected a path")),
            word => Ok(word.map(Into::into)),
        });
        taken.unwrap_or_else(|complaint| self.refuse(&complaint))
    }

    /// Takes `flag` and the whole number behind it. Ends the program if it is not within `range`,
    /// or as [`value`](Args::value) does.
    ///
    /// ```no_run
    /// # let mut args = util::args::Args::new("");
    /// let workers = args.number("--workers", 1..=1024_usize).unwrap_or(4);
    /// ```
    pub fn number<T>(&mut self, flag: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let taken = take_value(&mut self.left, flag, |text| number(text, &range));
        taken.unwrap_or_else(|complaint| self.refuse(&complaint))
    }

    /// Takes `flag` and the seconds behind it, whole ones or a decimal fraction such as `0.5`. Ends
    /// the program if they are not within `range`, or as [`value`](Args::value) does.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # let mut args = util::args::Args::new("");
    /// let idle = args.seconds("--idle", 0.1..=86_400.0).unwrap_or(Duration::from_secs(60));
    /// ```
    pub fn seconds(&mut self, flag: &str, range: RangeInclusive<f64>) -> Option<Duration> {
        let taken = take_value(&mut self.left, flag, |text| seconds(text, &range));
        taken.unwrap_or_else(|complaint| self.refuse(&complaint))
    }

    /// The value of the environment variable `name`, or `None` if it is not set. Ends the program,
    /// as an invalid argument does, if it is set but empty or not UTF-8.
    pub fn variable(&self, name: &str) -> Option<String> {
        let value = variable(name, env::var_os(name));
        value.unwrap_or_else(|complaint| self.refuse(&complaint))
    }

    /// Takes `flag`, which has no value, and says whether it was given.
    pub fn flag(&mut self, flag: &str) -> bool {
        let before = self.left.len();
        self.left.retain(|a| a != flag);
        self.left.len() < before
    }

    /// Takes what is no flag: words that do not begin with `-`, and all that stands behind a `--`.
    /// To be called when the flags and their values have been taken.
    pub fn operands(&mut self) -> Vec<OsString> {
        let (flags, mut operands): (Vec<_>, Vec<_>) = self
            .left
            .drain(..)
            .partition(|word| word.len() > 1 && word.as_encoded_bytes().starts_with(b"-"));
        self.left = flags;
        operands.append(&mut self.behind);
        operands
    }

    /// Ends the program if anything is left that nobody asked for.
    pub fn finish(self) {
        if let Some(unknown) = self.left.first().or(self.behind.first()) {
            self.refuse(&format!("unknown argument {:?}", visible(unknown)));
        }
    }

    /// Ends the program with status 2 after an error, which is to say what would be valid: for
    /// arguments that are well formed, but that this program cannot use.
    pub fn refuse(&self, complaint: &str) -> ! {
        match &self.help {
            Help::Text(help) => eprintln!("error: {complaint}\n\n{help}"),
            Help::Case(_) => {
                eprintln!("error: {complaint} (for what is valid, see {} --help)", program())
            }
        }
        exit(2)
    }
}

impl Help {
    fn text(&self) -> String {
        match self {
            Help::Text(text) => text.clone(),
            Help::Case(source) => header(source),
        }
    }
}

/// The header of a case as a help text: its `//!` lines up to the output, which only its tests
/// need.
fn header(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    let text: Vec<&str> = lines.take_while(|line| !line.starts_with("```")).collect();
    format!(
        "{}\n\n\
        Options:\n  \
          -h, --help     print this help\n  \
          -V, --version  print the version\n\n\
        Environment:\n  \
          TICK_MS=N      length of a tick in milliseconds, 1 to 60000 [default: 100]\n  \
          TIMELINE=FILE  draw the timeline of a case that has one: 1 for the terminal, or FILE.svg, .html or .json",
        text.join("\n").trim()
    )
}

/// What stands before a `--`, and what behind it.
fn split(mut words: impl Iterator<Item = OsString>) -> (Vec<OsString>, Vec<OsString>) {
    (words.by_ref().take_while(|word| word != "--").collect(), words.collect())
}

/// Takes `flag` and the word behind it or behind its `=`.
fn take_word(left: &mut Vec<OsString>, flag: &str) -> Result<Option<OsString>, String> {
    let mut found = None;
    while let Some((position, inline)) = left.iter().enumerate().find_map(|(i, argument)| {
        let rest = sys::strip_prefix(argument, flag)?;
        match sys::strip_prefix(rest, "=") {
            Some(value) => Some((i, Some(value.to_owned()))),
            None => rest.is_empty().then_some((i, None)),
        }
    }) {
        left.remove(position);
        let value = match inline {
            Some(value) => value,
            None if position < left.len() => left.remove(position),
            None => return Err(format!("{flag} needs a value")),
        };
        if found.replace(value).is_some() {
            return Err(format!("{flag} was given twice"));
        }
    }
    Ok(found)
}

/// The same for a word with a meaning, which `parse` finds; its error is what follows the flag and
/// the value.
fn take_value<T>(
    left: &mut Vec<OsString>,
    flag: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    let Some(value) = take_word(left, flag)? else { return Ok(None) };
    match value.to_str().map(parse) {
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(error)) => Err(format!("{flag} {:?}{error}", visible(&value))),
        None => Err(format!("{flag} {:?} is not UTF-8", visible(&value))),
    }
}

fn variable(name: &str, value: Option<OsString>) -> Result<Option<String>, String> {
    match value.map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) if value.is_empty() => {
            Err(format!("the environment variable {name} is empty: set it to a value or unset it"))
        }
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => Err(format!("the environment variable {name} is not UTF-8")),
    }
}

fn number<T>(text: &str, range: &RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    let is_signed = text.starts_with('+'); // which `parse` would allow
    let number = text.parse().ok().filter(|number| !is_signed && range.contains(number));
    let expected =
        || format!(": expected a whole number from {} to {}", range.start(), range.end());
    number.ok_or_else(expected)
}

fn seconds(text: &str, range: &RangeInclusive<f64>) -> Result<Duration, String> {
    // Not what else a floating-point number may be: `inf`, `nan`, `1e3`.
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = text.parse().ok().filter(|number| is_decimal && range.contains(number));
    let duration = number.and_then(|number| Duration::try_from_secs_f64(number).ok());
    let expected = || format!(": expected seconds from {} to {}", range.start(), range.end());
    duration.ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(unix)]
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

    fn take<T: FromStr<Err: Display>>(
        words: &str,
        flag: &str,
    ) -> (Result<Option<T>, String>, usize) {
        let mut left = words.split_whitespace().map(OsString::from).collect();
        let parse = |text: &str| T::from_str(text).map_err(|e| format!(": {e}"));
        (take_value(&mut left, flag, parse), left.len())
    }

    #[test]
    fn a_value_stands_behind_its_flag_or_an_equals_sign() {
        assert_eq!(take("--for 3 --x", "--for"), (Ok(Some(3)), 1));
        assert_eq!(take("--x --for=3", "--for"), (Ok(Some(3)), 1));
        assert_eq!(take::<u32>("--x --format=3", "--for"), (Ok(None), 2));
    }

    #[test]
    fn operands_are_no_flags() {
        let words = "--x a - --for 3 -- --for b".split_whitespace().map(OsString::from);
        let (left, behind) = split(words);
        let mut args = Args { help: Help::Text(String::new()), left, behind };
        assert_eq!(args.value("--for"), Some(3));
        assert_eq!(args.operands(), ["a", "-", "--for", "b"]);
        assert_eq!(args.left, ["--x"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let complaint = |words| take::<u32>(words, "--for").0.unwrap_err();
        assert_eq!(complaint("--for"), "--for needs a value");
        assert_eq!(complaint("--for 1 --for=2"), "--for was given twice");
        assert_eq!(complaint("--for x"), "--for \"x\": invalid digit found in string");
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        assert_eq!(number("1", &(1..=1024_usize)), Ok(1));
        assert_eq!(number("1024", &(1..=1024_usize)), Ok(1024));
        let expected = Err(": expected a whole number from 1 to 1024".to_owned());
        for wrong in [
            "",
            " 1",
            "0",
            "1025",
            "-1",
            "+1",
            "1.5",
            "1e3",
            "inf",
            "nan",
            "0x10",
            "18446744073709551616",
        ] {
            assert_eq!(number(wrong, &(1..=1024_usize)), expected, "{wrong}");
        }
        assert!(number("18446744073709551615", &(0..=u64::MAX)).is_ok());
    }

    #[test]
    fn seconds_are_decimal_and_within_their_range() {
        assert_eq!(seconds("60", &(0.1..=60.0)), Ok(Duration::from_secs(60)));
        assert_eq!(seconds("0.25", &(0.1..=60.0)), Ok(Duration::from_millis(250)));
        let expected = Err(": expected seconds from 0.1 to 60".to_owned());
        for wrong in
            ["", ".", "0", "60.1", "-1", "nan", "inf", "1e1", "1.2.3", "18446744073709551616"]
        {
            assert_eq!(seconds(wrong, &(0.1..=60.0)), expected, "{wrong}");
        }
        // Also with a range that is too large for a `Duration`.
        assert!(seconds("99999999999999999999999", &(0.0..=f64::MAX)).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_utf_8_are_an_error_or_a_path() {
        let words = || {
            [&b"--for=\xff"[..], b"\xff", b"--to", b"\xfe"].map(|b| OsStr::from_bytes(b).to_owned())
        };
        let mut left = words().to_vec();
        let refused = take_value(&mut left, "--for", |_| Ok(())).unwrap_err();
        assert_eq!(refused, "--for \"\\xff\" is not UTF-8");
        let mut args = Args { help: Help::Text(String::new()), left, behind: Vec::new() };
        assert_eq!(args.path("--to").unwrap(), Path::new(OsStr::from_bytes(b"\xfe")));
        assert_eq!(args.operands(), [OsStr::from_bytes(b"\xff")]);
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_set_is_usable_or_an_error() {
        let read = |bytes: &[u8]| variable("KEY", Some(OsStr::from_bytes(bytes).to_owned()));
        assert_eq!(variable("KEY", None), Ok(None));
        assert_eq!(read(b" a"), Ok(Some(" a".into())));
        assert!(read(b"").unwrap_err().contains("KEY is empty"));
        assert!(read(b"a\xff").unwrap_err().contains("KEY is not UTF-8"));
    }

    #[test]
    fn a_header_is_a_help_text() {
        let text = header(
            "//! 1 · One.\n//!\n//! Run: it\n//!\n//! ```output\n//! x\n//! ```\nfn main() {}\n",
        );
        assert!(text.starts_with("1 · One.\n\nRun: it\n\nOptions:\n  -h, --help"), "{text}");
    }
}
