//! When the collector looks at the time limits of tasks.

use std::time::{Duration, Instant};

use crate::pool::batch::Batch;

/// The shortest time between two looks at the time limits.
const SHORTEST: Duration = Duration::from_millis(1);

/// Plans a look for when the first task of a batch that is assigned now may exceed its limit.
#[inline]
pub(super) fn plan_look_for(batch: &Batch, look_at: &mut Option<Instant>) {
    if let Some(limit) = batch.policy.time_limit {
        plan_look(look_at, Instant::now(), limit);
    }
}

/// Plans a look at the time limits for when so much time has passed.
pub(super) fn plan_look(look_at: &mut Option<Instant>, now: Instant, left: Duration) {
    // A limit beyond what the clock can represent is none.
    if let Some(at) = now.checked_add(left.max(SHORTEST)) {
        *look_at = Some(look_at.map_or(at, |planned| planned.min(at)));
    }
}
