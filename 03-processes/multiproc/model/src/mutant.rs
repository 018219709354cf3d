//! Sites, and what a mutant changes there.

use std::fmt;
use std::sync::atomic::Ordering;

/// What an atomic operation is, with its memory orderings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A load.
    Load(Ordering),
    /// A store.
    Store(Ordering),
    /// A read-modify-write that always writes.
    Update(Ordering),
    /// A compare-and-swap; the orderings of its success and its failure.
    Swap(Ordering, Ordering),
    /// A fence.
    Fence(Ordering),
    /// A compiler's fence, which a barrier of another process completes.
    LightFence,
    /// A barrier in another process.
    Barrier,
    /// A wake-up, or a change of a word that wakes.
    Wake,
}

/// What a mutant changes at its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// This ordering in place of the operation's.
    Weaker(Ordering),
    /// A compare-and-swap that fails is relaxed.
    RelaxedFailure,
    /// Nothing is done: no fence, or nobody is woken.
    Without,
    /// The store takes effect after the next write of its thread.
    Late,
}

/// A place in the source with an atomic operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The file, from the library's `src` on.
    pub file: &'static str,
    /// The line, from 1 on.
    pub line: u32,
    /// The column, from 1 on.
    pub column: u32,
    /// The kind of operation: a call that does several has one site for each.
    pub kind: Kind,
}

/// The kind of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A load, a store, or a read-modify-write.
    Access,
    /// A fence or a barrier.
    Fence,
    /// A wake-up.
    Wake,
}

/// One change of one site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mutant {
    /// Where.
    pub site: Site,
    /// What.
    pub change: Change,
}

impl Operation {
    /// The changes that make mutants of the operation.
    #[must_use]
    pub fn changes(self) -> Vec<Change> {
        use Change::{Late, RelaxedFailure, Weaker, Without};
        use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
        let weaker = |ordering| match ordering {
            Relaxed => vec![],
            Acquire | Release => vec![Weaker(Relaxed)],
            _ => vec![Weaker(Acquire), Weaker(Release)],
        };
        match self {
            Operation::Load(Relaxed) => vec![],
            Operation::Load(_) => vec![Weaker(Relaxed)],
            Operation::Store(Relaxed) => vec![Late],
            Operation::Store(_) => vec![Weaker(Relaxed), Late],
            Operation::Update(ordering) => weaker(ordering),
            Operation::Swap(success, Relaxed) => weaker(success),
            Operation::Swap(success, _) => {
                let mut changes = weaker(success);
                changes.push(RelaxedFailure);
                changes
            }
            Operation::Fence(SeqCst) => vec![Weaker(AcqRel), Without],
            Operation::Fence(_) | Operation::LightFence | Operation::Barrier => vec![Without],
            Operation::Wake => vec![Without],
        }
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Site { file, line, column, kind } = self.site;
        write!(f, "{file}:{line}:{column}, {kind:?}: {:?}", self.change)
    }
}
