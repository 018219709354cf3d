//! A value with the descriptors and the handles in it, as a packet.

use std::os::fd::OwnedFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ipc::codec;
use crate::ipc::error::{DecodeError, EncodeError};
use crate::ipc::passing::{Incoming, Outgoing, check_thread};
use crate::ipc::socket::Packet;
use crate::shm::arena::Region;
use crate::shm::transit::{Carrier, Encoding};

/// Encodes a value, with the descriptors in it, behind what is in `prefix`.
///
/// # Errors
///
/// The value's own `Serialize` refused, or it has too many descriptors.
pub(crate) fn encode<T: Serialize + ?Sized>(
    prefix: Vec<u8>,
    value: &T,
) -> Result<Packet, EncodeError> {
    check_thread().map_err(EncodeError::new)?;
    let outgoing = Outgoing::begin();
    let encoding = Encoding::begin(Carrier::Packet);
    let mut bytes = prefix;
    codec::encode(value, &mut bytes)?;
    let mut descriptors = outgoing.take();
    let mut regions = Vec::new();
    encoding.keep_in(&mut regions);
    if !regions.is_empty() {
        // After those of the value, which are known by their positions: kept until the value is
        // decoded.
        let hold = Region::hold_by_descriptor(&regions)
            .map_err(|error| EncodeError::new(error.to_string()))?;
        descriptors.push(hold);
    }
    Ok(Packet { bytes, descriptors })
}

/// Decodes a value; `bytes` are those of the value alone.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<T, DecodeError> {
    check_thread().map_err(|reason| DecodeError::new(bytes, reason))?;
    let _incoming = Incoming::begin(descriptors);
    codec::decode(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, OwnedFd};

    use super::*;
    use crate::ipc::passing::{MAX_DESCRIPTORS, serialize_descriptor};
    use crate::ipc::socket::pair;

    #[test]
    fn a_descriptor_outside_a_packet_is_refused() {
        struct Fd(OwnedFd);
        impl Serialize for Fd {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serialize_descriptor(self.0.as_fd(), serializer)
            }
        }
        let (a, _b) = pair().unwrap();
        let fd = Fd(a);
        assert!(postcard::to_stdvec(&fd).is_err());
        let packet = encode(Vec::new(), &fd).unwrap();
        assert_eq!(packet.descriptors.len(), 1);
        let many: Vec<Fd> =
            (0..MAX_DESCRIPTORS + 1).map(|_| Fd(fd.0.try_clone().unwrap())).collect();
        assert!(encode(Vec::new(), &many).unwrap_err().reason().contains("more than"));
    }
}
