//! The reason why a value could not be encoded or decoded on this thread.
//!
//! The encoding's own error cannot carry a text. So the code that refuses a value leaves the reason
//! here, and the code that reports the error takes it.

use std::cell::RefCell;

thread_local! {
    static REASON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Leaves a reason. In a thread past its end it is lost, and the error is a general one.
pub(crate) fn leave(reason: String) {
    let _ = REASON.try_with(|place| place.replace(Some(reason)));
}

/// Takes the reason that was left last, if it has not been taken.
pub(crate) fn take() -> Option<String> {
    REASON.try_with(RefCell::take).ok().flatten()
}
