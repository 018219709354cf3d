//! What the kernel counts.

/// How often the kernel switched from one thread to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Because the thread had nothing to do: it waited or slept.
    pub voluntary: u64,
    /// Because the kernel gave the processor to somebody else.
    pub involuntary: u64,
}

/// What the kernel holds for some processes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Its page tables for them.
    pub page_tables: u64,
    /// Its stacks, one per thread.
    pub stacks: u64,
    /// Its records of their sockets; one that several of them have open counts once.
    pub sockets: u64,
}

impl Kernel {
    /// All of it.
    pub fn all(&self) -> u64 {
        self.page_tables + self.stacks + self.sockets
    }
}
