//! In place of `sys/futex.rs`.
//!
//! The kernel compares the word and puts the thread to sleep as one step, and changes the word and
//! wakes as one step. Neither orders anything here beyond that: the word is changed by relaxed
//! operations, which see the latest value.

use std::time::Duration;

use crate::model;
use crate::mutant::Operation;
use crate::shm::atomic::{AtomicU32, Ordering};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Add,
    Or,
}

pub(crate) fn wait(word: &AtomicU32, expected: u32, _timeout: Option<Duration>) {
    model::flush();
    if word.inner().fetch_add(0, Ordering::Relaxed) == expected {
        model::sleep(word.address());
    }
}

#[track_caller]
pub(crate) fn wake(word: &AtomicU32, count: i32) {
    let change = model::visit(Operation::Wake);
    // Others may come in between the change of the word and this.
    word.inner().fetch_add(0, Ordering::Relaxed);
    if change.is_none() {
        model::wake(word.address(), count);
    }
}

#[track_caller]
pub(crate) fn wake_op(word: &AtomicU32, change: Change, operand: u32, count: i32) -> bool {
    if !model::has_wake_op() {
        return false;
    }
    let mutation = model::visit(Operation::Wake);
    match change {
        Change::Add => word.inner().fetch_add(operand, Ordering::Relaxed),
        Change::Or => word.inner().fetch_or(operand, Ordering::Relaxed),
    };
    if mutation.is_none() {
        model::wake(word.address(), count);
    }
    model::flush();
    true
}
