//! Making a queue: its capacity and the size of its items.

use std::io;

use super::{Queue, check_capacity};

/// How to make a queue that is not just bounded or unbounded.
///
/// ```
/// use multiproc::queue::{Builder, PutError};
///
/// let queue = Builder::new().capacity(10).max_item_bytes(1000).build::<Vec<u8>>()?;
/// assert!(matches!(queue.put(&vec![0; 1001]), Err(PutError::TooLarge { len: 1001, max: 1000 })));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Builder {
    capacity: Option<usize>,
    max_item_bytes: Option<u64>,
}

impl Builder {
    /// An unbounded queue for items of up to 32 GiB.
    #[must_use]
    pub fn new() -> Builder {
        Builder::default()
    }

    /// At most `items` at once.
    ///
    /// # Panics
    ///
    /// When `items` is zero: nothing could ever be put.
    #[must_use]
    pub fn capacity(mut self, items: usize) -> Builder {
        check_capacity(items);
        self.capacity = Some(items);
        self
    }

    /// Refuses items whose encoding is longer than `bytes`.
    #[must_use]
    pub fn max_item_bytes(mut self, bytes: u64) -> Builder {
        self.max_item_bytes = Some(bytes);
        self
    }

    /// Makes the queue.
    ///
    /// # Errors
    ///
    /// When the system gives no shared memory.
    pub fn build<T>(&self) -> io::Result<Queue<T>> {
        Queue::create(self.capacity, self.max_item_bytes)
    }
}
