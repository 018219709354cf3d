//! What is done when the files are there: further names of files that have several, and what folders get last.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fchmod, fstat, linkat, openat, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;

use super::parcel::{Parcel, Settings};
use super::place::{self, Place, join};
use super::worker::{EXISTS, same_contents};
use super::{Failure, OnExists, Summary, meta};

fn source_path(parcel: &Parcel) -> PathBuf {
    let path = join(&parcel.source, &join(&parcel.folder, &parcel.name(0)));
    PathBuf::from(OsStr::from_bytes(&path))
}

fn target_name(parcel: &Parcel) -> CString {
    let name = parcel.renamed.clone().unwrap_or_else(|| parcel.name(0));
    CString::new(name).unwrap_or_default()
}

/// Looks at the name in the target.
fn target_stat(place: &mut Place, parcel: &Parcel) -> rustix::io::Result<Stat> {
    let folder = place.open(&parcel.target, &parcel.folder)?;
    statat(folder, target_name(parcel), AtFlags::SYMLINK_NOFOLLOW)
}

/// Which of a file's names is to be copied, the others being made links to it. One that an earlier run has copied, if there is one: else the names would
/// become two files.
pub(super) fn choose(settings: &Settings, group: &[Parcel]) -> usize {
    let there = |parcel: &Parcel| is_copied(parcel).unwrap_or(false);
    let looks = settings.on_exists != OnExists::Overwrite;
    looks.then(|| group.iter().position(there)).flatten().unwrap_or(0)
}

fn is_copied(parcel: &Parcel) -> rustix::io::Result<bool> {
    let (mut source, mut target) = (Place::default(), Place::default());
    let there = target_stat(&mut target, parcel)?;
    let folder = source.open(&parcel.source, &parcel.folder)?;
    let name = CString::new(parcel.name(0)).unwrap_or_default();
    let original = statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_file = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_file(&there) || !is_file(&original) || there.st_size != original.st_size {
        return Ok(false);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let original = openat(folder, &name, flags, Mode::empty())?;
    let copy = target.open(&parcel.target, &parcel.folder)?;
    let copy = openat(copy, target_name(parcel), flags, Mode::empty())?;
    same_contents(original.as_fd(), copy.as_fd())
}

/// Gives the copy of a group's first name its other names. Returns how many names are dealt with.
pub(super) fn link(
    (first_place, place): &mut (Place, Place),
    settings: &Settings,
    group: &[Parcel],
    summary: &mut Summary,
) -> u64 {
    let Some((first, others)) = group.split_first() else { return 0 };
    let original = target_stat(first_place, first);
    for other in others {
        let linked = original.and_then(|original| {
            let folder = first_place.open(&first.target, &first.folder)?;
            let target = place.open(&other.target, &other.folder)?;
            link_one(settings, (folder, first, &original), (target, other))
        });
        match linked {
            Ok(true) => summary.links += 1,
            Ok(false) => summary.skipped += 1,
            Err(errno) => {
                let reason = match errno {
                    Errno::EXIST => EXISTS.to_owned(),
                    _ => format!(
                        "it cannot be linked to {:?}: {}",
                        source_path(first),
                        io::Error::from(errno)
                    ),
                };
                summary.failures.push(Failure { path: source_path(other), reason });
            }
        }
    }
    others.len() as u64
}

/// Whether it was linked now, or skipped.
fn link_one(
    settings: &Settings,
    (folder, first, original): (BorrowedFd<'_>, &Parcel, &Stat),
    (target, other): (BorrowedFd<'_>, &Parcel),
) -> rustix::io::Result<bool> {
    let (from, to) = (target_name(first), target_name(other));
    let link = |name: &CString| linkat(folder, &from, target, name, AtFlags::empty());
    match link(&to) {
        Err(Errno::EXIST) => {}
        linked => return linked.map(|()| true),
    }
    let there = statat(target, &to, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_it = (there.st_dev, there.st_ino) == (original.st_dev, original.st_ino);
    match settings.on_exists {
        OnExists::Skip => Ok(false),
        OnExists::Overwrite if is_it => Ok(false),
        OnExists::Fail => Err(Errno::EXIST),
        OnExists::Overwrite => {
            let temporary = place::temporary(&settings.prefix, other.id, Some(0));
            link(&temporary)?;
            renameat(target, &temporary, target, &to).inspect_err(|_| {
                let _ = unlinkat(target, &temporary, AtFlags::empty());
            })?;
            Ok(true)
        }
    }
}

/// A folder that is to get its mode, and with `preserve` its times and so on, when nothing more is put into it.
pub(super) struct LateFolder {
    pub(super) source: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) folder: Vec<u8>,
}

/// Finishes folders, those inside others first.
pub(super) fn finish_folders(
    (source, target): &mut (Place, Place),
    preserve: bool,
    folders: &[LateFolder],
    summary: &mut Summary,
) {
    for late in folders.iter().rev() {
        let finished = (|| {
            let from = source.open(&late.source, &late.folder)?;
            let stat = fstat(from)?;
            // By another way: what is open for looking up names cannot be changed.
            let to = target.open(&late.target, &late.folder)?;
            let to = place::open_to_read(to, c".")?;
            if preserve {
                let from = place::open_to_read(from, c".")?;
                return meta::keep(from.as_fd(), to.as_fd(), &stat);
            }
            let got = fstat(&to)?.st_mode & 0o7777;
            fchmod(&to, Mode::from_raw_mode(got & !(0o700 & !stat.st_mode)))?;
            Ok(())
        })();
        if let Err(error) = finished {
            let path = join(&late.source, &late.folder);
            let path = PathBuf::from(OsStr::from_bytes(&path));
            summary.failures.push(Failure { path, reason: format!("copied, but {error}") });
        }
    }
}
