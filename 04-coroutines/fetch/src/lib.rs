//! What the cases about pages share: a [`Client`] that gives up in time and says why, a [`Server`]
//! to try it on, and their common flags.

mod client;
mod local;

pub use client::{Client, Failure, Options, Page};
pub use local::{Answer, Server};

use std::{error::Error, process::ExitCode};
use util::{args::Args, eprintln, text::visible};

/// The exit status after Ctrl-C, as shells give it to a program that SIGINT ended: 128 + 2.
pub const INTERRUPTED: u8 = 130;

/// What `--help` says about the flags of [`Options::take`], and those that every program has.
pub const OPTIONS_HELP: &str = "  \
  --timeout <SECONDS>  time for a page, from the name's look-up to the last byte, 0.001 to 86400 [default: 30]
  --most <BYTES>       size of the largest page that is accepted, up to 1099511627776 [default: 10485760]
  --ca <FILE>          PEM file with certificates to trust besides the system's
  -h, --help           print this help
  -V, --version        print the version";

/// What `--help` says about redirects and about what is printed.
pub const PAGES_HELP: &str = "\
Up to 10 redirects are followed, but none to another scheme than http and https, and none from https to http. A request on a
kept connection that the server has closed is sent once more. In what is printed, characters that could mislead a
reader are escaped.";

impl Options {
    /// Takes the flags that [`OPTIONS_HELP`] tells of. Ends the program if one of them is invalid.
    pub fn take(args: &mut Args) -> Options {
        let mut options = Options::default();
        options.timeout = args.seconds("--timeout", 0.001..=86_400.0).unwrap_or(options.timeout);
        options.most = args.number("--most", 0..=1 << 40).unwrap_or(options.most);
        options.ca = args.path("--ca");
        options
    }
}

/// Takes the URLs, which are all that is left of `args`. Ends the program if a flag is left, or one
/// is not UTF-8.
pub fn urls(mut args: Args) -> Vec<String> {
    let mut urls = Vec::new();
    for url in args.operands() {
        match url.into_string() {
            Ok(url) => urls.push(url),
            Err(url) => args.refuse(&format!("{:?} is not UTF-8: expected a URL", visible(&url))),
        }
    }
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
    // A name is looked up by a function that cannot be stopped: nobody waits for one that is still
    // at it.
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

/// How a program ends that did what it could: 130 if it was `interrupted`, 1 if pages failed, else
/// 0.
pub fn status(interrupted: bool, failed: usize) -> ExitCode {
    match (interrupted, failed) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    }
}
