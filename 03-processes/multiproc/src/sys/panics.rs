//! Panics caught with their message and their place.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// A panic in another process: its message and its location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Panic {
    /// The panic's message; for a payload that is not a text, a note that says so.
    pub(crate) message: String,
    /// `file:line:column` of the panic; `unknown` if the function replaced the panic hook.
    pub(crate) location: String,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked at {}: {}", self.location, self.message)
    }
}

thread_local! {
    /// Where this thread panicked last.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Called with a panic that will end the process: where panics abort, nothing runs after the hook.
static LAST_WORDS: OnceLock<fn(Panic)> = OnceLock::new();

/// Makes every panic's place known to [`catch`], and goes on to the hook that was there (which
/// prints the message).
pub(crate) fn watch(last_words: fn(Panic)) {
    if LAST_WORDS.set(last_words).is_err() {
        return;
    }
    let next = panic::take_hook();
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        let location = info.location().map(ToString::to_string);
        if cfg!(panic = "abort") {
            let location = location.clone().unwrap_or_else(|| "unknown".to_owned());
            last_words(Panic { message: text(info.payload()), location });
        }
        let _ = LOCATION.try_with(|place| place.replace(location));
        next(info);
    }));
}

/// Runs `function`; a panic in it is an error.
pub(crate) fn catch<T>(function: impl FnOnce() -> T) -> Result<T, Panic> {
    panic::catch_unwind(AssertUnwindSafe(function)).map_err(|payload| {
        let message = text(payload.as_ref());
        // The payload's drop may panic, and so may the drop of that panic's payload, without end:
        // the second payload is never dropped.
        if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        Panic {
            message,
            location: LOCATION
                .try_with(RefCell::take)
                .ok()
                .flatten()
                .unwrap_or_else(|| "unknown".to_owned()),
        }
    })
}

/// The text of a panic's payload.
fn text(payload: &dyn Any) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic whose payload is no text".to_owned()
    }
}
