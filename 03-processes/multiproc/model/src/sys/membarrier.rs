//! In place of `sys/membarrier.rs`: the heavy half of an asymmetric fence.

use std::sync::atomic::Ordering;

use crate::model;
use crate::mutant::Operation;

pub(crate) fn accept() -> bool {
    true
}

#[track_caller]
pub(crate) fn execute() -> bool {
    if model::visit(Operation::Barrier).is_none() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
    true
}
