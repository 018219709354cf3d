//! From process to process: values as bytes, packets, descriptors, pipes.

pub(crate) mod checked;
pub(crate) mod codec;
pub(crate) mod descriptor;
pub mod encoding;
pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod packet;
pub mod pipe;
pub(crate) mod transit;
