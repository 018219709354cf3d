//! What both ends of a ring hold: the memory, and how an end is encoded.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::shm::arena::{Region, RegionId};
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::event_count::EventCount;
use crate::shm::event_count::word::EventWord;
use crate::shm::handle;
use crate::shm::mapping::{Line, Mapping, shared_struct};
use crate::sys::fork;

/// Where the bytes begin.
pub(super) const DATA_AT: usize = 4096;
/// A message begins with its length.
pub(super) const PREFIX: usize = 8;

shared_struct! {
    /// At the beginning of the ring's region. Zeros are an empty ring.
    pub(super) struct Header {
        /// The bytes ever written. The writer's.
        tail: Line<AtomicU64>,
        /// The bytes ever read. The reader's.
        head: Line<AtomicU64>,
        closed: Line<AtomicU32>,
        /// Notified when something was written.
        data: Line<EventWord>,
        /// Notified when something was read.
        space: Line<EventWord>,
    }
}

/// What both ends hold.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    region: Region,
    pub(super) memory: Arc<Mapping>,
    pub(super) capacity: usize,
    /// Event counts in place of the ring's own.
    data: Option<EventCount>,
    space: Option<EventCount>,
}

impl Ends {
    pub(super) fn at(
        region: Region,
        capacity: usize,
        data: Option<EventCount>,
        space: Option<EventCount>,
    ) -> io::Result<Ends> {
        let memory = Arc::new(region.map(0, DATA_AT + capacity)?);
        Ok(Ends { region, memory, capacity, data, space })
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        self.memory.get(0)
    }

    #[inline]
    pub(super) fn data_event(&self) -> &EventWord {
        self.data.as_ref().map_or_else(|| &*self.header().data, EventCount::word)
    }

    #[inline]
    pub(super) fn space_event(&self) -> &EventWord {
        self.space.as_ref().map_or_else(|| &*self.header().space, EventCount::word)
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.header().closed.load(Ordering::Acquire) != 0
    }

    pub(super) fn close(&self) {
        if fork::is_fork() {
            return;
        }
        self.header().closed.store(1, Ordering::Release);
        self.data_event().notify_all();
        self.space_event().notify_all();
    }

    /// Where the bytes at `position` lie, and how many follow before the ring's end.
    #[inline]
    pub(super) fn locate(&self, position: u64) -> (usize, usize) {
        let offset = position as usize & (self.capacity - 1);
        (DATA_AT + offset, self.capacity - offset)
    }
}

/// Closes a ring from outside, from any thread: when the process at its other end has died, for
/// instance.
#[derive(Debug, Clone)]
pub struct Closer(pub(super) Ends);

impl Closer {
    /// Closes the ring and wakes both ends.
    pub fn close(&self) {
        self.0.close();
    }
}

/// How an end travels.
#[derive(Serialize, Deserialize)]
struct Wire {
    region: RegionId,
    capacity: u64,
    data: Option<RegionId>,
    space: Option<RegionId>,
}

impl Ends {
    pub(super) fn export<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = |event: &Option<EventCount>| {
            event.as_ref().map(EventCount::export::<S::Error>).transpose()
        };
        let wire = Wire {
            region: handle::export(&self.region)?,
            capacity: self.capacity as u64,
            data: event(&self.data)?,
            space: event(&self.space)?,
        };
        wire.serialize(serializer)
    }

    pub(super) fn import<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ends, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let event = |id: Option<RegionId>| id.map(EventCount::import::<D::Error>).transpose();
        let capacity =
            usize::try_from(wire.capacity).ok().filter(|capacity| capacity.is_power_of_two());
        let capacity = capacity.ok_or_else(|| {
            de::Error::custom("the capacity of a ring is invalid: expected a power of two")
        })?;
        Ends::at(handle::import(wire.region)?, capacity, event(wire.data)?, event(wire.space)?)
            .map_err(de::Error::custom)
    }
}
