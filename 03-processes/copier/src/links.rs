//! What waits until all else is known or done: files with several names, and what directories get
//! last.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, chmodat, fstat};
use rustix::io::Errno;

use super::dir_path::DirPath;
use super::parcel::{NAMES, Parcel, Settings, Tree};
use super::place::{self, Place};
use super::{Failure, meta};

/// Files with several names: the names found so far, a parcel for each.
#[derive(Default)]
pub(super) struct Linked {
    /// By device and inode, in the order in which the first name was found: so names in directories
    /// near to each other are dealt with one after the other.
    files: Vec<((u64, u64), Vec<Parcel>)>,
    known: HashMap<(u64, u64), usize>,
}

impl Linked {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// One more name.
    pub(super) fn add(&mut self, inode: (u64, u64), name: Parcel) {
        let next = self.files.len();
        match self.known.entry(inode) {
            Entry::Occupied(file) => self.files[*file.get()].1.push(name),
            Entry::Vacant(file) => {
                file.insert(next);
                self.files.push((inode, vec![name]));
            }
        }
    }

    /// Parcels for all of them, when all names are known.
    ///
    /// The names of one file travel together. Those that are the only one of their file here travel
    /// as any others of their directory.
    pub(super) fn into_parcels(self) -> Vec<Parcel> {
        let mut parcels: Vec<Parcel> = Vec::new();
        // By tree and directory: the last parcel of such names, and how many it has.
        let mut alone = HashMap::new();
        for (inode, group) in self.files {
            let mut names = group.into_iter().map(|one| Parcel { take_linked: true, inode, ..one });
            let Some(first) = names.next() else { continue };
            let further: Vec<Parcel> = names.collect();
            if !further.is_empty() || first.renamed.is_some() {
                parcels.push(Parcel { further, ..first });
                continue;
            }
            let next = (parcels.len(), 1);
            let place = (Arc::as_ptr(&first.tree), first.folder.address());
            let (at, count) = alone.entry(place).or_insert(next);
            if *at == next.0 || *count == NAMES {
                (*at, *count) = next;
                parcels.push(first);
            } else {
                *count += 1;
                parcels[*at].names.extend(&first.names);
            }
        }
        parcels
    }
}

/// A directory that is to get its mode, and with `preserve` its times and so on, when nothing more
/// is put into it.
pub(super) struct LateFolder {
    pub(super) tree: Arc<Tree>,
    pub(super) folder: DirPath,
    pub(super) target_folder: DirPath,
}

/// Finishes a directory. Those inside others come first.
pub(super) fn finish_folder(
    (source, target): &mut (Place, Place),
    settings: &Settings,
    late: &LateFolder,
) -> Result<(), Failure> {
    let LateFolder { tree, folder, target_folder } = late;
    let finished = (|| {
        let from = source.open(&tree.source, folder)?;
        let stat = fstat(from)?;
        let to = target.open(&tree.target, target_folder)?;
        if settings.preserve {
            let from = place::open_to_read(from, c".")?;
            let to = readable(to)?;
            return meta::keep(from.as_fd(), to.as_fd(), &stat);
        }
        let got = fstat(to)?.st_mode & 0o7777;
        let mode = got & !0o700 | stat.st_mode & !settings.umask & 0o700;
        Ok(chmodat(CWD, place::path_of(to), Mode::from_raw_mode(mode), AtFlags::empty())?)
    })();
    finished.map_err(|error| {
        let path = folder.below(&tree.source.path, None);
        let path = PathBuf::from(OsString::from_vec(path));
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        let error = errno.map_or_else(|| error.to_string(), place::describe);
        Failure { path, reason: format!("copied, but it cannot be finished: {error}") }
    })
}

/// Opens a directory that is open for looking up names in such a way that it can be changed,
/// whatever its mode is.
fn readable(folder: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let opened = place::open_to_read(folder, c".");
    if opened.as_ref().err() != Some(&Errno::ACCESS) {
        return opened;
    }
    let before = Mode::from_raw_mode(fstat(folder)?.st_mode & 0o7777);
    chmodat(CWD, place::path_of(folder), before | Mode::RWXU, AtFlags::empty())?;
    place::open_to_read(folder, c".")
}
