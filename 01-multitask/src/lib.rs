//! What several cases of chapter 1 share.
