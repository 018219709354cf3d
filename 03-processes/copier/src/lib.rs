//! Nothing but examples: `010_copy_progress` and `012_copy`.
