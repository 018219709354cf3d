//! The messages in a worker's ring of results: what each begins with.

/// The first byte of a message. The first four are also the tags of results in a log.
pub(super) mod tag {
    /// The result follows.
    pub(crate) const RETURNED: u8 = 0;
    /// A `Panic` follows.
    pub(crate) const PANICKED: u8 = 1;
    /// The result could not be encoded; a text follows.
    pub(crate) const RESULT: u8 = 2;
    /// The argument could not be decoded; a text follows, and the argument's bytes.
    pub(crate) const ARGUMENT: u8 = 3;
    /// The worker is ready for batches.
    pub(crate) const READY: u8 = 4;
    /// The initializer panicked: a `Panic` follows, and the worker exits.
    pub(crate) const NOT_READY: u8 = 5;
    /// A log's contents: a [`LogHeader`](super::LogHeader), then the records.
    pub(crate) const LOG: u8 = 6;
    /// A result with handles of shared memory in it: a list of them, then the result.
    pub(crate) const HANDLES: u8 = 7;
}

/// Says which results the contents of a log are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogHeader {
    /// The sequence number of their batch.
    pub(super) batch: u64,
    /// The position in the batch of the first one.
    pub(super) first: usize,
}

impl LogHeader {
    /// Appends the header to a message.
    pub(super) fn append_to(self, message: &mut Vec<u8>) {
        message.extend_from_slice(&self.batch.to_le_bytes());
        message.extend_from_slice(&(self.first as u64).to_le_bytes());
    }

    /// Takes the header from the front of a message; returns it and the records.
    pub(super) fn split_from(message: &[u8]) -> Option<(Self, &[u8])> {
        let (batch, rest) = message.split_first_chunk()?;
        let (first, records) = rest.split_first_chunk()?;
        let (batch, first) = (u64::from_le_bytes(*batch), u64::from_le_bytes(*first) as usize);
        Some((Self { batch, first }, records))
    }
}
