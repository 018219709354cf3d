//! What several cases of chapter 4 share.
