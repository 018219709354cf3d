//! The worker's side: copies the files of a parcel.
//!
//! A file has no name before it is whole (`O_TMPFILE`), or a temporary one in a [`Staging`]
//! directory. Where a directory is not there yet and the parcel is all that is in it, the directory
//! itself is made there: one renaming for up to 128 files. Naming each would be a third of what a
//! small file costs.

use std::ffi::CStr;
use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, SeekFrom, Stat, copy_file_range, fchmod, fstat,
    ftruncate, ioctl_ficlone, linkat, mkdirat, mknodat, openat, readlinkat, renameat,
    renameat_with, seek, statat, symlinkat, unlinkat,
};
use rustix::io::{Errno, pread, read, write};

use super::dir_path::DirPath;
use super::parcel::{BUDGET, Ground, NAMES, Outcome, Parcel, Settings};
use super::place::{self, End, Place, id};
use super::slots::{LAST, Slot, Slots};
use super::staging::{Staging, remove_entry};
use super::{OnExists, meta};

/// Bytes of one file after which a worker looks up.
const PIECE: u64 = 16 << 20;
/// The buffer where the kernel cannot copy by itself.
const BUFFER: usize = 256 << 10;
/// Files longer than this are looked at once more when they are copied: they may have changed
/// meanwhile.
const LOOK_AGAIN: u64 = 64 << 10;
/// A position that no file has: the directory itself.
pub(super) const FOLDER: usize = 1 << 32;
/// How often a file that changes while it is copied is copied.
const ATTEMPTS: u32 = 3;
/// Between two attempts to open a file that somebody has a lease on, and is asked to give it up.
const LEASE: Duration = Duration::from_millis(10);

/// Copies parcels, one after the other.
pub(super) struct Copier {
    settings: Settings,
    source: Place,
    target: Place,
    temporary: Temporary,
    pump: Pump,
}

/// The directory for what must have a name before it is whole: made when it is needed, and kept for
/// the next parcel.
#[derive(Default)]
struct Temporary {
    base: Place,
    staging: Option<(End, DirPath, Staging)>,
}

impl Temporary {
    fn open(&mut self, parcel: &Parcel) -> Result<BorrowedFd<'_>, Trouble> {
        let (root, folder) = (&parcel.tree.target, &parcel.base);
        let is_there = |(end, path, _): &(End, DirPath, Staging)| end == root && path == folder;
        if !self.staging.as_ref().is_some_and(is_there) {
            self.staging = None;
            let above = self.base.open(root, folder);
            let made = above.and_then(Staging::create);
            let made = made.map_err(failed("no temporary directory can be made for it"))?;
            self.staging = Some((root.clone(), folder.clone(), made));
        }
        let staging = self.staging.as_ref().map(|(.., staging)| staging.as_fd());
        staging.ok_or_else(|| Trouble::Failed("it has no temporary directory".into()))
    }
}

/// What became of one name.
enum Done {
    File(u64),
    /// A further name of a file that was copied already.
    Link,
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
        let text = format!("{what}: {}", place::describe(errno));
        match errno {
            Errno::NOSPC | Errno::DQUOT => Trouble::Full(text),
            _ => Trouble::Failed(text),
        }
    }
}

/// Another file is where this one is to be.
pub(super) const EXISTS: &str = "it is there already";
/// A directory is where a file is to be.
pub(super) const FOLDER_THERE: &str = "a folder of that name is in its place";

/// What is copied of a file, and has no final name yet.
struct Whole {
    file: OwnedFd,
    bytes: u64,
    /// What could not be kept.
    but: Option<io::Error>,
    /// Whether it has a name in the temporary directory: [`TEMPORARY`].
    is_staged: bool,
}

const TEMPORARY: &CStr = c"file";

/// A file with several names, of which one is copied and the others become links to it.
struct Group {
    inode: (u64, u64),
    /// It, open: so that its number is not given to another file meanwhile.
    source: Option<(OwnedFd, Stat)>,
    /// What the names are linked to: put there by this run or, as far as one can tell, an earlier
    /// one.
    copy: Option<OwnedFd>,
    /// Whether there may be one of an earlier run.
    may_be_there: bool,
}

impl Copier {
    pub(super) fn new(settings: Settings) -> Self {
        // A file longer than the limit for this process (`ulimit -f`) is an error, and not the end
        // of this thread, which only copies.
        let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
        let pump = Pump::default();
        let (source, target) = (Place::default(), Place::default());
        Self { settings, source, target, temporary: Temporary::default(), pump }
    }

    /// Removes the temporary directory. A worker process does that before it reports its work: so
    /// one that dies without any has left none.
    pub(super) fn clean_up(&mut self) {
        self.temporary.staging = None;
    }

    /// Bytes that were copied for the last parcel. Blocks that two files share are not.
    pub(super) fn moved(&self) -> u64 {
        self.pump.moved
    }

    /// Copies a parcel, or as much of it as its budget allows.
    pub(super) fn run(&mut self, slots: &Slots, slot: usize, parcel: &Parcel) -> Outcome {
        self.pump.begin();
        let slot = slots.slot(slot);
        let again = slot.begin();
        let mut outcome = Outcome::default();
        let ran = match parcel.ground {
            _ if !parcel.further.is_empty() => {
                self.link_group(slots, slot, parcel, again, &mut outcome);
                Ok(())
            }
            Ground::Unmade => self.fill_new_folder(slots, slot, parcel, again, &mut outcome),
            _ => self.fill(slots, slot, parcel, [again, false], &mut outcome),
        };
        // Trouble with the directory: nothing in it can be copied.
        match ran {
            Ok(()) => {}
            Err(Trouble::Stopped) => outcome.rest = Some(0),
            Err(Trouble::Failed(text)) => {
                let all = (0..parcel.count()).map(|position| (position, text.clone()));
                outcome = Outcome { failures: all.collect(), ..Outcome::default() };
            }
            Err(Trouble::Full(text)) => {
                outcome = Outcome { failures: vec![(0, text)], full: true, ..Outcome::default() };
            }
        }
        outcome
    }

    /// Opens both directories of a parcel.
    fn work<'a>(
        &'a mut self,
        slots: &'a Slots,
        slot: Slot<'a>,
        parcel: &'a Parcel,
        [again, folder_again]: [bool; 2],
    ) -> Result<Work<'a>, Trouble> {
        let from = self.source.open(&parcel.tree.source, &parcel.folder);
        let from = from.map_err(failed("its folder cannot be opened"))?;
        let to = self.target.open(&parcel.tree.target, &parcel.target_folder);
        let to = to.map_err(failed("its new folder cannot be opened"))?;
        let (settings, pump, temporary) = (&self.settings, &mut self.pump, &mut self.temporary);
        let (is_private, has_unnamed) = (false, place::has_paths());
        Ok(Work {
            settings,
            slots,
            slot,
            parcel,
            from,
            to,
            temporary,
            is_private,
            has_unnamed,
            again,
            folder_again,
            pump,
        })
    }

    /// Copies into a directory that is there.
    fn fill(
        &mut self,
        slots: &Slots,
        slot: Slot<'_>,
        parcel: &Parcel,
        again: [bool; 2],
        outcome: &mut Outcome,
    ) -> Result<(), Trouble> {
        self.work(slots, slot, parcel, again)?.run(outcome);
        Ok(())
    }

    /// Copies one file that has several names, and gives it all of them.
    fn link_group(
        &mut self,
        slots: &Slots,
        slot: Slot<'_>,
        parcel: &Parcel,
        again: bool,
        outcome: &mut Outcome,
    ) {
        let members = || std::iter::once(parcel).chain(&parcel.further);
        let may_be_there = self.settings.on_exists != OnExists::Overwrite
            && members().any(|member| member.ground == Ground::Used);
        let mut group = Group { inode: parcel.inode, source: None, copy: None, may_be_there };
        for (position, member) in members().enumerate() {
            if slots.is_stopped() {
                outcome.rest = Some(position);
                return;
            }
            let linked = self
                .work(slots, slot, member, [again, false])
                .and_then(|mut work| work.link(position, parcel, &mut group, outcome));
            if !outcome.count(position, linked) {
                return;
            }
            slot.report(position as u64 + 1, outcome.bytes);
        }
    }

    /// Makes a directory with all that is in it: under a temporary name first.
    fn fill_new_folder(
        &mut self,
        slots: &Slots,
        slot: Slot<'_>,
        parcel: &Parcel,
        again: bool,
        outcome: &mut Outcome,
    ) -> Result<(), Trouble> {
        let Some((above, name)) = parcel.target_folder.parent() else {
            return self.fill(slots, slot, parcel, [again, false], outcome); // a root is there
        };
        let from = self.source.open(&parcel.tree.source, &parcel.folder);
        let from = from.map_err(failed("its folder cannot be opened"))?;
        let above = self.target.open(&parcel.tree.target, above);
        let above = above.map_err(failed("its new folder cannot be opened"))?;
        let staging = self.temporary.open(parcel)?;
        let no_folder = || failed("its new folder cannot be made");
        let temporary = c"folder";

        let stat = fstat(from).map_err(no_folder())?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o777) | Mode::RWXU;
        mkdirat(staging, temporary, mode).map_err(no_folder())?;
        let remove = |trouble| {
            let _ = remove_entry(staging, temporary);
            trouble
        };
        let to = place::open_to_read(staging, temporary).map_err(no_folder()).map_err(remove)?;

        let (settings, pump) = (&self.settings, &mut self.pump);
        let (is_private, has_unnamed, folder_again) = (true, false, false);
        let work = Work {
            settings,
            slots,
            slot,
            parcel,
            from,
            to: to.as_fd(),
            temporary: &mut Temporary::default(), // what is private needs none
            is_private,
            has_unnamed,
            again,
            folder_again,
            pump,
        };
        let placed = work.run(outcome);
        if slots.is_stopped() && outcome.files + outcome.others == 0 {
            return Err(remove(Trouble::Stopped));
        }
        // What could be copied gets its place, whatever happened to the rest.
        let begun_before = again && slot.was_renaming(FOLDER);
        slot.mark_renaming(FOLDER);
        match rename_new((staging, temporary), (above, name)) {
            Ok(()) => {
                outcome.folders += 1;
                placed.into_iter().for_each(|position| slot.mark_done(position));
                Ok(())
            }
            // By the worker that died, or by somebody else: as with any directory that is there.
            Err(Errno::EXIST | Errno::NOTEMPTY) => {
                let _ = remove_entry(staging, temporary);
                *outcome = Outcome { folders: u64::from(begun_before), ..Outcome::default() };
                let used = Parcel { ground: Ground::Used, ..parcel.clone() };
                self.fill(slots, slot, &used, [again, again], outcome)
            }
            Err(errno) => Err(remove(no_folder()(errno))),
        }
    }
}

impl Outcome {
    /// Counts what became of the name at a position; whether to go on with the next one.
    fn count(&mut self, position: usize, done: Result<Done, Trouble>) -> bool {
        match done {
            Ok(Done::File(bytes)) => {
                self.files += 1;
                self.bytes += bytes;
            }
            Ok(Done::Link) => self.links += 1,
            Ok(Done::Other) => self.others += 1,
            Ok(Done::Skipped) => self.skipped += 1,
            Ok(Done::Linked(inode)) => self.linked.push((position, inode)),
            Err(Trouble::Failed(text)) => self.failures.push((position, text)),
            Err(Trouble::Full(text)) => {
                self.failures.push((position, text));
                (self.full, self.rest) = (true, Some(position + 1));
                return false;
            }
            Err(Trouble::Stopped) => {
                self.rest = Some(position);
                return false;
            }
        }
        true
    }
}

/// Renames, unless there is something of that name.
fn rename_new(
    (folder, name): (BorrowedFd<'_>, &CStr),
    (to, new_name): (BorrowedFd<'_>, impl rustix::path::Arg + Copy),
) -> rustix::io::Result<()> {
    match renameat_with(folder, name, to, new_name, RenameFlags::NOREPLACE) {
        // Not every file system can. What is not a directory can have a second name for a moment
        // instead.
        Err(Errno::INVAL | Errno::NOSYS) => {
            match linkat(folder, name, to, new_name, AtFlags::empty()) {
                Ok(()) => unlinkat(folder, name, AtFlags::empty()),
                Err(Errno::EXIST) => Err(Errno::EXIST),
                Err(_) if statat(to, new_name, AtFlags::SYMLINK_NOFOLLOW).is_ok() => {
                    Err(Errno::EXIST)
                }
                Err(_) => renameat(folder, name, to, new_name),
            }
        }
        result => result,
    }
}

/// Opens a regular file, or whatever it has become, without waiting for the other end of a FIFO.
///
/// `None`: it is something that cannot be read.
fn open_file(
    folder: BorrowedFd<'_>,
    name: &CStr,
    slots: &Slots,
) -> Result<Option<(OwnedFd, Stat)>, Trouble> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = loop {
        match openat(folder, name, flags | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::LOOP | Errno::NXIO) => return Ok(None),
            // Somebody has a lease on it, and has been asked to give it up.
            Err(Errno::WOULDBLOCK) if slots.is_stopped() => return Err(Trouble::Stopped),
            Err(Errno::WOULDBLOCK) => thread::sleep(LEASE),
            opened => break opened.map_err(failed("it cannot be read"))?,
        }
    };
    let stat = fstat(&file).map_err(failed("it cannot be read"))?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(is_file.then_some((file, stat)))
}

/// A parcel at work.
struct Work<'a> {
    settings: &'a Settings,
    slots: &'a Slots,
    slot: Slot<'a>,
    parcel: &'a Parcel,
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    temporary: &'a mut Temporary,
    /// Whether the directory itself has a temporary name: then its files need none.
    is_private: bool,
    /// Whether a file can be made without a name here.
    has_unnamed: bool,
    /// Whether a worker that is dead now has begun this parcel, and whether it may have put
    /// everything in its place.
    again: bool,
    folder_again: bool,
    pump: &'a mut Pump,
}

impl Work<'_> {
    /// The positions of what has its copy now, in the directory it was written to.
    fn run(mut self, outcome: &mut Outcome) -> Vec<usize> {
        let (parcel, mut count, mut placed) = (self.parcel, 0, Vec::with_capacity(NAMES));
        let total = parcel.names().count();
        for (position, (kind, name)) in parcel.names().enumerate() {
            if self.slots.is_stopped() {
                outcome.rest = Some(position);
                return placed;
            }
            let new_name = self.new_name();
            let new_name = new_name.as_deref().unwrap_or(name);
            let done = if self.slot.is_done(position) && !self.is_private {
                self.as_it_is(new_name)
            } else {
                self.copy(position, kind, name, new_name, outcome)
            };
            if matches!(done, Ok(Done::File(_) | Done::Other)) {
                placed.push(position);
            }
            if !outcome.count(position, done) {
                return placed;
            }
            count += 1;
            // What is to be linked is done only when it is, at the very end.
            self.slot.report(count - outcome.linked.len() as u64, outcome.bytes);
            if self.pump.moved >= BUDGET && position + 1 < total {
                outcome.rest = Some(position + 1);
                return placed;
            }
        }
        placed
    }

    /// The name in the target, if it is another one.
    fn new_name(&self) -> Option<std::ffi::CString> {
        self.parcel.renamed.clone().and_then(|name| std::ffi::CString::new(name).ok())
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
        if kind == b'f'
            && let Some((file, stat)) = open_file(self.from, name, self.slots)?
        {
            return self.file(position, file.as_fd(), stat, new_name, outcome);
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
            _ => self.node(position, name, &stat, new_name, outcome),
        }
    }

    /// Copies or links one name of a file that has several; `all` has the others too.
    fn link(
        &mut self,
        position: usize,
        all: &Parcel,
        group: &mut Group,
        outcome: &mut Outcome,
    ) -> Result<Done, Trouble> {
        let Some((kind, name)) = self.parcel.names().next() else { return Ok(Done::Skipped) };
        let new_name = self.new_name();
        let new_name = new_name.as_deref().unwrap_or(name);

        let now = statat(self.from, name, AtFlags::SYMLINK_NOFOLLOW);
        let now = now.map_err(failed("it cannot be read"))?;
        let is_file = FileType::from_raw_mode(now.st_mode) == FileType::RegularFile;
        if group.source.is_none() && id(&now) == group.inode {
            group.source = if is_file {
                open_file(self.from, name, self.slots)?
            } else {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = openat(self.from, name, flags, Mode::empty());
                let opened = opened.map_err(failed("it cannot be read"))?;
                let stat = fstat(&opened).map_err(failed("it cannot be read"))?;
                Some((opened, stat))
            };
        }
        let source = group.source.as_ref().filter(|(_, stat)| id(stat) == id(&now));
        let Some((source, stat)) = source.filter(|_| id(&now) == group.inode) else {
            // The name leads to another file by now.
            group.source.take_if(|(_, stat)| id(stat) != group.inode);
            return self.copy(position, kind, name, new_name, outcome);
        };

        let mine = |work: &Self| work.open_copy(new_name);
        if self.slot.is_done(position) && position < LAST {
            group.copy = group.copy.take().or_else(|| mine(self));
            return Ok(if position == 0 { self.as_it_is(new_name)? } else { Done::Link });
        }
        if self.parcel.ground == Ground::Used || self.again {
            let contents = is_file.then(|| source.as_fd());
            if let Some(done) = self.in_the_way(position, contents, stat, new_name)? {
                if matches!(done, Done::File(_) | Done::Other) {
                    // By the worker that died.
                    let is_first = group.copy.is_none();
                    group.copy = group.copy.take().or_else(|| mine(self));
                    return Ok(if is_first { done } else { Done::Link });
                }
                return Ok(done);
            }
        }
        if std::mem::take(&mut group.may_be_there) && group.copy.is_none() {
            group.copy = self.earlier(all, source.as_fd(), stat);
        }
        if let Some(copy) = &group.copy {
            match self.give_name(copy.as_fd(), position, new_name) {
                Ok(true) => return Ok(Done::Link),
                Ok(false) => return self.exists(),
                Err(errno @ (Errno::NOSPC | Errno::DQUOT)) => {
                    return Err(failed("it cannot be linked")(errno));
                }
                // Another file system, one without links, or one that has no more for this file: so
                // it becomes one more file.
                Err(_) => {}
            }
        }
        let done = if is_file {
            let mut whole = self.write(source.as_fd(), *stat, new_name, outcome)?;
            let placed = self.put(&mut whole, position, new_name);
            let done = self.finish(position, &mut whole, placed, outcome)?;
            if matches!(done, Done::File(_)) {
                group.copy = Some(whole.file);
            }
            seek(source, SeekFrom::Start(0)).map_err(failed("it cannot be read"))?;
            done
        } else {
            let done = self.node(position, name, stat, new_name, outcome)?;
            if matches!(done, Done::Other) {
                group.copy = mine(self);
            }
            done
        };
        Ok(done)
    }

    /// Opens what has just been put in its place, to give it more names.
    fn open_copy(&self, name: &CStr) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(self.to, name, flags, Mode::empty()).ok()
    }

    /// Finds what an earlier run has made of this file under another of its names. That is a file
    /// which differs in nothing that a copy would have; anything else is somebody's own, and is not
    /// linked to.
    fn earlier(&self, all: &Parcel, source: BorrowedFd<'_>, stat: &Stat) -> Option<OwnedFd> {
        /// Whole files that are compared, where several of the names lead to different ones.
        const COMPARED: usize = 2;
        let (mut target, mut compared) = (Place::default(), Vec::new());
        for member in std::iter::once(all).chain(&all.further) {
            let Some((_, name)) = member.names().next() else { continue };
            let name = match &member.renamed {
                Some(name) => std::ffi::CString::new(&name[..]).ok()?,
                None => name.to_owned(),
            };
            let Ok(folder) = target.open(&member.tree.target, &member.target_folder) else {
                continue;
            };
            let Ok(there) = statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if !self.could_be_a_copy(&there, stat) || compared.contains(&id(&there)) {
                continue;
            }
            if compared.len() == COMPARED {
                return None;
            }
            compared.push(id(&there));
            if self.is_equal(source, stat, folder, &name) {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let copy = openat(folder, &name, flags, Mode::empty()).ok()?;
                return fstat(&copy).is_ok_and(|now| id(&now) == id(&there)).then_some(copy);
            }
        }
        None
    }

    /// Whether what is in the target has the kind, length and owner of a copy, and with `preserve`
    /// the mode and time.
    fn could_be_a_copy(&self, there: &Stat, stat: &Stat) -> bool {
        let user = rustix::process::geteuid();
        let owner =
            if self.settings.preserve && user.is_root() { stat.st_uid } else { user.as_raw() };
        let kind = |stat: &Stat| FileType::from_raw_mode(stat.st_mode);
        let kept = |stat: &Stat| (stat.st_mode & 0o777, stat.st_mtime, stat.st_mtime_nsec);
        kind(there) == kind(stat)
            && there.st_rdev == stat.st_rdev
            && there.st_size == stat.st_size
            && there.st_uid == owner
            && (!self.settings.preserve || kept(there) == kept(stat))
            && id(there) != id(stat)
    }

    /// Whether a file or symbolic link in the target has the same contents.
    fn is_equal(
        &self,
        source: BorrowedFd<'_>,
        stat: &Stat,
        to: BorrowedFd<'_>,
        name: &CStr,
    ) -> bool {
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            let original = readlinkat(source, c"", Vec::new());
            return original.is_ok() && original == readlinkat(to, name, Vec::new());
        }
        FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || is_same(source, to, name)
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
        if id(&there) == id(stat) {
            return Err(Trouble::Failed("it and its target are the same file".into()));
        }
        // What the dead worker put there just before it could say so.
        let by_the_dead = self.folder_again
            || self.slot.was_renaming(position)
            || position >= LAST && self.slot.is_done(position);
        if self.again && by_the_dead {
            match source {
                Some(source) if is_same(source, self.to, name) => {
                    return Ok(Some(Done::File(there.st_size.cast_unsigned())));
                }
                None if there.st_mode == stat.st_mode => return Ok(Some(Done::Other)),
                _ => {}
            }
        }
        let is_folder = FileType::from_raw_mode(there.st_mode) == FileType::Directory;
        match self.settings.on_exists {
            OnExists::Overwrite if is_folder => Err(Trouble::Failed(FOLDER_THERE.into())),
            OnExists::Overwrite => Ok(None),
            OnExists::Skip | OnExists::Fail => self.exists().map(Some),
        }
    }

    /// Something of that name is there, and stays there.
    fn exists(&self) -> Result<Done, Trouble> {
        match self.settings.on_exists {
            OnExists::Skip => Ok(Done::Skipped),
            _ => Err(Trouble::Failed(EXISTS.into())),
        }
    }

    fn file(
        &mut self,
        position: usize,
        from: BorrowedFd<'_>,
        stat: Stat,
        name: &CStr,
        outcome: &mut Outcome,
    ) -> Result<Done, Trouble> {
        if stat.st_nlink > 1 && !self.parcel.take_linked {
            return Ok(Done::Linked(id(&stat)));
        }
        if (self.parcel.ground == Ground::Used || self.again)
            && !self.is_private
            && let Some(done) = self.in_the_way(position, Some(from), &stat, name)?
        {
            return Ok(done);
        }
        if stat.st_size == 0
            && !self.is_private
            && let Some(done) = self.empty(position, from, &stat, name)?
        {
            return Ok(done);
        }
        let mut whole = self.write(from, stat, name, outcome)?;
        let placed = if self.is_private { Ok(true) } else { self.put(&mut whole, position, name) };
        self.finish(position, &mut whole, placed, outcome)
    }

    /// Makes an empty file, which is whole as soon as it is there. `None`: it has contents, or
    /// something has to be done to it.
    fn empty(
        &mut self,
        position: usize,
        from: BorrowedFd<'_>,
        stat: &Stat,
        name: &CStr,
    ) -> Result<Option<Done>, Trouble> {
        let mode = stat.st_mode & 0o777;
        // What says it is empty may have contents all the same: files of /proc.
        if self.settings.preserve
            || self.settings.lacks(mode, 0o600)
            || retry(|| pread(from, &mut [0], 0)) != Ok(0)
        {
            return Ok(None);
        }
        self.slot.mark_renaming(position);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        match openat(self.to, name, flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode)) {
            Ok(_) => {
                self.slot.mark_done(position);
                Ok(Some(Done::File(0)))
            }
            Err(Errno::EXIST) if self.settings.on_exists == OnExists::Overwrite => Ok(None),
            Err(Errno::EXIST) => self.exists().map(Some),
            Err(errno) => Err(failed("it cannot be created")(errno)),
        }
    }

    /// After a file that is whole was, or was not, put in its place.
    fn finish(
        &mut self,
        position: usize,
        whole: &mut Whole,
        placed: Result<bool, Trouble>,
        outcome: &mut Outcome,
    ) -> Result<Done, Trouble> {
        if std::mem::take(&mut whole.is_staged)
            && let Ok(staging) = self.temporary.open(self.parcel)
        {
            let _ = unlinkat(staging, TEMPORARY, AtFlags::empty());
        }
        if !placed? {
            return self.exists();
        }
        if let Some(error) = whole.but.take() {
            outcome.failures.push((position, format!("copied, but {error}")));
        }
        Ok(Done::File(whole.bytes))
    }

    /// Copies a file's contents and what is kept of the rest, to a file without a name, with a
    /// temporary one, or, in a private directory, with its own.
    fn write(
        &mut self,
        from: BorrowedFd<'_>,
        stat: Stat,
        name: &CStr,
        outcome: &Outcome,
    ) -> Result<Whole, Trouble> {
        let (file, is_staged) = self.create(&stat, name)?;
        let written = self.fill(from, file.as_fd(), stat, outcome);
        if written.is_err() {
            let at = if self.is_private {
                Some((self.to, name))
            } else if is_staged {
                self.temporary.open(self.parcel).ok().map(|staging| (staging, TEMPORARY))
            } else {
                None
            };
            let _ = at.map(|(folder, name)| unlinkat(folder, name, AtFlags::empty()));
        }
        written.map(|(bytes, but)| Whole { file, bytes, but, is_staged })
    }

    /// A new file to write to; whether it has a temporary name.
    fn create(&mut self, stat: &Stat, name: &CStr) -> Result<(OwnedFd, bool), Trouble> {
        // For us to write; for nobody else before it is whole, if the mode comes last.
        let asked = if self.settings.preserve { 0 } else { stat.st_mode & 0o777 };
        let (mode, flags) = (Mode::from_raw_mode(0o600 | asked), OFlags::WRONLY | OFlags::CLOEXEC);
        let new = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let cannot = || failed("it cannot be created");
        if self.is_private {
            return Ok((openat(self.to, name, new, mode).map_err(cannot())?, false));
        }
        if self.has_unnamed {
            match openat(self.to, c".", flags | OFlags::TMPFILE, mode) {
                // The file system cannot, or the kernel does not know it.
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                    self.has_unnamed = false;
                }
                created => return Ok((created.map_err(cannot())?, false)),
            }
        }
        let staging = self.temporary.open(self.parcel)?;
        let created = openat(staging, TEMPORARY, new, mode);
        Ok((created.map_err(cannot())?, true))
    }

    /// Writes a new file. Returns its length, and what could not be kept.
    fn fill(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        mut stat: Stat,
        outcome: &Outcome,
    ) -> Result<(u64, Option<io::Error>), Trouble> {
        let (before, files) = (outcome.bytes, outcome.names());
        let mut look_up = |bytes| {
            self.slot.report(files, before + bytes);
            !self.slots.is_stopped()
        };
        let mut bytes = None;
        for _ in 0..ATTEMPTS {
            let copied = if self.pump.clone(from, to, &stat) {
                stat.st_size.cast_unsigned()
            } else {
                self.pump.copy(from, to, &stat, &mut look_up)?
            };
            let is_all = copied == stat.st_size.cast_unsigned();
            if is_all && copied <= LOOK_AGAIN || stat.st_size == 0 {
                bytes = Some(copied);
                break;
            }
            let now = fstat(from).map_err(failed("it cannot be read"))?;
            let version = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
            // One that ends early and is what it was before has never had its length: files of
            // /sys.
            if version(&now) == version(&stat) {
                bytes = Some(copied);
                break;
            }
            stat = now;
            ftruncate(to, 0).map_err(failed("it cannot be written"))?;
            for fd in [from, to] {
                seek(fd, SeekFrom::Start(0)).map_err(failed("it cannot be written"))?;
            }
        }
        let bytes = bytes.ok_or_else(|| Trouble::Failed(CHANGED.into()))?;
        let asked = stat.st_mode & 0o777;
        let mut but = None;
        if self.settings.preserve {
            but = meta::keep(from, to, &stat).err();
        } else if asked & 0o600 != 0o600 {
            let got = fstat(to).map_err(failed("its mode cannot be set"))?.st_mode & 0o7777;
            let mode = Mode::from_raw_mode(got & !(0o600 & !asked));
            fchmod(to, mode).map_err(failed("its mode cannot be set"))?;
        }
        Ok((bytes, but))
    }

    /// Puts what is whole under its name; `false`: something else is there, and stays.
    fn put(&mut self, whole: &mut Whole, position: usize, name: &CStr) -> Result<bool, Trouble> {
        let put = if whole.is_staged {
            self.put_staged(position, TEMPORARY, name)
        } else {
            self.give_name(whole.file.as_fd(), position, name)
        };
        whole.is_staged &= !matches!(put, Ok(true));
        match put {
            Err(Errno::ISDIR) if self.settings.on_exists == OnExists::Overwrite => {
                Err(Trouble::Failed(FOLDER_THERE.into()))
            }
            put => put.map_err(failed("it cannot be put in its place")),
        }
    }

    /// Gives an open file its name, or one more; `false`: something else is there, and stays.
    fn give_name(
        &mut self,
        file: BorrowedFd<'_>,
        position: usize,
        name: &CStr,
    ) -> rustix::io::Result<bool> {
        self.slot.mark_renaming(position);
        match place::link(file, self.to, name) {
            Ok(()) => {
                self.slot.mark_done(position);
                return Ok(true);
            }
            Err(Errno::EXIST) if self.settings.on_exists == OnExists::Overwrite => {}
            Err(Errno::EXIST) => return Ok(false),
            Err(errno) => return Err(errno),
        }
        let there = statat(self.to, name, AtFlags::SYMLINK_NOFOLLOW);
        if there.is_ok_and(|there| fstat(file).is_ok_and(|file| id(&file) == id(&there))) {
            self.slot.mark_done(position);
            return Ok(true); // by a worker that died
        }
        // A link replaces nothing, but a renaming does.
        let staging = self.temporary.open(self.parcel).map_err(|_| Errno::ACCESS)?;
        place::link(file, staging, c"link")?;
        let put = self.put_staged(position, c"link", name);
        if put.is_err()
            && let Ok(staging) = self.temporary.open(self.parcel)
        {
            let _ = unlinkat(staging, c"link", AtFlags::empty());
        }
        put
    }

    /// Renames what has a temporary name; `false`: something else is there, and stays.
    fn put_staged(
        &mut self,
        position: usize,
        temporary: &CStr,
        name: &CStr,
    ) -> rustix::io::Result<bool> {
        let staging = self.temporary.open(self.parcel).map_err(|_| Errno::ACCESS)?;
        self.slot.mark_renaming(position);
        let renamed = match self.settings.on_exists {
            OnExists::Overwrite => renameat(staging, temporary, self.to, name),
            _ => rename_new((staging, temporary), (self.to, name)),
        };
        match renamed {
            Ok(()) => {
                self.slot.mark_done(position);
                Ok(true)
            }
            // It was not there before: somebody else was quicker.
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// What has no contents is made anew, not read.
    fn node(
        &mut self,
        position: usize,
        name: &CStr,
        stat: &Stat,
        new_name: &CStr,
        outcome: &mut Outcome,
    ) -> Result<Done, Trouble> {
        if stat.st_nlink > 1 && !self.parcel.take_linked {
            return Ok(Done::Linked(id(stat)));
        }
        if (self.parcel.ground == Ground::Used || self.again)
            && !self.is_private
            && let Some(done) = self.in_the_way(position, None, stat, new_name)?
        {
            return Ok(done);
        }
        if self.is_private {
            let but =
                self.make(self.to, name, stat, new_name).map_err(|error| cannot(stat, error))?;
            but.inspect(|error| outcome.failures.push((position, format!("copied, but {error}"))));
            return Ok(Done::Other);
        }
        // It is whole as soon as it is there, if nothing is kept of it.
        if !self.settings.preserve {
            self.slot.mark_renaming(position);
            match self.make(self.to, name, stat, new_name) {
                Err(Errno::EXIST) if self.settings.on_exists == OnExists::Overwrite => {}
                Err(Errno::EXIST) => return self.exists(),
                made => {
                    made.map_err(|errno| cannot(stat, errno))?;
                    self.slot.mark_done(position);
                    return Ok(Done::Other);
                }
            }
        }
        let staging = self.temporary.open(self.parcel)?;
        let _ = unlinkat(staging, c"node", AtFlags::empty());
        let staging = openat(staging, c".", place::SEARCH, Mode::empty());
        let staging = staging.map_err(failed("it cannot be made"))?;
        let made = self.make(staging.as_fd(), name, stat, c"node");
        let but = made.map_err(|errno| cannot(stat, errno))?;
        let put = self.put_staged(position, c"node", new_name);
        if !matches!(put, Ok(true)) {
            let _ = unlinkat(&staging, c"node", AtFlags::empty());
        }
        if !put.map_err(failed("it cannot be put in its place"))? {
            return self.exists();
        }
        but.inspect(|error| outcome.failures.push((position, format!("copied, but {error}"))));
        Ok(Done::Other)
    }

    /// Makes what has no contents; what could not be kept of it.
    fn make(
        &self,
        folder: BorrowedFd<'_>,
        name: &CStr,
        stat: &Stat,
        new_name: &CStr,
    ) -> rustix::io::Result<Option<io::Error>> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mode = Mode::from_raw_mode(stat.st_mode & 0o777);
        match kind {
            FileType::Symlink => readlinkat(self.from, name, Vec::new())
                .and_then(|target| symlinkat(&target, folder, new_name)),
            _ => mknodat(folder, new_name, kind, mode, stat.st_rdev),
        }?;
        if !self.settings.preserve {
            return Ok(None);
        }
        Ok(meta::keep_node((self.from, name), (folder, new_name), stat).err())
    }
}

/// Why something without contents was not made.
fn cannot(stat: &Stat, errno: Errno) -> Trouble {
    let kind = FileType::from_raw_mode(stat.st_mode);
    match (kind, errno) {
        (FileType::CharacterDevice | FileType::BlockDevice, Errno::PERM) => {
            Trouble::Failed("skipped: a device node, which only root may make".into())
        }
        _ => failed("it cannot be made")(errno),
    }
}

/// Whether a file has the same contents as an open one, which is at its beginning afterwards.
fn is_same(source: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let copy = openat(to, name, flags, Mode::empty());
    let same = copy.is_ok_and(|copy| same_contents(source, copy.as_fd()).unwrap_or(false));
    let _ = seek(source, SeekFrom::Start(0));
    same
}

const CHANGED: &str = "it changed while it was being copied";

/// Moves bytes from one file to another.
#[derive(Default)]
struct Pump {
    /// Whether files of these two file systems can share their blocks, and whether the kernel
    /// copies between them by itself, as far as is known.
    by_cloning: bool,
    by_kernel: bool,
    buffer: Vec<u8>,
    /// Bytes moved since [`begin`](Self::begin).
    moved: u64,
}

impl Pump {
    /// Before a parcel: its file systems may be other ones.
    fn begin(&mut self) {
        (self.by_cloning, self.by_kernel, self.moved) = (true, true, 0);
    }

    /// Lets a file share the blocks of another one, which takes no time for its length. `false`:
    /// that does not work, and it is to be copied.
    fn clone(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &Stat) -> bool {
        // What says it is empty may have contents all the same: files of /proc.
        if !self.by_cloning || stat.st_size == 0 {
            return false;
        }
        let cloned = ioctl_ficlone(to, from);
        if let Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::NOTTY | Errno::NOSYS) = cloned {
            self.by_cloning = false;
        }
        cloned.is_ok()
    }

    /// Copies a file's contents, holes as holes; how far it came, which is less than its size if it
    /// has become shorter.
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
            self.moved += moved;
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
        while self.by_kernel {
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
fn same_contents(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> rustix::io::Result<bool> {
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
