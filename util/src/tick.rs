//! The unit of time of the cases: where the notes sleep a second, a case sleeps a *tick*.
//!
//! A tick is 100 ms unless the environment variable `TICK_MS` says otherwise (whole milliseconds, 1
//! to 60,000; empty counts as not set), so a case is over in about a second, a test can hurry it,
//! and a reader can slow it down: `TICK_MS=1000 cargo run --example 002_many_threads`.

use std::{
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

static LENGTH: LazyLock<Duration> = LazyLock::new(|| {
    parse(std::env::var_os("TICK_MS").as_deref()).unwrap_or_else(|complaint| {
        crate::eprintln!("error: {complaint}");
        std::process::exit(2)
    })
});

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How long one tick is.
///
/// If `TICK_MS` is invalid, this prints an error and ends the program with exit status 2, as do all
/// functions here; [`case!`](crate::case!) and [`Args::new`](crate::args::Args::new) do it first
/// thing in `main`.
///
/// ```
/// assert!(util::tick::length().as_millis() >= 1);
/// ```
pub fn length() -> Duration {
    LazyLock::force(&BEGINNING);
    *LENGTH
}

/// How long `ticks` ticks are.
///
/// # Panics
///
/// If `ticks` is negative or not finite.
///
/// ```
/// use util::tick;
/// assert_eq!(tick::ticks(3), 3 * tick::length());
/// assert_eq!(tick::ticks(0.5), tick::length() / 2);
/// ```
pub fn ticks(ticks: impl Into<f64>) -> Duration {
    length().mul_f64(ticks.into())
}

/// Sleeps for `ticks` ticks, whole ones or parts.
///
/// # Panics
///
/// If `ticks` is negative or not finite.
///
/// ```
/// use util::tick;
/// let before = tick::elapsed();
/// tick::sleep(0.5);
/// assert!(tick::elapsed() - before >= 0.5);
/// ```
pub fn sleep(ticks: impl Into<f64>) {
    thread::sleep(self::ticks(ticks));
}

/// Ticks passed since this program first used any function of this module, for
/// instance `tick::elapsed()` as the first line of `main`.
///
/// ```
/// use util::tick;
/// tick::elapsed();
/// tick::sleep(2);
/// assert!(tick::elapsed() >= 2.0);
/// ```
pub fn elapsed() -> f64 {
    let length = length();
    BEGINNING.elapsed().as_secs_f64() / length.as_secs_f64()
}

/// Ends the program with exit status 2 if `TICK_MS` is invalid.
pub(crate) fn check() {
    LazyLock::force(&LENGTH);
}

fn parse(value: Option<&std::ffi::OsStr>) -> Result<Duration, String> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(Duration::from_millis(100));
    };
    match value.to_str().and_then(|v| v.parse().ok()) {
        Some(milliseconds @ 1..=60_000) => Ok(Duration::from_millis(milliseconds)),
        _ => Err(format!(
            "TICK_MS={value:?} is invalid: expected whole milliseconds from 1 to 60000, as in TICK_MS=100"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::{ffi::OsStr, time::Duration};

    #[test]
    fn a_tick_is_100_ms_unless_said_otherwise() {
        assert_eq!(parse(None), Ok(Duration::from_millis(100)));
        assert_eq!(parse(Some(OsStr::new(""))), Ok(Duration::from_millis(100)));
        assert_eq!(parse(Some(OsStr::new("5"))), Ok(Duration::from_millis(5)));
    }

    #[test]
    fn an_invalid_tick_is_named() {
        for invalid in ["0", "-3", " ", "fast", "1.5", "60001", "18446744073709551616"] {
            let complaint = parse(Some(OsStr::new(invalid))).unwrap_err();
            assert!(complaint.contains(&format!("{invalid:?}")), "{complaint}");
        }
    }
}
