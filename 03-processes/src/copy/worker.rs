//! The worker's side: copies the files of a parcel.
//!
//! A file is written under a temporary name in the folder where it will be, and renamed when it is whole. Where the folder is not there yet and the
//! parcel is all that is in it, the folder has the temporary name instead: one renaming for up to 128 files. Renaming each would be
//! a third of what a small file costs.

use std::ffi::CStr;
use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, SeekFrom, Stat, copy_file_range, fchmod, fstat,
    ftruncate, linkat, mkdirat, mknodat, openat, readlinkat, renameat, renameat_with, seek, statat,
    symlinkat, unlinkat,
};
use rustix::io::{Errno, read, write};

use super::parcel::{BUDGET, Ground, NAMES, Outcome, Parcel, Settings};
use super::place::{self, Place, parent, temporary};
use super::slots::{Slot, Slots};
use super::{OnExists, meta};

/// Bytes of one file after which a worker looks up.
const PIECE: u64 = 16 << 20;
/// The buffer where the kernel cannot copy by itself.
const BUFFER: usize = 256 << 10;
/// Files up to this length are read and written where that is allowed to be one call more: for a page it takes a tenth less time than having the kernel copy.
const SHORT: u64 = 16 << 10;
/// Files longer than this are looked at once more when they are copied: they may have changed meanwhile.
const LOOK_AGAIN: u64 = 64 << 10;
/// A position that no file has: the folder itself.
pub(super) const FOLDER: usize = NAMES;
/// How often a file that changes while it is copied is copied.
const ATTEMPTS: u32 = 3;

/// Copies parcels, one after the other.
pub(super) struct Copier {
    settings: Settings,
    source: Place,
    target: Place,
    pump: Pump,
}

/// What became of one name.
enum Done {
    File(u64),
    Other,
    Skipped,
    /// Not copied, since it has several names: its device and inode.
    Linked((u64, u64)),
}

/// Why a name was not copied.
enum Trouble {
    Failed(String),
    /// There is no room for anything more.
    Full(String),
    Stopped,
}

/// Says what did not work, and why.
fn failed(what: impl Display) -> impl FnOnce(Errno) -> Trouble {
    move |errno| {
        let text = format!("{what}: {}", io::Error::from(errno));
        match errno {
            Errno::NOSPC | Errno::DQUOT => Trouble::Full(text),
            _ => Trouble::Failed(text),
        }
    }
}

/// Another file is where this one is to be.
pub(super) const EXISTS: &str = "it is there already";

impl Copier {
    pub(super) fn new(settings: Settings) -> Self {
        let pump = Pump { by_kernel: true, by_hand: false, buffer: Vec::new() };
        Self { settings, source: Place::default(), target: Place::default(), pump }
    }

    /// Copies a parcel, or as much of it as its budget allows.
    pub(super) fn run(&mut self, slots: &Slots, slot: usize, parcel: &Parcel) -> Outcome {
        self.pump.by_kernel = true; // these may be other file systems
        let slot = slots.slot(slot);
        let again = slot.begin();
        let mut outcome = Outcome::default();
        let ran = match parcel.ground {
            Ground::Unmade => self.fill_new_folder(slots, slot, parcel, again, &mut outcome),
            _ => self.fill(slots, slot, parcel, [again, false], &mut outcome),
        };
        // Trouble with the folder: nothing in it can be copied.
        match ran {
            Ok(()) => {}
            Err(Trouble::Stopped) => outcome.rest = Some(0),
            Err(Trouble::Failed(text)) => {
                let all = (0..parcel.names().count()).map(|position| (position, text.clone()));
                outcome = Outcome { failures: all.collect(), ..Outcome::default() };
            }
            Err(Trouble::Full(text)) => {
                outcome = Outcome { failures: vec![(0, text)], full: true, ..Outcome::default() };
            }
        }
        outcome
    }

    /// Copies into a folder that is there.
    fn fill(
        &mut self,
        slots: &Slots,
        slot: &Slot,
        parcel: &Parcel,
        [again, folder_again]: [bool; 2],
        outcome: &mut Outcome,
    ) -> Result<(), Trouble> {
        let from = self.source.open(&parcel.source, &parcel.folder);
        let from = from.map_err(failed("its folder cannot be opened"))?;
        let to = self.target.open(&parcel.target, &parcel.folder);
        let to = to.map_err(failed("its new folder cannot be opened"))?;
        let (settings, pump) = (&self.settings, &mut self.pump);
        let is_private = false;
        let work =
            Work { settings, slots, slot, parcel, from, to, is_private, again, folder_again, pump };
        work.run(outcome);
        Ok(())
    }

    /// Makes a folder with all that is in it: under a temporary name first.
    fn fill_new_folder(
        &mut self,
        slots: &Slots,
        slot: &Slot,
        parcel: &Parcel,
        again: bool,
        outcome: &mut Outcome,
    ) -> Result<(), Trouble> {
        let (above, name) = parent(&parcel.folder);
        let from = self.source.open(&parcel.source, &parcel.folder);
        let from = from.map_err(failed("its folder cannot be opened"))?;
        let above = self.target.open(&parcel.target, above);
        let above = above.map_err(failed("its new folder cannot be opened"))?;
        let temporary = temporary(&self.settings.prefix, parcel.id, None);
        let no_folder = || failed("its new folder cannot be made");

        let stat = fstat(from).map_err(no_folder())?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o777) | Mode::RWXU;
        let mut made = mkdirat(above, &temporary, mode);
        if made == Err(Errno::EXIST) {
            // A worker that died has left it.
            place::remove_folder(above, &temporary).map_err(no_folder())?;
            made = mkdirat(above, &temporary, mode);
        }
        made.map_err(no_folder())?;
        let remove = |trouble| {
            let _ = place::remove_folder(above, &temporary);
            trouble
        };
        let to = place::open_to_read(above, &temporary)
            .and_then(|to| place::lock(to.as_fd()).map(|()| to));
        let to = to.map_err(no_folder()).map_err(remove)?;

        let (settings, pump) = (&self.settings, &mut self.pump);
        let (is_private, folder_again, to) = (true, false, to.as_fd());
        let work =
            Work { settings, slots, slot, parcel, from, to, is_private, again, folder_again, pump };
        let placed = work.run(outcome);
        if slots.is_stopped() && outcome.files + outcome.others == 0 {
            return Err(remove(Trouble::Stopped));
        }
        // What could be copied gets its place, whatever happened to the rest.
        let begun_before = again && slot.was_renaming(FOLDER);
        slot.mark_renaming(FOLDER);
        match put_in_place(above, &temporary, name) {
            Ok(()) => {
                outcome.folders += 1;
                placed.into_iter().for_each(|position| slot.mark_done(position));
                Ok(())
            }
            // By the worker that died, or by somebody else: as with any folder that is there.
            Err(Errno::EXIST | Errno::NOTEMPTY) => {
                let _ = place::remove_folder(above, &temporary);
                *outcome = Outcome { folders: u64::from(begun_before), ..Outcome::default() };
                let used = Parcel { ground: Ground::Used, ..parcel.clone() };
                self.fill(slots, slot, &used, [again, again], outcome)
            }
            Err(errno) => Err(remove(no_folder()(errno))),
        }
    }
}

/// Renames, unless there is something of that name.
fn put_in_place(
    folder: BorrowedFd<'_>,
    temporary: &CStr,
    name: impl rustix::path::Arg + Copy,
) -> rustix::io::Result<()> {
    match renameat_with(folder, temporary, folder, name, RenameFlags::NOREPLACE) {
        // Not every file system can. What is no folder can have a second name for a moment instead.
        Err(Errno::INVAL | Errno::NOSYS) => {
            match linkat(folder, temporary, folder, name, AtFlags::empty()) {
                Ok(()) => unlinkat(folder, temporary, AtFlags::empty()),
                Err(Errno::EXIST) => Err(Errno::EXIST),
                Err(_) if statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() => {
                    Err(Errno::EXIST)
                }
                Err(_) => renameat(folder, temporary, folder, name),
            }
        }
        result => result,
    }
}

/// A parcel at work.
struct Work<'a> {
    settings: &'a Settings,
    slots: &'a Slots,
    slot: &'a Slot,
    parcel: &'a Parcel,
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    /// Whether the folder itself has a temporary name: then its files need none.
    is_private: bool,
    /// Whether a worker that is dead now has begun this parcel, and whether it may have put everything in its place.
    again: bool,
    folder_again: bool,
    pump: &'a mut Pump,
}

impl Work<'_> {
    /// The positions of what has its copy now, in the folder it was written to.
    fn run(mut self, outcome: &mut Outcome) -> Vec<usize> {
        let (parcel, mut count, mut placed) = (self.parcel, 0, Vec::with_capacity(NAMES));
        let total = parcel.names().count();
        for (position, (kind, name)) in parcel.names().enumerate() {
            if self.slots.is_stopped() {
                outcome.rest = Some(position);
                return placed;
            }
            let new_name = parcel.renamed.as_ref().map(|name| [&name[..], b"\0"].concat());
            let new_name = new_name.as_ref().and_then(|name| CStr::from_bytes_with_nul(name).ok());
            let new_name = new_name.unwrap_or(name);
            let done = if self.slot.is_done(position) && !self.is_private {
                self.as_it_is(new_name)
            } else {
                self.copy(position, kind, name, new_name, outcome)
            };
            if matches!(done, Ok(Done::File(_) | Done::Other)) {
                placed.push(position);
            }
            match done {
                Ok(Done::File(bytes)) => {
                    outcome.files += 1;
                    outcome.bytes += bytes;
                }
                Ok(Done::Other) => outcome.others += 1,
                Ok(Done::Skipped) => outcome.skipped += 1,
                Ok(Done::Linked(inode)) => outcome.linked.push((position, inode)),
                Err(Trouble::Failed(text)) => outcome.failures.push((position, text)),
                Err(Trouble::Full(text)) => {
                    outcome.failures.push((position, text));
                    (outcome.full, outcome.rest) = (true, Some(position + 1));
                    return placed;
                }
                Err(Trouble::Stopped) => {
                    outcome.rest = Some(position);
                    return placed;
                }
            }
            count += 1;
            self.slot.report(count, outcome.bytes);
            if outcome.bytes >= BUDGET && position + 1 < total {
                outcome.rest = Some(position + 1);
                return placed;
            }
        }
        placed
    }

    /// A file that a worker, dead now, has put in its place.
    fn as_it_is(&self, name: &CStr) -> Result<Done, Trouble> {
        let stat = statat(self.to, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(failed("its copy is gone"))?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Done::File(stat.st_size.cast_unsigned()),
            _ => Done::Other,
        })
    }

    fn copy(
        &mut self,
        position: usize,
        kind: u8,
        name: &CStr,
        new_name: &CStr,
        outcome: &mut Outcome,
    ) -> Result<Done, Trouble> {
        if kind == b'f' {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
            let opened = openat(self.from, name, flags | OFlags::CLOEXEC, Mode::empty());
            match opened {
                // It is something else by now.
                Err(Errno::LOOP | Errno::NXIO) => {}
                opened => {
                    let file = opened.map_err(failed("it cannot be read"))?;
                    let stat = fstat(&file).map_err(failed("it cannot be read"))?;
                    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                        return self.file(position, file.as_fd(), stat, new_name, outcome);
                    }
                }
            }
        }
        let stat = statat(self.from, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(failed("it cannot be read"))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                Err(Trouble::Failed("it became a folder while it was being copied".into()))
            }
            FileType::RegularFile if kind != b'f' => {
                self.copy(position, b'f', name, new_name, outcome)
            }
            FileType::RegularFile => Err(Trouble::Failed(CHANGED.into())),
            _ => self.node(position, name, &stat, new_name),
        }
    }

    /// Whether something is in the way, or all that is to be done.
    fn in_the_way(
        &mut self,
        position: usize,
        source: Option<BorrowedFd<'_>>,
        stat: &Stat,
        name: &CStr,
    ) -> Result<Option<Done>, Trouble> {
        let Ok(there) = statat(self.to, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(None);
        };
        if (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino) {
            return Err(Trouble::Failed("it and its target are the same file".into()));
        }
        // What the dead worker put there just before it could say so.
        if self.again && (self.folder_again || self.slot.was_renaming(position)) {
            match source {
                Some(source) if self.is_same(source, name) => {
                    return Ok(Some(Done::File(there.st_size.cast_unsigned())));
                }
                None if there.st_mode == stat.st_mode => return Ok(Some(Done::Other)),
                _ => {}
            }
        }
        let is_folder = FileType::from_raw_mode(there.st_mode) == FileType::Directory;
        match self.settings.on_exists {
            OnExists::Skip => Ok(Some(Done::Skipped)),
            OnExists::Fail => Err(Trouble::Failed(EXISTS.into())),
            OnExists::Overwrite if is_folder => {
                Err(Trouble::Failed("a folder of that name is in its place".into()))
            }
            OnExists::Overwrite => Ok(None),
        }
    }

    fn is_same(&self, source: BorrowedFd<'_>, name: &CStr) -> bool {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let copy = openat(self.to, name, flags, Mode::empty());
        let same = copy.is_ok_and(|copy| same_contents(source, copy.as_fd()).unwrap_or(false));
        let _ = seek(source, SeekFrom::Start(0));
        same
    }

    fn file(
        &mut self,
        position: usize,
        from: BorrowedFd<'_>,
        mut stat: Stat,
        name: &CStr,
        outcome: &mut Outcome,
    ) -> Result<Done, Trouble> {
        if stat.st_nlink > 1 && !self.parcel.take_linked {
            return Ok(Done::Linked((stat.st_dev, stat.st_ino)));
        }
        if (self.parcel.ground == Ground::Used || self.again)
            && !self.is_private
            && let Some(done) = self.in_the_way(position, Some(from), &stat, name)?
        {
            return Ok(done);
        }
        let temporary = (!self.is_private)
            .then(|| temporary(&self.settings.prefix, self.parcel.id, Some(position)));
        let at = temporary.as_deref().unwrap_or(name);
        let (preserve, asked) = (self.settings.preserve, stat.st_mode & 0o777);
        // For us to write, and to clean up if we are killed; for nobody else before it is whole, if the mode comes last.
        let mode = 0o600 | if preserve { 0 } else { asked };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let create = || openat(self.to, at, flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode));
        let mut created = create();
        if created.as_ref().err() == Some(&Errno::EXIST) && temporary.is_some() {
            let _ = unlinkat(self.to, at, AtFlags::empty()); // left by a worker that died
            created = create();
        }
        let to = created.map_err(failed("it cannot be created"))?;
        let written = (|| {
            if temporary.is_some() {
                place::lock(to.as_fd()).map_err(failed("it cannot be locked"))?;
            }
            let before = outcome.bytes;
            let files = (outcome.files + outcome.others + outcome.skipped)
                + (outcome.failures.len() + outcome.linked.len()) as u64;
            let mut look_up = |bytes| {
                self.slot.report(files, before + bytes);
                !self.slots.is_stopped()
            };
            self.pump.by_hand = self.is_private && stat.st_size.cast_unsigned() <= SHORT;
            let mut bytes = None;
            for _ in 0..ATTEMPTS {
                let copied = self.pump.copy(from, to.as_fd(), &stat, &mut look_up)?;
                if copied == stat.st_size.cast_unsigned() && copied <= LOOK_AGAIN
                    || stat.st_size == 0
                {
                    bytes = Some(copied);
                    break;
                }
                let now = fstat(from).map_err(failed("it cannot be read"))?;
                let version = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
                if copied == stat.st_size.cast_unsigned() && version(&now) == version(&stat) {
                    bytes = Some(copied);
                    break;
                }
                stat = now;
                ftruncate(&to, 0).map_err(failed("it cannot be written"))?;
                for fd in [from, to.as_fd()] {
                    seek(fd, SeekFrom::Start(0)).map_err(failed("it cannot be written"))?;
                }
            }
            let bytes = bytes.ok_or_else(|| Trouble::Failed(CHANGED.into()))?;
            let mut but = None;
            if preserve {
                but = meta::keep(from, to.as_fd(), &stat).err();
            } else if asked & 0o600 != 0o600 {
                let got = fstat(&to).map_err(failed("its mode cannot be set"))?.st_mode & 0o7777;
                let mode = Mode::from_raw_mode(got & !(0o600 & !asked));
                fchmod(&to, mode).map_err(failed("its mode cannot be set"))?;
            }
            Ok((bytes, but))
        })();
        let placed = written.and_then(|(bytes, but)| {
            if temporary.is_some() {
                self.rename(position, at, name)?;
            }
            Ok((bytes, but))
        });
        match placed {
            Ok((bytes, but)) => {
                if let Some(error) = but {
                    outcome.failures.push((position, format!("copied, but {error}")));
                }
                Ok(Done::File(bytes))
            }
            Err(trouble) => {
                let _ = unlinkat(self.to, at, AtFlags::empty());
                Err(trouble)
            }
        }
    }

    /// Puts what is whole under its name.
    fn rename(&self, position: usize, temporary: &CStr, name: &CStr) -> Result<(), Trouble> {
        self.slot.mark_renaming(position);
        let renamed = match self.settings.on_exists {
            OnExists::Overwrite => renameat(self.to, temporary, self.to, name),
            _ => put_in_place(self.to, temporary, name),
        };
        match renamed {
            Ok(()) => {
                self.slot.mark_done(position);
                Ok(())
            }
            // It was not there before: somebody else was quicker.
            Err(Errno::EXIST) => Err(Trouble::Failed(EXISTS.into())),
            Err(errno) => Err(failed("it cannot be put in its place")(errno)),
        }
    }

    /// What has no contents is made anew, not read.
    fn node(
        &mut self,
        position: usize,
        name: &CStr,
        stat: &Stat,
        new_name: &CStr,
    ) -> Result<Done, Trouble> {
        if stat.st_nlink > 1 && !self.parcel.take_linked {
            return Ok(Done::Linked((stat.st_dev, stat.st_ino)));
        }
        if (self.parcel.ground == Ground::Used || self.again)
            && !self.is_private
            && let Some(done) = self.in_the_way(position, None, stat, new_name)?
        {
            return Ok(done);
        }
        if self.is_private {
            self.make(self.to, name, stat, new_name)?;
            return Ok(Done::Other);
        }
        // It has nothing that could be locked, so it is made in a folder that has.
        let temporary = temporary(&self.settings.prefix, self.parcel.id, Some(position));
        if mkdirat(self.to, &temporary, Mode::RWXU) == Err(Errno::EXIST) {
            place::remove_folder(self.to, &temporary).map_err(failed("it cannot be made"))?;
            mkdirat(self.to, &temporary, Mode::RWXU).map_err(failed("it cannot be made"))?;
        }
        let made = (|| {
            let inner =
                place::open_to_read(self.to, &temporary).map_err(failed("it cannot be made"))?;
            place::lock(inner.as_fd()).map_err(failed("it cannot be made"))?;
            self.make(inner.as_fd(), name, stat, c"node")?;
            self.slot.mark_renaming(position);
            let flags = match self.settings.on_exists {
                OnExists::Overwrite => RenameFlags::empty(),
                _ => RenameFlags::NOREPLACE,
            };
            let mut renamed = renameat_with(&inner, c"node", self.to, new_name, flags);
            if renamed == Err(Errno::INVAL) {
                renamed = renameat(&inner, c"node", self.to, new_name);
            }
            match renamed {
                Err(Errno::EXIST) => Err(Trouble::Failed(EXISTS.into())),
                renamed => renamed.map_err(failed("it cannot be put in its place")),
            }?;
            self.slot.mark_done(position);
            Ok(Done::Other)
        })();
        let _ = place::remove_folder(self.to, &temporary);
        made
    }

    fn make(
        &self,
        folder: BorrowedFd<'_>,
        name: &CStr,
        stat: &Stat,
        new_name: &CStr,
    ) -> Result<(), Trouble> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mode = Mode::from_raw_mode(stat.st_mode & 0o777);
        let made = match kind {
            FileType::Symlink => readlinkat(self.from, name, Vec::new())
                .and_then(|target| symlinkat(&target, folder, new_name)),
            _ => mknodat(folder, new_name, kind, mode, stat.st_rdev),
        };
        match (kind, made) {
            (FileType::CharacterDevice | FileType::BlockDevice, Err(Errno::PERM)) => {
                Err(Trouble::Failed("skipped: a device node, which only root may make".into()))
            }
            (_, made) => made.map_err(failed("it cannot be made")),
        }?;
        if self.settings.preserve {
            meta::keep_node(folder, new_name, stat).map_err(failed("it cannot be made"))?;
        }
        Ok(())
    }
}

const CHANGED: &str = "it changed while it was being copied";

/// Moves bytes from one file to another.
struct Pump {
    /// Whether the kernel copies between these two file systems by itself.
    by_kernel: bool,
    /// Whether not to ask it.
    by_hand: bool,
    buffer: Vec<u8>,
}

impl Pump {
    /// Copies a file's contents, holes as holes; how far it came, which is less than its size if it has become shorter.
    fn copy(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        stat: &Stat,
        look_up: &mut dyn FnMut(u64) -> bool,
    ) -> Result<u64, Trouble> {
        let size = stat.st_size.cast_unsigned();
        if stat.st_blocks.cast_unsigned() * 512 >= size {
            // What says it is empty may have contents all the same: files of /proc.
            let end = if size == 0 { u64::MAX } else { size };
            return self.piece(from, to, 0, end, look_up);
        }
        let mut at = 0;
        while at < size {
            let data = match seek(from, SeekFrom::Data(at)) {
                Err(Errno::NXIO) => break, // only a hole is left
                Err(Errno::INVAL) => return self.piece(from, to, 0, size, look_up),
                data => data.map_err(failed("it cannot be read"))?,
            };
            let hole = seek(from, SeekFrom::Hole(data)).map_err(failed("it cannot be read"))?;
            seek(from, SeekFrom::Start(data)).map_err(failed("it cannot be read"))?;
            seek(to, SeekFrom::Start(data)).map_err(failed("it cannot be written"))?;
            at = self.piece(from, to, data, hole.min(size), look_up)?;
            if at < hole.min(size) {
                return Ok(at);
            }
        }
        // The last hole has no other end.
        ftruncate(to, size).map_err(failed("it cannot be written"))?;
        let now = fstat(from).map_err(failed("it cannot be read"))?;
        Ok(size.min(now.st_size.cast_unsigned()))
    }

    /// Copies from where both files stand, at `start`, up to `end`; how far it came.
    fn piece(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        start: u64,
        end: u64,
        look_up: &mut dyn FnMut(u64) -> bool,
    ) -> Result<u64, Trouble> {
        let mut at = start;
        while at < end {
            let wanted = (end - at).min(PIECE) as usize;
            let moved = match self.some(from, to, wanted)? {
                0 => break,
                moved => moved as u64,
            };
            at += moved;
            if at < end && !look_up(at) {
                return Err(Trouble::Stopped);
            }
        }
        Ok(at)
    }

    /// Copies up to `wanted` bytes; 0 at the end of the file.
    fn some(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        wanted: usize,
    ) -> Result<usize, Trouble> {
        while self.by_kernel && !self.by_hand {
            match copy_file_range(from, None, to, None, wanted) {
                // The end, or a file that the kernel finds empty and `read` does not.
                Ok(0) => break,
                Ok(moved) => return Ok(moved),
                Err(Errno::INTR) => {}
                Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO)) => {
                    return Err(failed("it cannot be copied")(errno));
                }
                // Two file systems, or one that cannot.
                Err(_) => self.by_kernel = false,
            }
        }
        self.buffer.resize(BUFFER, 0);
        let length = wanted.min(BUFFER);
        let got = retry(|| read(from, &mut self.buffer[..length]));
        let got = got.map_err(failed("it cannot be read"))?;
        let mut written = 0;
        while written < got {
            let more = retry(|| write(to, &self.buffer[written..got]));
            written += more.map_err(failed("it cannot be written"))?;
        }
        Ok(got)
    }
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Whether two files hold the same bytes; both are read to their ends.
pub(super) fn same_contents(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    fn fill(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match retry(|| read(fd, &mut buffer[filled..]))? {
                0 => break,
                more => filled += more,
            }
        }
        Ok(filled)
    }
    let (mut left, mut right) = (vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        let (of_a, of_b) = (fill(a, &mut left)?, fill(b, &mut right)?);
        if left[..of_a] != right[..of_b] {
            return Ok(false);
        }
        if of_a == 0 {
            return Ok(true);
        }
    }
}
