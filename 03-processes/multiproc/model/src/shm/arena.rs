//! In place of `shm/arena`: regions of memory that is zero at the beginning of an execution.

use std::io;
use std::os::fd::BorrowedFd;

use serde::{Deserialize, Serialize};

use super::mapping::Mapping;
use crate::sys::mmap;

#[derive(Debug, Clone)]
pub(crate) struct Region(i32);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct RegionId(i32);

impl Region {
    pub(crate) fn create(_len: u64) -> io::Result<Region> {
        Ok(Region(mmap::new_region()))
    }

    pub(crate) fn create_split(len: u64) -> io::Result<Region> {
        Region::create(len)
    }

    pub(crate) fn map(&self, offset: u64, len: usize) -> io::Result<Mapping> {
        Mapping::new(self.file(), offset, len)
    }

    #[allow(unsafe_code)]
    fn file(&self) -> BorrowedFd<'static> {
        // SAFETY: the model's `mmap` is the only one who gets it, and takes it for a number.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }

    pub(crate) fn discard(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn discard_around(&self, _offset: u64, _len: u64, _kept: u64) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn id(&self) -> RegionId {
        RegionId(self.0)
    }

    pub(crate) fn open(id: RegionId) -> Region {
        Region(id.0)
    }
}
