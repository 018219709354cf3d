//! Encoding and decoding a handle to shared memory, as the numbers of its region.

use std::cell::Cell;

use crate::shm::arena::{Region, RegionId};
use crate::shm::transit;
use crate::sys::{fork, reason};

thread_local! {
    static GONE: Cell<bool> = const { Cell::new(false) };
}

/// The numbers of a region, while a handle is encoded.
pub(crate) fn export<E: serde::ser::Error>(region: &Region) -> Result<RegionId, E> {
    fork::check().and_then(|()| transit::export(region)).map_err(|error| {
        reason::leave(error.to_string());
        E::custom(error)
    })
}

/// Opens a region while a handle is decoded.
pub(crate) fn import<E: serde::de::Error>(id: RegionId) -> Result<Region, E> {
    Region::open(id).map_err(refused)?.ok_or_else(|| {
        GONE.set(true);
        refused("it holds a handle to what no process holds any more")
    })
}

/// The error of a handle that cannot be decoded for this reason.
pub(crate) fn refused<E: serde::de::Error>(reason: impl ToString) -> E {
    let reason = reason.to_string();
    reason::leave(reason.clone());
    E::custom(reason)
}

/// As [`import`], of a region that was created for contents of this kind.
pub(crate) fn import_of<E: serde::de::Error>(id: RegionId, kind: u64) -> Result<Region, E> {
    let region = import::<E>(id)?;
    if region.kind() == kind {
        Ok(region)
    } else {
        Err(refused("it is a handle to something of another type"))
    }
}

/// Forgets, on this thread, that a handle was gone.
#[inline]
pub(crate) fn forget_gone() {
    GONE.set(false);
}

/// Whether, on this thread, a handle decoded since [`forget_gone`] was gone. The encoding's own
/// error cannot say so.
pub(crate) fn was_gone() -> bool {
    GONE.get()
}
