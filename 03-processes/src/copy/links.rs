//! What waits until all else is known or done: files with several names, and what directories get last.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Mode, chmodat, fstat};
use rustix::io::Errno;

use super::parcel::{NAMES, Parcel, Settings, Tree};
use super::place::{self, Place, join};
use super::{Failure, meta};

/// Parcels for files with several names, all of which are known by now; each of `linked` has one name.
///
/// The names of one file travel together. Those that are the only one of their file here travel as any others of their directory.
pub(super) fn parcels(linked: BTreeMap<(u64, u64), Vec<Parcel>>) -> Vec<Parcel> {
    let mut parcels = Vec::new();
    let mut alone: BTreeMap<(Tree, Vec<u8>), Parcel> = BTreeMap::new();
    for (inode, group) in linked {
        let mut names = group.into_iter().map(|one| Parcel { take_linked: true, inode, ..one });
        let Some(first) = names.next() else { continue };
        let further: Vec<Parcel> = names.collect();
        if !further.is_empty() || first.renamed.is_some() {
            parcels.push(Parcel { further, ..first });
            continue;
        }
        let place = (first.tree.clone(), first.folder.clone());
        match alone.get_mut(&place) {
            Some(others) if others.names().count() < NAMES => others.names.extend(&first.names),
            _ => parcels.extend(alone.insert(place, first)),
        }
    }
    parcels.extend(alone.into_values());
    parcels
}

/// A directory that is to get its mode, and with `preserve` its times and so on, when nothing more is put into it.
pub(super) struct LateFolder {
    pub(super) tree: Tree,
    pub(super) folder: Vec<u8>,
}

/// Finishes a directory. Those inside others come first.
pub(super) fn finish_folder(
    (source, target): &mut (Place, Place),
    settings: &Settings,
    late: &LateFolder,
) -> Result<(), Failure> {
    let LateFolder { tree, folder } = late;
    let finished = (|| {
        let from = source.open(&tree.source, folder)?;
        let stat = fstat(from)?;
        let to = target.open(&tree.target, &tree.target_folder(folder))?;
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
        let path = join(&tree.source.path, folder);
        let path = PathBuf::from(OsStr::from_bytes(&path));
        Failure { path, reason: format!("copied, but {error}") }
    })
}

/// Opens a directory that is open for looking up names in such a way that it can be changed, whatever its mode is.
fn readable(folder: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let opened = place::open_to_read(folder, c".");
    if opened.as_ref().err() != Some(&Errno::ACCESS) {
        return opened;
    }
    let before = Mode::from_raw_mode(fstat(folder)?.st_mode & 0o7777);
    chmodat(CWD, place::path_of(folder), before | Mode::RWXU, AtFlags::empty())?;
    place::open_to_read(folder, c".")
}
