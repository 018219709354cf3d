//! What both files of the case use.

use std::time::Duration;
use tokio::runtime;

/// Nothing here waits longer, whatever goes wrong.
pub const LIMIT: Duration = Duration::from_secs(50);

/// Runs an async block, and the tasks that it starts, on this thread.
pub fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
    runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}
