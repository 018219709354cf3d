//! Communication between two processes: values as bytes, packets, descriptors, pipes.
//!
//! From the bottom up: [`codec`] makes bytes of a value, with [`checked`] between it and the
//! format; [`socket`] carries bytes and descriptors, large ones through [`overflow`]; [`passing`]
//! gets the descriptors of a value into a packet, and [`packet`] puts all of this together. On it
//! stand [`pipe`], [`descriptor`] and [`encoding`].

pub(crate) mod checked;
pub(crate) mod codec;
pub(crate) mod descriptor;
pub mod encoding;
pub(crate) mod error;
mod overflow;
pub(crate) mod packet;
pub(crate) mod passing;
pub mod pipe;
pub(crate) mod socket;
