//! What the cases about pages share: a [`Client`] that gives up in time and says why, a [`Server`] to try it on, and
//! their common flags.

mod client;
mod local;

pub use client::{Client, Failure, Options, Page};
pub use local::{Answer, Server};

use std::{error::Error, path::PathBuf, process::ExitCode, time::Duration};
use util::args::Args;

/// The exit status after Ctrl-C, as shells give it to a program that SIGINT ended: 128 + 2.
pub const INTERRUPTED: u8 = 130;

/// What `--help` says about the flags of [`Options::take`].
pub const OPTIONS_HELP: &str = "  \
  --timeout SECONDS  the longest a page may take, from the name's look-up to the last byte (30)
  --most BYTES       the largest page that is taken (10485760)
  --ca FILE          trust the certificates in this PEM file, besides the system's";

impl Options {
    /// Takes the flags that [`OPTIONS_HELP`] tells of. Ends the program if one of them makes no sense.
    pub fn take(args: &mut Args) -> Options {
        let mut options = Options::default();
        if let Some(seconds) = args.value::<f64>("--timeout") {
            match Duration::try_from_secs_f64(seconds) {
                Ok(timeout) if !timeout.is_zero() => options.timeout = timeout,
                _ => args.refuse(&format!("--timeout {seconds}: give seconds, more than none")),
            }
        }
        options.most = args.value("--most").unwrap_or(options.most);
        options.ca = args.value::<PathBuf>("--ca");
        options
    }
}

/// Takes the URLs, which are all that is left of `args`. Ends the program if a flag is left.
pub fn urls(mut args: Args) -> Vec<String> {
    let urls = args.operands().into_iter().map(|url| url.to_string_lossy().into_owned()).collect();
    args.finish();
    urls
}

/// Runs `work` on one thread, with Ctrl-C and timers, until it ends.
///
/// # Errors
///
/// If the system gives no event queue.
pub fn run<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // A name is looked up by a function that cannot be stopped: nobody waits for one that is still at it.
    runtime.shutdown_background();
    Ok(result)
}

/// How a program ends, and why on standard error if it could not do anything.
pub fn ended(result: Result<ExitCode, Box<dyn Error>>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// How a program ends that did what it could: 130 if it was `interrupted`, 1 if pages failed, else 0.
pub fn status(interrupted: bool, failed: usize) -> ExitCode {
    match (interrupted, failed) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    }
}
