//! What a case's `main` returns if something fails.

use std::{error, fmt, io};

use crate::sys;

/// `Ok`, or an [`Error`] that says what failed.
pub type Result<T> = std::result::Result<T, Error>;

/// Any error, for `main` to return: unlike a `Box<dyn Error>` it is printed in words, with its
/// causes, and not as Rust's `Debug` shows it. `?` converts every error and every text into it.
///
/// ```
/// fn main() -> util::Result<()> {
///     let numbers: Vec<u32> = "1 2 3".split(' ').map(str::parse).collect::<Result<_, _>>()?;
///     let sum = numbers.iter().sum::<u32>();
///     if sum != 6 {
///         Err(format!("the sum is {sum}"))?;
///     }
///     Ok(())
/// }
/// ```
pub struct Error(Box<dyn error::Error>);

impl<E: Into<Box<dyn error::Error>>> From<E> for Error {
    fn from(error: E) -> Error {
        Error(error.into())
    }
}

/// The text, and behind it the causes that the text does not name itself.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let code = self.0.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        if code == Some(sys::NO_MORE_THREADS) {
            text = format!("cannot start a thread or a process: {text}");
        }
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.contains(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

/// The same: what `main` returns is printed by `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error, &'static str);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.1)
        }
    }

    impl error::Error for Outer {
        fn source(&self) -> Option<&(dyn error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn each_cause_is_named_once() {
        for (text, expected) in [
            ("cannot start it", "cannot start it: no space"),
            ("cannot start it: no space", "cannot start it: no space"),
        ] {
            let error = Error::from(Outer(io::Error::other("no space"), text));
            assert_eq!(format!("{error:?}"), expected);
        }
        assert_eq!(Error::from("a text").to_string(), "a text");
    }
}
