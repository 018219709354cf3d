//! The threads of the scenarios.

use crate::model;

/// A thread of a scenario.
pub(crate) fn spawn(run: impl FnOnce() + 'static) -> loom::thread::JoinHandle<()> {
    loom::thread::spawn(move || {
        run();
        model::flush();
    })
}
