//! Buffers that are reused from one batch to the next.

/// A buffer that has become larger than this is not kept.
const KEEP: usize = 1 << 20;

/// Frees a buffer that one large value has made large.
pub(super) fn keep_small(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEEP {
        *buffer = Vec::new();
    }
}
