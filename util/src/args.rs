//! The few flags a case takes, in the usual forms: `--for 20`, `--for=20`, `--quiet`, `--help`.
//!
//! ```no_run
//! use util::args::Args;
//!
//! let mut args = Args::new("Usage: 28_4_main_waits_forever [--for N]\n\n  --for N  end after N ticks");
//! let ticks: Option<u32> = args.value("--for");
//! args.finish();
//! ```

use std::{ffi::OsString, fmt::Display, process::exit, str::FromStr};

/// The arguments of this program, taken one flag at a time.
///
/// What is wrong with them is said on standard error, and the program ends with status 2.
#[derive(Debug)]
pub struct Args {
    help: String,
    left: Vec<OsString>,
    /// What stands behind a `--`: no flags, whatever it looks like.
    behind: Vec<OsString>,
}

impl Args {
    /// The arguments this program was started with. `help` is the text for `--help` (or
    /// `-h`), which is printed at once, with exit status 0, if it is among them.
    pub fn new(help: impl Into<String>) -> Args {
        let (left, behind) = split(std::env::args_os().skip(1));
        let args = Args { help: help.into(), left, behind };
        if args.left.iter().any(|a| a == "--help" || a == "-h") {
            println!("{}", args.help);
            exit(0);
        }
        args
    }

    /// Takes `flag` and the value behind it, or `None` if it was not given.
    /// Ends the program if it has no value, one that is no `T`, or stands there twice.
    pub fn value<T: FromStr<Err: Display>>(&mut self, flag: &str) -> Option<T> {
        take_value(&mut self.left, flag).unwrap_or_else(|complaint| self.refuse(&complaint))
    }

    /// Takes `flag`, which has no value, and says whether it was given.
    pub fn flag(&mut self, flag: &str) -> bool {
        let before = self.left.len();
        self.left.retain(|a| a != flag);
        self.left.len() < before
    }

    /// Takes what is no flag: words that do not begin with `-`, and all that stands behind a `--`. To be called when the
    /// flags and their values have been taken.
    pub fn operands(&mut self) -> Vec<OsString> {
        let (flags, mut operands): (Vec<_>, Vec<_>) = self
            .left
            .drain(..)
            .partition(|word| word.len() > 1 && word.to_string_lossy().starts_with('-'));
        self.left = flags;
        operands.append(&mut self.behind);
        operands
    }

    /// Ends the program if anything is left that nobody asked for.
    pub fn finish(self) {
        if let Some(unknown) = self.left.first().or(self.behind.first()) {
            self.refuse(&format!("unknown argument {unknown:?}"));
        }
    }

    /// Ends the program with status 2, saying what is wrong and what would be right: for
    /// arguments that are well formed, but that this program cannot use.
    pub fn refuse(&self, complaint: &str) -> ! {
        eprintln!("error: {complaint}\n\n{}", self.help);
        exit(2)
    }
}

/// What stands before a `--`, and what behind it.
fn split(mut words: impl Iterator<Item = OsString>) -> (Vec<OsString>, Vec<OsString>) {
    (words.by_ref().take_while(|word| word != "--").collect(), words.collect())
}

fn take_value<T: FromStr<Err: Display>>(
    left: &mut Vec<OsString>,
    flag: &str,
) -> Result<Option<T>, String> {
    let mut found = None;
    while let Some((position, inline)) = left.iter().enumerate().find_map(|(i, argument)| {
        let rest = argument.to_str()?.strip_prefix(flag)?;
        match rest.strip_prefix('=') {
            Some(value) => Some((i, Some(OsString::from(value)))),
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
    let Some(value) = found else { return Ok(None) };
    match value.to_str().map(T::from_str) {
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(error)) => Err(format!("{flag} {value:?}: {error}")),
        None => Err(format!("{flag} {value:?} is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take<T: FromStr<Err: Display>>(
        words: &str,
        flag: &str,
    ) -> (Result<Option<T>, String>, usize) {
        let mut left = words.split_whitespace().map(OsString::from).collect();
        (take_value(&mut left, flag), left.len())
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
        let mut args = Args { help: String::new(), left, behind };
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
}
